"""Flows fitted to two-dimensional densities."""

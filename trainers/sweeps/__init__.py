"""Whole experiments: many runs, one after the other."""

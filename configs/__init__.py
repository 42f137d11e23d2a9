"""Configurations of the training runs, one module per data set or target."""

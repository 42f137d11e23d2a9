"""Densities of data by maximum likelihood: 2-D sets, tables, binary images."""

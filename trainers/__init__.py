"""Trainers: run from a checkout, `python -m trainers.main --help`."""

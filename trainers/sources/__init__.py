"""Data sets that are read from files, for all rooms of the trainers."""

"""Benchmarks: one question per file, asked in its docstring."""

"""The papers' tables: their runs, planned and resumed, beside what they say."""

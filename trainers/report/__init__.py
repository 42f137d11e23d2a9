"""The tables of README and docs, from the results.json files."""

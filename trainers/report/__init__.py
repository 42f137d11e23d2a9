"""README's tables, from the results.json files."""

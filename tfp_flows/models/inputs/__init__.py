"""What a user passes to a model, turned into checked images."""

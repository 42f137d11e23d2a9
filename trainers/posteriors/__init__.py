"""Surrogates and chains for other people's posteriors."""

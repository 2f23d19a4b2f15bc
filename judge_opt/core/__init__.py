"""What every other package shares: results, values, errors, hashing, atomic files, text."""

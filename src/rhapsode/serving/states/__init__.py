"""States after texts, in memory and in files."""

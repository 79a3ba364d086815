"""Plans of runs on series."""

"""Counts of a run: their sidecar file, and networks trained beside them."""

"""Cells, columns and frames of a table."""

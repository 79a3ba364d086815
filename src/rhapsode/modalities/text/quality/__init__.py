"""Measures of what a model of text writes, and indices of what it learnt from."""

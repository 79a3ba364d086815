"""Measures of the writing of a model, and indices of its training data."""

"""Texts read and encoded, piece by piece."""

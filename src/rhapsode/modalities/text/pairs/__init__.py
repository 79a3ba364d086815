"""Pairs: texts that are written from other texts."""

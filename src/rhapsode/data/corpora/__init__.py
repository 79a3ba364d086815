"""Corpora by name: embedded ones, and those that are fetched."""

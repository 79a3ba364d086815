"""Constraints on generated music."""

"""Attention to a source: memories, mechanisms, encoders, models."""

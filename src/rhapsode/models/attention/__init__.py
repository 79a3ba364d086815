"""Attention to a source: memories, mechanisms, encoders of sources, and the model around them."""

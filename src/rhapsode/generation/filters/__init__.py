"""Filters between logits and the draw, one file a purpose."""

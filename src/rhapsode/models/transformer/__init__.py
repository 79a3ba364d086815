"""Transformers: rotary positions in a ring buffer, and learned positions."""

"""The transformer with a rotary ring buffer."""

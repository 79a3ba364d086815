"""The transformer with rotary positions and a ring buffer."""

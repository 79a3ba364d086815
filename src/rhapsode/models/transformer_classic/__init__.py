"""The textbook transformer."""

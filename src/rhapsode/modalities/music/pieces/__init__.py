"""Pieces of music: read from sources, cut, transposed, joined."""

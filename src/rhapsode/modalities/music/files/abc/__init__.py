"""Tunes in ABC notation (version 2.1, and what old files do)."""

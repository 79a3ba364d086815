"""Threads of training, and the other programs that use the cores."""

"""Continuations of many requests at once: slots, queue, workers and streams."""

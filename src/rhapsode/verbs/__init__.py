"""Verbs and classes of the Python API that belong to one kind of sequence."""

"""The transformer of learned positions."""

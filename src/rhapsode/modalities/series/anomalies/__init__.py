"""Anomaly scores: values that the one-step distributions did not expect."""

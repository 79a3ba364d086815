"""Toy modalities, and what every modality must do."""

"""Base of every modality whose elements are identifiers."""

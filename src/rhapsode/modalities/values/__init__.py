"""Base of every modality whose elements are vectors of numbers."""

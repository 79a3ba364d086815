"""What every modality of values shares."""

"""What every modality of identifiers shares."""

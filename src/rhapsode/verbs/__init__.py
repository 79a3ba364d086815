"""Parts of the Python API that belong to one modality."""

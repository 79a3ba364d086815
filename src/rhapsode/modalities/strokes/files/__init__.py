"""Files of ink: readers and writers."""

from rhapsode.modalities.strokes.files.read_ink import Specimen, holds_ink, read_ink

__all__ = ["Specimen", "holds_ink", "read_ink"]

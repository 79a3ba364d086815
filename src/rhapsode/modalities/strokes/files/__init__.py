"""Files of ink: readers and writers."""

from rhapsode.modalities.strokes.files.read_ink import holds_ink, read_ink
from rhapsode.modalities.strokes.files.specimen import Specimen

__all__ = ["Specimen", "holds_ink", "read_ink"]

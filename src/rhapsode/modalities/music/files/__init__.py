"""Files of music: read leniently into scores, and written."""

from rhapsode.modalities.music.files.read_scores import (
    SUFFIXES,
    ReadingRules,
    music_kind,
    read_file,
    read_score,
)
from rhapsode.modalities.music.files.reading_result import ReadScore

__all__ = ["ReadScore", "ReadingRules", "SUFFIXES", "music_kind", "read_file", "read_score"]

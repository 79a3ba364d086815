"""Files of music: read leniently into scores, and written."""

from rhapsode.modalities.music.files.read_scores import (
    SUFFIXES,
    ReadingRules,
    music_kind,
    read_file,
    read_score,
)
from rhapsode.modalities.music.files.reading_result import ReadScore
from rhapsode.modalities.music.files.write_scores import WRITERS, write_score

__all__ = [
    "ReadScore",
    "ReadingRules",
    "SUFFIXES",
    "WRITERS",
    "music_kind",
    "read_file",
    "read_score",
    "write_score",
]

"""Scores, and their elements: notes, performances, frames, voices, ABC. No torch.

Encoders are loaded on first use.
"""

from typing import TYPE_CHECKING

from rhapsode.encoding.contract import ENCODERS
from rhapsode.late import late_names

if TYPE_CHECKING:
    from rhapsode.encoding.music.abc import AbcEncoder
    from rhapsode.encoding.music.chords import ChordEncoder
    from rhapsode.encoding.music.contract import MusicEncoder, SnapReport
    from rhapsode.encoding.music.notes.note_encoder import NoteEncoder
    from rhapsode.encoding.music.performance import PerformanceEncoder
    from rhapsode.encoding.music.pitch_frames import FrameEncoder, roll_score
    from rhapsode.encoding.music.voices import VoiceEncoder

__all__ = [
    "AbcEncoder",
    "ChordEncoder",
    "FrameEncoder",
    "MusicEncoder",
    "NoteEncoder",
    "PerformanceEncoder",
    "SnapReport",
    "VoiceEncoder",
    "roll_score",
]

_PLACES = {
    "AbcEncoder": ".abc",
    "ChordEncoder": ".chords",
    "MusicEncoder": ".contract",
    "SnapReport": ".contract",
    "FrameEncoder": ".pitch_frames",
    "roll_score": ".pitch_frames",
    "NoteEncoder": ".notes.note_encoder",
    "PerformanceEncoder": ".performance",
    "VoiceEncoder": ".voices",
}

for _name, _class in (
    ("notes.v1", "NoteEncoder"),
    ("performance.v1", "PerformanceEncoder"),
    ("frames.v1", "FrameEncoder"),
    ("voices.v1", "VoiceEncoder"),
    ("chords.v1", "ChordEncoder"),
    ("abc.v1", "AbcEncoder"),
):
    ENCODERS.register_at(_name, f"{__name__}{_PLACES[_class]}:{_class}")

__getattr__ = late_names(__name__, _PLACES)

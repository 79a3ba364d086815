"""Scores, and their elements: notes, performances, frames, voices, ABC. No torch.

Encoders are loaded on first use.
"""

from typing import TYPE_CHECKING

from rhapsode.encoding.contract import ENCODERS
from rhapsode.late import late_names

if TYPE_CHECKING:
    from rhapsode.encoding.music.contract import MusicEncoder, SnapReport
    from rhapsode.encoding.music.frames import FrameEncoder, roll_score
    from rhapsode.encoding.music.voices import VoiceEncoder

__all__ = [
    "FrameEncoder",
    "MusicEncoder",
    "SnapReport",
    "VoiceEncoder",
    "roll_score",
]

_PLACES = {
    "MusicEncoder": ".contract",
    "SnapReport": ".contract",
    "FrameEncoder": ".frames",
    "roll_score": ".frames",
    "VoiceEncoder": ".voices",
}

for _name, _class in (
    ("frames.v1", "FrameEncoder"),
    ("voices.v1", "VoiceEncoder"),
):
    ENCODERS.register_at(_name, f"{__name__}{_PLACES[_class]}:{_class}")

__getattr__ = late_names(__name__, _PLACES)

"""Piano rolls in JSON: the pitches that sound at each step."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.music.pitch_frames import roll_score, score_ticks
from rhapsode.encoding.music.score import Metre, Notes, Score, Track
from rhapsode.errors import DataError
from rhapsode.modalities.scoring import SplitName

SPLITS: dict[str, SplitName] = {
    "train": "train", "training": "train",
    "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test",
}  # fmt: skip
"""Splits by their names in sources."""

_STEPS = ((r"quarter|4th", 1), (r"8th|eighth", 2), (r"16th|sixteenth", 4), (r"32nd", 8))
_ROLL = re.compile(rb'(?:\xef\xbb\xbf)?\s*(\{\s*"\w+"\s*:\s*)?\[\s*\[\s*\[\s*(-?\d|\])')
DEFAULT_STEP = 4
_VOICES = ("soprano", "alto", "tenor", "bass")
# Entries of a step at most, for them to be voices.
_MOST_VOICES = 16


def looks_like_rolls(head: bytes) -> bool:
    """True if a JSON file begins as piano rolls do."""
    return _ROLL.match(head) is not None


def step_of(name: str, asked: int) -> int:
    """Steps of a quarter note.

    Arguments:
        name: of the file.
        asked: by a setting; 0 for none.
    """
    if asked:
        return asked
    name = name.lower()
    return next((steps for pattern, steps in _STEPS if re.search(pattern, name)), DEFAULT_STEP)


def read_rolls(
    content: bytes, name: str, step: int
) -> Iterator[tuple[str, SplitName | None, Score]]:
    """Name, split and score of each piece of a file.

    Arguments:
        content: of the file.
        name: of the file.
        step: steps of a quarter note.

    Raises:
        DataError: it cannot be read, or holds no rolls.
    """
    try:
        plain = json.loads(content)
    except (ValueError, RecursionError):
        raise DataError("this is not JSON", where=name) from None
    parts = plain.items() if isinstance(plain, dict) else [("piece", plain)]
    pieces = 0
    for key, rolls in parts:
        if not isinstance(rolls, list):
            raise DataError("a piano roll is a list of steps", where=f"{name}: {key}")
        split = SPLITS.get(str(key).lower())
        for number, roll in enumerate(rolls, 1):
            where = f"{Path(name).name}: {key} {number}"
            yield where, split, score_of_roll(roll, step, where)
            pieces += 1
    if not pieces:
        raise DataError("there is no piece in it", where=name)


def score_of_roll(roll: Any, step: int, where: str) -> Score:
    """A score of a list of steps, each a list of pitches.

    If every step has as many entries, and there are several a quarter note, each place is a voice
    with a track of its own, whose pitch is held while it does not change. Otherwise a pitch in
    consecutive steps is one note.

    Arguments:
        roll: pitches from 0 to 127 by step; -1 and null are silence.
        step: steps of a quarter note.
        where: for messages.

    Raises:
        DataError: something else than pitches.
    """
    if not isinstance(roll, list):
        raise DataError("a piano roll is a list of steps", where=where)
    frames = [_frame(frame, where) for frame in roll]
    widths = {len(frame) for frame in frames}
    if len(widths) == 1 and 1 < max(widths) <= _MOST_VOICES and step > 1:
        return _voices(np.array(frames, dtype=np.int64), step)
    pitches = [[pitch for pitch in frame if pitch >= 0] for frame in frames]
    return roll_score(pitches, step, metres=(Metre(0, 4, 4),))


def _frame(frame: Any, where: str) -> Sequence[int]:
    if not isinstance(frame, list):
        raise DataError("a step of a piano roll is a list of pitches", where=where)
    pitches = [-1 if pitch is None else pitch for pitch in frame]
    for pitch in pitches:
        # The range comes first, as infinity and NaN are no integers.
        number = isinstance(pitch, int | float) and not isinstance(pitch, bool)
        if not number or not -1 <= pitch <= 127 or pitch != int(pitch):
            raise DataError(f"{pitch!r} is not a pitch from 0 to 127", where=where)
    return [int(pitch) for pitch in pitches]


def _voices(pitch_TK: NDArray[np.int64], step: int) -> Score:
    """A score of voices, whose pitches are held while they do not change."""
    ticks = score_ticks(step)
    size = ticks // step
    starts, lengths, pitches, tracks = [], [], [], []
    for voice, pitch_T in enumerate(pitch_TK.T):
        changes = np.flatnonzero(np.diff(pitch_T, prepend=-2))
        ends = np.append(changes[1:], len(pitch_T))
        for begin, end in zip(changes.tolist(), ends.tolist(), strict=True):
            if pitch_T[begin] >= 0:
                starts.append(begin * size)
                lengths.append((end - begin) * size)
                pitches.append(int(pitch_T[begin]))
                tracks.append(voice)
    voices = pitch_TK.shape[1]
    names = _VOICES if voices == len(_VOICES) else [f"voice {n + 1}" for n in range(voices)]
    return Score(
        ticks=ticks,
        notes=Notes.of(starts, lengths, pitches, 80, tracks),
        tracks=tuple(Track(program=0, name=name) for name in names),
        metres=(Metre(0, 4, 4),),
        end=len(pitch_TK) * size,
    )

"""Scores, key signatures and chord symbols in other keys."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

import numpy as np

from rhapsode.encoding.music.score import Key, Notes, Score

ROOTS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
# No second sign: without the first it would be taken for it.
_CHORD = re.compile(r"([A-G])([#b]?)((?![#b])[^/]*)(?:/([A-G])([#b]?))?")
_MAJOR = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
_MINOR = ("Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")


def key_name(fifths: int, minor: bool) -> str:
    """The name of a key: `Bb`, or `Gm` in minor."""
    return f"{_MINOR[fifths + 7]}m" if minor else _MAJOR[fifths + 7]


def keys_by_name() -> dict[str, tuple[int, bool]]:
    """Fifths and mode of every key, by its name."""
    return {
        key_name(fifths, minor): (fifths, minor)
        for minor in (False, True)
        for fifths in range(-7, 8)
    }


def transposed_key(fifths: int, semitones: int) -> int:
    """Fifths of a key some semitones higher, from -5 to 6."""
    if semitones % 12 == 0:
        return fifths
    return (fifths + 7 * semitones + 5) % 12 - 5


@lru_cache(maxsize=4096)
def transposed_chord(name: str, semitones: int) -> str:
    """A chord symbol some semitones higher; its root has its usual spelling.

    What is no chord symbol remains as it is.
    """
    match = _CHORD.fullmatch(name)
    if match is None:
        return name
    root, sign, quality, bass, bass_sign = match.groups()
    text = _moved(root, sign, semitones) + quality
    return text if bass is None else f"{text}/{_moved(bass, bass_sign, semitones)}"


def chord_root(name: str) -> int | None:
    """Semitones from C up to the root of a chord symbol.

    0 to 11; None for what is no chord symbol.
    """
    match = _CHORD.fullmatch(name)
    return None if match is None else ROOTS.index(_moved(match[1], match[2], 0))


def _moved(letter: str, sign: str, semitones: int) -> str:
    return ROOTS[(_STEPS[letter] + {"": 0, "#": 1, "b": -1}[sign] + semitones) % 12]


def transposed_score(score: Score, semitones: int) -> Score | None:
    """A score some semitones higher, with its keys and chords; drums remain.

    None where a pitch would leave the range of MIDI.
    """
    notes = score.notes
    drums_K = np.array([track.drums for track in score.tracks], dtype=np.bool_)
    fixed_N = drums_K[notes.track_N] if len(notes) else np.zeros(0, np.bool_)
    pitch_N = notes.pitch_N.astype(np.int64) + np.where(fixed_N, 0, semitones)
    if len(notes) and not 0 <= pitch_N.min() <= pitch_N.max() <= 127:
        return None
    return replace(
        score,
        notes=Notes.of(notes.start_N, notes.length_N, pitch_N, notes.velocity_N, notes.track_N),
        keys=tuple(_transposed(key, semitones) for key in score.keys),
        chords=tuple(
            replace(chord, name=transposed_chord(chord.name, semitones)) for chord in score.chords
        ),
    )


def _transposed(key: Key, semitones: int) -> Key:
    return replace(key, fifths=transposed_key(key.fifths, semitones))

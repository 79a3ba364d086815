"""Names of pitches in a key."""

from __future__ import annotations

from functools import cache

_SHARPS = ("F", "C", "G", "D", "A", "E", "B")
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def signature(fifths: int) -> dict[str, int]:
    """Alterations of a key signature by step."""
    if fifths >= 0:
        return dict.fromkeys(_SHARPS[:fifths], 1)
    return dict.fromkeys(_SHARPS[fifths:], -1)


@cache
def _spellings(fifths: int) -> tuple[tuple[str, int], ...]:
    """Step and alteration of the twelve pitch classes.

    The tones of the scale, then those of neighbouring keys on the line of fifths: from two to the
    left of the key's own to three to the right, so that leading tones of minor are raised.
    """
    names: dict[int, tuple[str, int]] = {}
    # F is position 0 on the line of fifths; the scale takes positions fifths to fifths + 6.
    nearest = [*range(fifths, fifths + 7)]
    for distance in range(1, 6):
        nearest += [fifths + 6 + distance, fifths - distance]
    for position in nearest:
        step, alteration = _SHARPS[position % 7], position // 7
        names.setdefault((_STEPS[step] + alteration) % 12, (step, alteration))
    return tuple(names[pitch] for pitch in range(12))


def spell(pitch: int, fifths: int) -> tuple[str, int, int]:
    """Step, alteration and octave of a pitch in a key.

    Middle C is in octave 4.

    Arguments:
        pitch: MIDI pitch.
        fifths: of the key signature.
    """
    step, alteration = _spellings(fifths)[pitch % 12]
    octave = (pitch - alteration - _STEPS[step]) // 12 - 1
    return step, alteration, octave

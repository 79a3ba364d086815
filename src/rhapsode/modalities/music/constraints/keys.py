"""Names of keys, metres and ranges of pitches, as people write them."""

from __future__ import annotations

import re

from rhapsode.encoding.music.score import Key, Metre
from rhapsode.errors import SettingsError

_STEPS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11, "h": 11}
_SIGNS = {"": 0, "#": 1, "♯": 1, "s": 1, "b": -1, "♭": -1}
# Semitones of the scales from the tonic, and fifths from the major scale on the same tonic.
_MODES = {
    "major": ((0, 2, 4, 5, 7, 9, 11), 0),
    "minor": ((0, 2, 3, 5, 7, 8, 10), -3),
    "dorian": ((0, 2, 3, 5, 7, 9, 10), -2),
    "phrygian": ((0, 1, 3, 5, 7, 8, 10), -4),
    "lydian": ((0, 2, 4, 6, 7, 9, 11), 1),
    "mixolydian": ((0, 2, 4, 5, 7, 9, 10), -1),
}
_SHORT = {
    "": "major",
    "maj": "major",
    "m": "minor",
    "min": "minor",
    "dur": "major",
    "moll": "minor",
}
_KEY = re.compile(r"([a-hA-H])([#♯b♭]?)(?:[\s_-]*)([A-Za-z]*)")
_PITCH = re.compile(r"([a-gA-G])([#♯b♭]?)(-?\d)")


def key_of(text: str) -> tuple[Key, frozenset[int]]:
    """A key, and its pitch classes.

    Minor keys have the raised seventh degree too.

    Arguments:
        text: such as G, Gm, F#-minor, "Bb major", D-dorian.

    Raises:
        SettingsError: no key of that name.
    """
    match = _KEY.fullmatch(text.strip())
    mode = None
    if match is not None:
        word = match[3] if match[3] in {"m", "M"} else match[3].lower()
        mode = _SHORT.get(word, word if word in _MODES else None)
        mode = "major" if word == "M" else mode
    if match is None or mode is None:
        raise SettingsError(
            f"{text!r} is no key", where="--key", hint="write G, Gm, F#-minor, Bb-major or D-dorian"
        )
    tonic = (_STEPS[match[1].lower()] + _SIGNS[match[2]]) % 12
    steps, fifths = _MODES[mode]
    classes = {(tonic + step) % 12 for step in steps}
    if mode == "minor":
        classes.add((tonic + 11) % 12)
    # The fifths of a major key, from -6 to 5, moved towards the spelling that was asked for.
    sharps = (tonic * 7 + 6) % 12 - 6 + fifths
    if match[2] in {"b", "♭"} and sharps > 4:
        sharps -= 12
    if match[2] in {"#", "♯"} and sharps < -4:
        sharps += 12
    sharps = sharps - 12 if sharps > 7 else sharps + 12 if sharps < -7 else sharps
    return Key(0, sharps, mode in {"minor", "dorian", "phrygian"}), frozenset(classes)


def metre_of(text: str) -> Metre:
    """A metre such as 3/4.

    Raises:
        SettingsError: no metre.
    """
    beats, _, unit = text.strip().partition("/")
    if not (beats.isdigit() and unit.isdigit() and 1 <= int(beats) <= 64):
        raise SettingsError(f"{text!r} is no metre", where="--metre", hint="write 3/4 or 6/8")
    if int(unit) not in {1, 2, 4, 8, 16, 32}:
        raise SettingsError(
            f"the lower number of {text!r} is no power of two", where="--metre", hint="write 6/8"
        )
    return Metre(0, int(beats), int(unit))


def pitch_of(text: str) -> int:
    """A MIDI pitch by its number or name: 60 or C4.

    Raises:
        SettingsError: no pitch.
    """
    text = text.strip()
    if text.isdigit() and int(text) <= 127:
        return int(text)
    match = _PITCH.fullmatch(text)
    pitch = -1
    if match is not None:
        pitch = 12 * (int(match[3]) + 1) + _STEPS[match[1].lower()] + _SIGNS[match[2]]
    if not 0 <= pitch <= 127:
        raise SettingsError(f"{text!r} is no pitch", where="--range", hint="write 48:84 or C3:C6")
    return pitch


def range_of(text: str) -> tuple[int, int]:
    """The lowest and highest pitch of a range such as 48:84.

    Raises:
        SettingsError: no range.
    """
    low, colon, high = text.partition(":")
    if not colon:
        raise SettingsError(f"{text!r} is no range", where="--range", hint="write 48:84 or C3:C6")
    pitches = pitch_of(low), pitch_of(high)
    if pitches[0] > pitches[1]:
        raise SettingsError(f"the range {text!r} is empty", where="--range")
    return pitches

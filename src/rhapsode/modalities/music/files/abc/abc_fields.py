"""Fields of ABC notation: key, metre, unit length, tempo, order of parts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rhapsode.errors import DataError
from rhapsode.modalities.music.files.notation.measures import UNIT

_FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
_MODES = {
    "maj": 0, "ion": 0, "mix": -1, "dor": -2, "min": -3, "aeo": -3, "m": -3, "phr": -4, "lyd": 1,
    "loc": -5,
}  # fmt: skip
_KEY = re.compile(r"([A-G])([#b]?)\s*([A-Za-z]*)(.*)", re.DOTALL)
_ACCIDENTAL = re.compile(r"(\^\^|\^|__|_|=)\s*([A-Ga-g])(?![a-z])")
_OPTION = re.compile(r"\b(transpose|octave)\s*=\s*(-?\d{1,2})")
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SHARPS, _FLATS = "FCGDAEB", "BEADGCF"
ALTERATIONS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2, "^/": 1, "_/": -1}
MOST_PARTS = 10_000


@dataclass(frozen=True)
class KeySettings:
    """A key signature, and what `K:` and `V:` say beside it.

    Arguments:
        fifths: sharps, or flats as a negative number.
        minor: True for minor.
        alterations: of each step, in semitones.
        shift: semitones by which notes sound higher than written.
    """

    fifths: int = 0
    minor: bool = False
    alterations: dict[str, int] = field(default_factory=dict)
    shift: int = 0


def step_of_letter(letter: str) -> int:
    """Semitones of a note above C."""
    return _STEPS[letter.upper()]


def read_key(text: str, before: KeySettings | None = None) -> KeySettings:
    """The key of a `K:` field, or the key before."""
    shift = 0
    for name, number in _OPTION.findall(text):
        shift += int(number) * (12 if name == "octave" else 1)
    text = re.sub(
        r"\b(clef|middle|transpose|octave|stafflines|staffscale|m|t)\s*=\s*\S+", " ", text
    )
    text = text.strip()
    fifths, minor, rest = 0, False, text
    if text[:2].upper() == "HP":
        fifths, rest = (2, text[2:]) if text[:2] == "Hp" else (0, text[2:])
    elif text.lower().startswith("none"):
        rest = text[4:]
    else:
        found = _KEY.fullmatch(text)
        if found is None:
            if before is not None and not _ACCIDENTAL.search(text):
                return KeySettings(before.fifths, before.minor, before.alterations, shift)
        else:
            tonic, accidental, mode, rest = found.groups()
            mode = mode.lower()
            offset = _MODES.get(mode[:3], _MODES["m"] if mode == "m" else 0)
            if mode and mode[:3] not in _MODES and mode != "m":
                rest = f"{mode} {rest}"
                second = re.match(r"\s*(\w+)", rest)
                offset = _MODES.get(second[1][:3].lower(), 0) if second else 0
            elif not mode:
                second = re.match(r"\s*([A-Za-z]+)", rest)
                offset = _MODES.get(second[1][:3].lower(), 0) if second else 0
            fifths = _FIFTHS[tonic] + (7 if accidental == "#" else -7 if accidental == "b" else 0)
            fifths += offset
            minor = offset == -3
    fifths = max(-7, min(7, fifths))
    alterations = signature(fifths)
    if "exp" in rest.split():
        alterations = {}
    for sign, letter in _ACCIDENTAL.findall(rest):
        alterations[letter.upper()] = ALTERATIONS[sign]
    return KeySettings(fifths, minor, alterations, shift)


def signature(fifths: int) -> dict[str, int]:
    """Alterations of a key signature by step."""
    if fifths >= 0:
        return dict.fromkeys(_SHARPS[:fifths], 1)
    return dict.fromkeys(_FLATS[:-fifths], -1)


def read_metre(text: str) -> tuple[int, int] | None:
    """Beats and unit of an `M:` field; None for free time."""
    text = text.partition("%")[0].strip()
    if text in ("C", "c"):
        return 4, 4
    if text in ("C|", "c|"):
        return 2, 2
    found = re.match(r"\(?\s*(\d{1,3}(?:\s*\+\s*\d{1,3})*)\s*\)?\s*/\s*(\d{1,3})", text)
    if found is None:
        return None
    beats = sum(int(part) for part in found[1].split("+"))
    unit = int(found[2])
    if not 0 < beats < 256 or unit not in (1, 2, 4, 8, 16, 32, 64):
        return None
    return beats, unit


def read_unit(text: str) -> int | None:
    """Time units of an `L:` field; None for nonsense."""
    found = re.match(r"\s*(\d{1,3})\s*(?:/\s*(\d{1,4}))?", text)
    if found is None or int(found[2] or 1) == 0 or int(found[1]) == 0:
        return None
    return max(1, 4 * UNIT * int(found[1]) // int(found[2] or 1))


def default_unit(metre: tuple[int, int] | None) -> int:
    """Time units of a note where no field gives them.

    A sixteenth in metres shorter than 3/4, an eighth in others.
    """
    if metre is not None and metre[0] / metre[1] < 0.75:
        return UNIT // 4
    return UNIT // 2


def read_tempo(text: str, unit: int) -> float | None:
    """Quarters a minute of a `Q:` field; None without a number."""
    text = re.sub(r'"[^"]*"', " ", text)
    beat = 0.0
    sides = text.split("=")
    number = re.search(r"\d+(?:\.\d+)?", sides[-1])
    if number is None:
        return None
    if len(sides) > 1:
        for above, below in re.findall(r"(\d{1,3})\s*/\s*(\d{1,3})", sides[0]):
            beat += 4 * int(above) / int(below) if int(below) else 0
        if not beat:
            counted = re.search(r"[A-Ca-c]?\s*(\d{0,2})", sides[0])
            beat = unit / UNIT * int(counted[1] or 1) if counted else 0
    else:
        beat = unit / UNIT
    quarters = float(number[0]) * beat
    return quarters if 1 <= quarters <= 2000 else None


def read_parts(text: str, where: str) -> str:
    """Labels of a `P:` field in the order of playing.

    `A2(BC)2` is AABCBC.

    Raises:
        DataError: brackets that do not match, or an endless order.
    """
    stack: list[list[str]] = [[]]
    for part in re.findall(r"[A-Za-z()]|\d+", text):
        if part == "(":
            stack.append([])
        elif part == ")":
            if len(stack) < 2:
                raise DataError(f"a bracket without its beginning in P:{text}", where=where)
            group = "".join(stack.pop())
            stack[-1].append(group)
        elif part.isdigit():
            if stack[-1]:
                times = min(int(part[:4]), MOST_PARTS)
                if times * len(stack[-1][-1]) > MOST_PARTS:
                    raise DataError(f"P:{text} plays more than {MOST_PARTS:,} parts", where=where)
                stack[-1][-1] *= times
        else:
            stack[-1].append(part)
    order = "".join("".join(level) for level in stack)
    if len(order) > MOST_PARTS:
        raise DataError(f"P:{text} plays more than {MOST_PARTS:,} parts", where=where)
    return order

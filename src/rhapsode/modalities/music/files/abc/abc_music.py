"""Lines of ABC music as measures."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from rhapsode.errors import DataError
from rhapsode.modalities.music.files.abc.abc_fields import (
    ALTERATIONS,
    KeySettings,
    default_unit,
    read_key,
    read_metre,
    read_tempo,
    read_unit,
    step_of_letter,
)
from rhapsode.modalities.music.files.notation.measures import UNIT, Measure, WrittenNote
from rhapsode.modalities.music.files.reading_result import Repairs

LONGEST_NOTE = 64 * UNIT
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t`$]+|y\d*)
  | (?P<note>(?:\^\^|\^/?|__|_/?|=)?[A-Ga-g][,']*[0-9]*[/0-9]*)
  | (?P<rest>[zxZX][0-9]*[/0-9]*)
  | (?P<bar>\.?(?::*\[?\|[|\]]*:*|::+))
  | (?P<ending>\[\s*[0-9][0-9,\-.]*)
  | (?P<field>\[[A-Za-z]:[^\]]*\])
  | (?P<text>"[^"]*"?)
  | (?P<grace>\{[^}]*\}?)
  | (?P<tuplet>\([0-9](?::[0-9]*){0,2})
  | (?P<broken><+|>+)
  | (?P<tie>-)
  | (?P<chord>\[)
  | (?P<close>\][0-9]*[/0-9]*)
  | (?P<decoration>![^!\s|]*!|\+[a-zA-Z0-9.()]+\+|[~.HLMOPSTuvJRhijklmnopqrstwxNQIKUVW])
  | (?P<slur>[()])
  | (?P<overlay>&)
  | (?P<other>.)
    """,
    re.VERBOSE,
)
_NOTE = re.compile(r"(\^\^|\^/?|__|_/?|=)?([A-Ga-g])([,']*)(.*)")
_CHORD_NAME = re.compile(r"[A-G][#b]?[^\s]{0,16}")
_NUMBERED = re.compile(r"[0-9][0-9,\-.]*")


@dataclass
class _Tuplet:
    left: int
    above: int  # a length is multiplied by above / below
    below: int


@dataclass
class Voice:
    """Music of one voice while it is read.

    Arguments:
        unit: time units of a note without a length.
        metre: beats and unit.
        key: of the notes that follow.
    """

    unit: int
    metre: tuple[int, int] | None
    key: KeySettings
    measures: list[Measure] = field(default_factory=list)
    program: int = 0
    drums: bool = False
    has_unit: bool = False
    at: int = 0
    tuplet: _Tuplet | None = None
    lengthen: tuple[int, int] | None = None  # of the next note, from a broken rhythm
    last: list[WrittenNote] = field(default_factory=list)
    accidentals: dict[str, int] = field(default_factory=dict)
    current: Measure = field(default_factory=Measure)
    after_bar: bool = False
    quarters: float | None = None

    def __post_init__(self) -> None:
        self._begin(0)

    def _begin(self, line: int) -> None:
        self.current = Measure(line, metre=self.metre, key=(self.key.fifths, self.key.minor))
        self.at = 0
        self.accidentals = {}

    def set_tempo(self, quarters: float | None) -> None:
        """Change the tempo from here on."""
        if quarters is not None:
            self.current.tempos.append((self.at, quarters))

    def set_metre(self, metre: tuple[int, int] | None) -> None:
        """Change the metre, and the unit length if nothing has set it."""
        self.metre = metre
        if not self.has_unit:
            self.unit = default_unit(metre)
        if not self.current.notes and self.at == 0:
            self.current.metre = metre

    def set_key(self, key: KeySettings) -> None:
        """Change the key."""
        self.key = key
        self.accidentals.clear()
        if not self.current.notes and self.at == 0:
            self.current.key = key.fifths, key.minor
        else:
            self.current.keys.append((self.at, key.fifths, key.minor))

    def set_part(self, label: str, line: int) -> None:
        """Begin a part."""
        self.close(line)
        self.current.part = label

    def close(self, line: int) -> Measure | None:
        """End the measure; return the last one that is not empty."""
        self.current.length = max(self.current.length, self.at)
        if self.current.length:
            self.measures.append(self.current)
            self._begin(line)
        return self.measures[-1] if self.measures else None

    def bar_line(self, text: str, line: int) -> None:
        """End the measure with a bar line."""
        text = text.lstrip(".")
        before = self.close(line)
        bars = text.strip(":")
        opens = text.endswith(":") and bool(bars or "::" in text)
        closes = len(text) - len(text.lstrip(":")) if bars else (1 if "::" in text else 0)
        if before is not None:
            before.closes = max(before.closes, min(closes, 8))
            if "||" in text or "|]" in text or "[|" in text:
                before.last = True
        if opens:
            self.current.opens = True
        self.after_bar = True

    def begin_ending(self, text: str, line: int) -> None:
        """Begin an ending: `[1`, `[1,3`, `[1-3`."""
        self.close(line)
        passes: set[int] = set()
        for part in re.findall(r"\d+(?:-\d+)?", text):
            low, _, high = part.partition("-")
            first = int(low[:3])
            passes.update(range(first, min(int((high or low)[:3]), first + 50) + 1))
        self.current.endings = frozenset(passes)

    def add(self, notes: list[WrittenNote]) -> None:
        """Put notes that begin together after the last ones."""
        self.current.notes += notes
        self.last = notes
        self.at += max((note.length for note in notes), default=0)

    def length(self, text: str, where: str) -> int:
        """Time units of a length in its tuplet and broken rhythm."""
        above, below = length_of(text)
        units = self.unit * above
        if self.lengthen is not None:
            units, below = units * self.lengthen[0], below * self.lengthen[1]
            self.lengthen = None
        if self.tuplet is not None:
            units, below = units * self.tuplet.above, below * self.tuplet.below
            self.tuplet.left -= 1
            if self.tuplet.left <= 0:
                self.tuplet = None
        units = (2 * units + below) // (2 * below)
        if units > LONGEST_NOTE:
            raise DataError("a note longer than 64 quarters", where=where)
        return max(1, units)


@lru_cache(8192)
def length_of(text: str) -> tuple[int, int]:
    """Numerator and denominator of a length.

    `/` is 1/2, `//` is 1/4, `3/` is 3/2.
    """
    if not text:
        return 1, 1
    above, slash, below = text.partition("/")
    top = int(above[:6]) if above else 1
    if not slash:
        return top, 1
    slashes = below.count("/") + 1
    digits = below.replace("/", "")[:6]
    bottom = int(digits) if digits else 1 << min(slashes, 12)
    return top, max(1, bottom)


def read_music(voice: Voice, text: str, where: str, line: int, repairs: Repairs) -> Voice | str:
    """Read a line of music into a voice.

    Arguments:
        voice: receives the music.
        text: the line; a change of voice inside it ends the reading.
        where: for messages.
        line: its number.
        repairs: counts what is left out.

    Returns:
        The voice, or the rest of the line from a change of voice on.

    Raises:
        DataError: a note that is too long.
    """
    inside: list[WrittenNote] | None = None
    inside_unit = 1, 1
    for found in _TOKEN.finditer(text):
        kind, symbol = found.lastgroup, found[0]
        if kind == "note":
            note, length = _note(voice, symbol)
            if inside is None:
                note.length = voice.length(length, where)
                note.start = voice.at
                voice.add([note])
            else:
                if not inside:
                    inside_unit = length_of(length)
                inside.append(note)
        elif kind == "bar":
            inside = None
            voice.bar_line(symbol, line)
            more = _NUMBERED.match(text, found.end())
            if more:  # an ending beside its bar line: |1
                voice.begin_ending(more[0], line)
            continue
        elif kind == "space":
            continue
        elif kind == "text":
            _text(voice, symbol.strip('"'), repairs)
        elif kind == "rest":
            if symbol[0] in "ZX":
                bars = min(max(1, length_of(symbol[1:])[0]), 1000)
                metre = voice.metre or (4, 4)
                for _ in range(bars):
                    voice.at += 4 * UNIT * metre[0] // metre[1]
                    voice.close(line)
            else:
                voice.at += voice.length(symbol[1:], where)
            voice.last = []
        elif kind == "chord":
            inside, inside_unit = [], (1, 1)
        elif kind == "close":
            if inside:
                above, below = length_of(symbol[1:])
                length = f"{above * inside_unit[0]}/{below * inside_unit[1]}"
                units = voice.length(length, where)
                for note in inside:
                    note.start, note.length = voice.at, units
                voice.add(inside)
            inside = None
        elif kind == "tie":
            for note in inside[-1:] if inside else voice.last:
                note.tie = True
        elif kind == "broken":
            _break_rhythm(voice, symbol)
        elif kind == "tuplet":
            _begin_tuplet(voice, symbol)
        elif kind == "ending":
            voice.begin_ending(symbol, line)
        elif kind == "field":
            if symbol[1] == "V":
                return symbol[3:-1].strip() + "\n" + text[found.end() :]
            read_field(voice, symbol[1], symbol[3:-1].strip(), line)
        elif kind == "grace":
            repairs.add("grace notes left out", len(re.findall("[A-Ga-g]", symbol)))
        elif kind == "overlay":
            voice.current.length = max(voice.current.length, voice.at)
            voice.at, voice.accidentals, voice.last = 0, {}, []
        elif kind == "other" and not (symbol == "]" or voice.after_bar):
            repairs.add("unknown characters skipped")
        voice.after_bar = False
    return voice


def read_field(voice: Voice, letter: str, value: str, line: int) -> None:
    """Apply a field that stands in the music."""
    if letter == "K":
        voice.set_key(read_key(value, voice.key))
    elif letter == "M":
        voice.set_metre(read_metre(value))
    elif letter == "L":
        unit = read_unit(value)
        if unit is not None:
            voice.unit, voice.has_unit = unit, True
    elif letter == "Q":
        voice.set_tempo(read_tempo(value, voice.unit))
    elif letter == "P" and value:
        voice.set_part(value[0], line)


@lru_cache(8192)
def _parts_of_note(token: str) -> tuple[int | None, str, int, str]:
    """Alteration, step, pitch without alteration, and length of a note."""
    found = _NOTE.fullmatch(token)
    assert found is not None
    sign, letter, marks, length = found.groups()
    octave = 5 if letter.islower() else 4
    octave += marks.count("'") - marks.count(",")
    step = letter.upper()
    alteration = ALTERATIONS[sign] if sign else None
    return alteration, step, 12 * (octave + 1) + step_of_letter(step), length


def _note(voice: Voice, token: str) -> tuple[WrittenNote, str]:
    """A note with its pitch, without its time, and its length as written."""
    alteration, step, pitch, length = _parts_of_note(token)
    if alteration is not None:
        voice.accidentals[step] = alteration
    elif step in voice.accidentals:
        alteration = voice.accidentals[step]
    else:
        alteration = voice.key.alterations.get(step, 0)
    pitch += alteration + voice.key.shift
    return WrittenNote(0, 0, max(0, min(127, pitch))), length


def _text(voice: Voice, text: str, repairs: Repairs) -> None:
    """A chord symbol, or an annotation, which is left out."""
    text = text.strip()
    if text and text[0] not in "^_<>@" and _CHORD_NAME.fullmatch(text):
        voice.current.chords.append((voice.at, text))
    elif text:
        repairs.add("annotations left out")


def _break_rhythm(voice: Voice, token: str) -> None:
    """Lengthen one neighbour of `>` by half, and shorten the other one."""
    below = 1 << min(len(token), 3)
    longer, shorter = (2 * below - 1, below), (1, below)
    first, second = (longer, shorter) if token[0] == ">" else (shorter, longer)
    if not voice.last:
        return
    before = voice.last[0].length
    units = before * first[0] // first[1]
    for note in voice.last:
        note.length = units
    voice.at += units - before
    voice.lengthen = second


def _begin_tuplet(voice: Voice, token: str) -> None:
    numbers = [int(part) if part else 0 for part in token[1:].split(":")]
    count = numbers[0]
    metre = voice.metre or (4, 4)
    is_compound = metre[0] % 3 == 0 and metre[0] > 3 and metre[1] >= 8
    usual = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}.get(count, 3 if is_compound else 2)
    time = numbers[1] if len(numbers) > 1 and numbers[1] else usual
    left = numbers[2] if len(numbers) > 2 and numbers[2] else count
    if count > 1 and time > 0:
        voice.tuplet = _Tuplet(left, time, count)

"""Scores as tunes in ABC notation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from rhapsode.encoding.music.score import ChordSymbol, Key, Metre, Score, Tempo
from rhapsode.modalities.music.files.notation.layers import (
    GRID,
    Bar,
    Stretch,
    bars_of_track,
    on_grid,
)
from rhapsode.modalities.music.files.notation.spelling import signature, spell

_SIGNS = {2: "^^", 1: "^", 0: "=", -1: "_", -2: "__"}
_MAJOR = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
_MINOR = ("Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")
_EIGHTH = GRID // 2
_BARS_A_LINE = 4


def abc_text(score: Score, number: int = 1) -> str:
    """A tune of a score.

    Times are rounded to 48ths of a quarter note. Velocities and pedals are lost.

    Arguments:
        score: the music.
        number: of the tune, for `X:`.
    """
    score = on_grid(score)
    first_metre = next((metre for metre in score.metres if metre.start == 0), Metre(0, 4, 4))
    first_key = next((key for key in score.keys if key.start == 0), Key(0, 0))
    lines = [f"X:{number}", f"T:{' '.join(score.title.split()) or 'Untitled'}"]
    lines += [f"M:{first_metre.beats}/{first_metre.unit}", "L:1/8"]
    if score.tempos and score.tempos[0].start == 0:
        lines.append(f"Q:1/4={score.tempos[0].quarters:.10g}")
    lines.append(f"K:{key_name(first_key)}")
    several = len(score.tracks) > 1 or score.tracks[0].name or score.tracks[0].drums
    for index, track in enumerate(score.tracks):
        if several:
            name = track.name.replace('"', "'")
            lines.append(f'V:{index + 1} name="{name}"' if name else f"V:{index + 1}")
        if track.program:
            lines.append(f"%%MIDI program {track.program}")
        if track.drums:
            lines.append("%%MIDI channel 10")
        lines += _lines(score, index)
    return "\n".join(lines) + "\n"


def key_name(key: Key) -> str:
    """A key as ABC names it: `F#m`."""
    return f"{_MINOR[key.fifths + 7]}m" if key.minor else _MAJOR[key.fifths + 7]


@dataclass
class _State:
    """Fields in force while a track is written."""

    metre: tuple[int, int]
    key: Key
    altered: dict[str, int] = field(default_factory=dict)


def _lines(score: Score, track: int) -> Iterator[str]:
    symbols = _symbols(score, track)
    bars = bars_of_track(score, track, symbols)
    first = next((metre for metre in score.metres if metre.start == 0), Metre(0, 4, 4))
    key = next((key for key in score.keys if key.start == 0), Key(0, 0))
    state = _State((first.beats, first.unit), key)
    line: list[str] = []
    for index, bar in enumerate(bars):
        metre = ""
        if (bar.metre.beats, bar.metre.unit) != state.metre:
            state.metre = bar.metre.beats, bar.metre.unit
            metre = f"[M:{bar.metre.beats}/{bar.metre.unit}]"
        end = " |]" if index == len(bars) - 1 else " |"
        line.append(metre + _bar(bar, state, symbols) + end)
        if len(line) == _BARS_A_LINE or index == len(bars) - 1:
            yield " ".join(line)
            line = []


def _symbols(score: Score, track: int) -> dict[int, list[Tempo | Key | ChordSymbol]]:
    """Tempos, keys and chord symbols after the first, by their ticks.

    Keys are of all tracks, the rest of the first one.
    """
    found: dict[int, list[Tempo | Key | ChordSymbol]] = {}
    shared: Sequence[Tempo | Key | ChordSymbol] = [key for key in score.keys if key.start]
    if track == 0:
        tempos = [tempo for tempo in score.tempos if tempo.start]
        shared = [*tempos, *shared, *score.chords]
    for symbol in shared:
        found.setdefault(symbol.start, []).append(symbol)
    return found


def _bar(bar: Bar, state: _State, symbols: Mapping[int, list[Tempo | Key | ChordSymbol]]) -> str:
    layers = []
    for number, layer in enumerate(bar.layers):
        parts = []
        state.altered = {}
        for item in layer:
            # Later layers are in the last key of the bar, as readers are by then.
            for symbol in symbols.get(item.start, ()) if number == 0 else ():
                if isinstance(symbol, Key):
                    state.key, state.altered = symbol, {}
                parts.append(_symbol(symbol))
            parts.append(_stretch(item, state, hidden=number > 0))
            if (item.start + item.length - bar.start) % GRID == 0:
                parts.append(" ")
        layers.append("".join(parts).strip())
    return " & ".join(layers)


def _symbol(symbol: Tempo | Key | ChordSymbol) -> str:
    if isinstance(symbol, Tempo):
        return f"[Q:1/4={symbol.quarters:.10g}]"
    if isinstance(symbol, Key):
        return f"[K:{key_name(symbol)}]"
    name = symbol.name.replace('"', "'")
    return f'"{name}"'


def _stretch(item: Stretch, state: _State, *, hidden: bool) -> str:
    length = Fraction(item.length, _EIGHTH)
    tuplet = ""
    if length.denominator % 3 == 0:
        tuplet, length = "(3:2:1", length * Fraction(3, 2)
    text = _length(length)
    if not item.pitches:
        return f"{tuplet}{'x' if hidden else 'z'}{text}"
    notes = [
        _note(pitch, state) + ("-" if tied else "")
        for pitch, tied in zip(item.pitches, item.tied, strict=True)
    ]
    if len(notes) == 1:
        name, tie = notes[0].removesuffix("-"), "-" if notes[0].endswith("-") else ""
        return f"{tuplet}{name}{text}{tie}"
    return f"{tuplet}[{''.join(notes)}]{text}"


def _length(length: Fraction) -> str:
    if length.denominator == 1:
        return "" if length == 1 else str(length.numerator)
    above = "" if length.numerator == 1 else str(length.numerator)
    return f"{above}/{'' if length.denominator == 2 else length.denominator}"


def _note(pitch: int, state: _State) -> str:
    step, alteration, octave = spell(pitch, state.key.fifths)
    usual = signature(state.key.fifths).get(step, 0)
    sign = ""
    if alteration != usual or step in state.altered:
        # Readers differ in whether a sign holds in other octaves: it is written again.
        sign = _SIGNS[alteration]
        state.altered[step] = alteration
    if octave >= 5:
        return sign + step.lower() + "'" * (octave - 5)
    return sign + step + "," * (4 - octave)

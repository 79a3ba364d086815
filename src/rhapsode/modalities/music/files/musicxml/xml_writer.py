"""Scores as MusicXML, for engraving and for notation programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from xml.sax.saxutils import escape

import numpy as np

from rhapsode.encoding.music.score import ChordSymbol, Key, Metre, Score, Tempo
from rhapsode.modalities.music.files.notation.layers import (
    GRID,
    Bar,
    Stretch,
    bars_of_track,
    on_grid,
)
from rhapsode.modalities.music.files.notation.spelling import signature, spell

_TYPES = ("whole", "half", "quarter", "eighth", "16th", "32nd", "64th")
# Ticks -> name, dots, True for triplets.
_VALUES: dict[int, tuple[str, int, bool]] = {}
for _place, _name in enumerate(_TYPES):
    _ticks = 4 * GRID / 2**_place
    for _dots, _factor, _triplet in ((0, 1.0, False), (1, 1.5, False), (0, 2 / 3, True)):
        if abs(_ticks * _factor - round(_ticks * _factor)) < 1e-9:
            _VALUES.setdefault(round(_ticks * _factor), (_name, _dots, _triplet))
_BEAMS = {"eighth": 1, "16th": 2, "32nd": 3, "64th": 4}
_KINDS = (
    ("maj7", "major-seventh"), ("m7b5", "half-diminished"), ("min7", "minor-seventh"),
    ("m7", "minor-seventh"), ("dim7", "diminished-seventh"), ("dim", "diminished"),
    ("aug", "augmented"), ("sus4", "suspended-fourth"), ("sus2", "suspended-second"),
    ("maj", "major"), ("min", "minor"), ("m6", "minor-sixth"), ("m", "minor"), ("+", "augmented"),
    ("7", "dominant"), ("6", "major-sixth"), ("", "major"),
)  # fmt: skip


@dataclass(frozen=True)
class _Sign:
    """A note, chord or rest with one note value."""

    stretch: Stretch
    name: str
    dots: int
    triplet: bool
    tuplet: str = ""  # start, stop
    beams: tuple[str, ...] = ()


def musicxml_text(score: Score) -> str:
    """A MusicXML document of a score.

    Times are rounded to 48ths of a quarter note. Each track is a part, simultaneous notes of
    different lengths are voices.

    Arguments:
        score: the music.
    """
    score = on_grid(score)
    parts = "".join(_described(score, index) for index in range(len(score.tracks)))
    bodies = "".join(
        f'<part id="P{index + 1}">\n{"".join(_measures(score, index))}</part>\n'
        for index in range(len(score.tracks))
    )
    title = f"<work><work-title>{escape(score.title)}</work-title></work>\n" if score.title else ""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
        '"http://www.musicxml.org/dtds/partwise.dtd">\n'
        f'<score-partwise version="4.0">\n{title}<part-list>\n{parts}</part-list>\n{bodies}'
        "</score-partwise>\n"
    )
    return "".join(character for character in text if character >= " " or character in "\n\t")


def _described(score: Score, index: int) -> str:
    """A part in the list of parts; each drum is an instrument of its own."""
    track, part = score.tracks[index], f"P{index + 1}"
    name = escape(track.name)
    channel = 10 if track.drums else index % 9 + 1
    numbers = [0]
    if track.drums:
        numbers = sorted(set(score.notes.pitch_N[score.notes.track_N == index].tolist())) or [0]
    instruments = "".join(
        f'<score-instrument id="{part}-I{number}"><instrument-name>{name}</instrument-name>'
        "</score-instrument>"
        for number in numbers
    )
    sounds = "".join(
        f'<midi-instrument id="{part}-I{number}"><midi-channel>{channel}</midi-channel>'
        f"<midi-program>{track.program + 1}</midi-program>"
        + (f"<midi-unpitched>{number + 1}</midi-unpitched>" if track.drums else "")
        + "</midi-instrument>"
        for number in numbers
    )
    return (
        f'<score-part id="{part}"><part-name>{name}</part-name>{instruments}{sounds}</score-part>\n'
    )


def _measures(score: Score, track: int) -> Iterator[str]:
    symbols: list[ChordSymbol | Tempo] = []
    if track == 0:
        symbols = [*score.tempos, *score.chords]
    bars = bars_of_track(score, track, [symbol.start for symbol in symbols])
    metre: Metre | None = None
    fifths = 0
    keys = {_bar_of(key.start, bars): key for key in score.keys}
    for index, bar in enumerate(bars):
        key = keys.get(index, Key(0, 0) if index == 0 else None)
        attributes = f"<divisions>{GRID}</divisions>" if index == 0 else ""
        if key is not None:
            fifths = key.fifths
            mode = "minor" if key.minor else "major"
            attributes += f"<key><fifths>{fifths}</fifths><mode>{mode}</mode></key>"
        if metre is None or (bar.metre.beats, bar.metre.unit) != (metre.beats, metre.unit):
            metre = bar.metre
            attributes += (
                f"<time><beats>{metre.beats}</beats><beat-type>{metre.unit}</beat-type></time>"
            )
        if index == 0:
            attributes += _clef(score, track)
        if attributes:
            attributes = f"<attributes>{attributes}</attributes>\n"
        is_upbeat = index == 0 and score.upbeat
        number = f'number="{index + (0 if score.upbeat else 1)}"'
        implicit = ' implicit="yes"' if is_upbeat else ""
        voices = "".join(
            _voices(bar, symbols, fifths, drums=score.tracks[track].drums, track=track)
        )
        last = index == len(bars) - 1
        line = '<barline location="right"><bar-style>light-heavy</bar-style></barline>\n'
        content = f"{attributes}{voices}{line if last else ''}"
        yield f"<measure {number}{implicit}>\n{content}</measure>\n"


def _bar_of(tick: int, bars: Sequence[Bar]) -> int:
    """The bar that a key is written at: the one that begins there, or the next one."""
    return next((index for index, bar in enumerate(bars) if bar.start >= tick), len(bars))


def _clef(score: Score, track: int) -> str:
    if score.tracks[track].drums:
        return "<clef><sign>percussion</sign></clef>"
    pitch_N = score.notes.pitch_N[score.notes.track_N == track]
    is_low = len(pitch_N) > 0 and float(np.median(pitch_N)) < 58
    sign, line = ("F", 4) if is_low else ("G", 2)
    return f"<clef><sign>{sign}</sign><line>{line}</line></clef>"


def _voices(
    bar: Bar, symbols: Sequence[ChordSymbol | Tempo], fifths: int, *, drums: bool, track: int
) -> Iterator[str]:
    altered: dict[tuple[str, int], int] = {}
    for number, layer in enumerate(bar.layers):
        if number:
            yield f"<backup><duration>{bar.length}</duration></backup>\n"
        signs = _beamed(_tupled([sign for item in layer for sign in _signs(item, bar)], bar), bar)
        whole_rest = len(layer) == 1 and not layer[0].pitches
        if whole_rest:
            signs = [_Sign(layer[0], "", 0, False)]
        told: set[int] = set()
        for sign in signs:
            if number == 0 and sign.stretch.start not in told:
                told.add(sign.stretch.start)
                for symbol in symbols:
                    if symbol.start == sign.stretch.start:
                        yield _symbol(symbol)
            yield from _notes(sign, number + 1, fifths, altered, drums=drums, track=track)


def _symbol(symbol: ChordSymbol | Tempo) -> str:
    if isinstance(symbol, Tempo):
        speed = f"{symbol.quarters:.10g}"
        if symbol.start:  # heard, not printed: played music has hundreds of them
            return f'<sound tempo="{speed}"/>\n'
        return (
            '<direction placement="above"><direction-type><metronome><beat-unit>quarter</beat-unit>'
            f"<per-minute>{symbol.quarters:.4g}</per-minute></metronome></direction-type>"
            f'<sound tempo="{speed}"/></direction>\n'
        )
    name = symbol.name
    root, rest = name[:1], name[1:]
    if root not in "ABCDEFG" or not root:
        words = f"<direction-type><words>{escape(name)}</words></direction-type>"
        return f"<direction>{words}</direction>\n"
    alter = {"#": 1, "b": -1}.get(rest[:1], 0)
    rest = rest[1:] if alter else rest
    quality, _, bass = rest.partition("/")
    kind = next(value for start, value in _KINDS if quality.startswith(start))
    root_alter = f"<root-alter>{alter}</root-alter>" if alter else ""
    low = ""
    if bass[:1] in tuple("ABCDEFG"):
        bass_alter = {"#": 1, "b": -1}.get(bass[1:2], 0)
        low = f"<bass><bass-step>{bass[0]}</bass-step>"
        low += f"<bass-alter>{bass_alter}</bass-alter>" if bass_alter else ""
        low += "</bass>"
    if bass and not low:  # a bass in other words than ours
        quality = f"{quality}/{bass}"
    attribute = escape(quality, {'"': "&quot;"})
    return (
        f"<harmony><root><root-step>{root}</root-step>{root_alter}</root>"
        f'<kind text="{attribute}">{kind}</kind>{low}</harmony>\n'
    )


def _signs(item: Stretch, bar: Bar) -> Iterator[_Sign]:
    """A stretch as note values, tied to one another.

    A rest, and a note without a value of its own, is divided at multiples of the value.
    """
    value = _VALUES.get(item.length)
    place = item.start - bar.start
    if value is not None and (item.pitches or (place % max(1, item.length) == 0 and not value[1])):
        yield _Sign(item, *value)
        return
    at, end = item.start, item.start + item.length
    while at < end:
        room = end - at
        place = at - bar.start
        sizes = sorted((size for size in _VALUES if size <= room), reverse=True)
        plain = [size for size in sizes if not _VALUES[size][1] and not _VALUES[size][2]]
        triplets = [size for size in sizes if _VALUES[size][2]]
        size = next(
            (size for size in plain if place % size == 0 and _fits(place + size, room - size)), 0
        )
        if not size:
            size = next((size for size in triplets if place % size == 0), 0)
        if not size:
            size = sizes[0] if sizes else room
        count = len(item.pitches)
        part = replace(
            item,
            start=at,
            length=size,
            tied=(True,) * count if at + size < end else item.tied,
            begun=(True,) * count if at > item.start else item.begun,
        )
        yield _Sign(part, *_VALUES.get(size, ("64th", 0, False)))
        at += size


def _fits(place: int, room: int) -> bool:
    """True if the rest of a stretch can be written as note values."""
    return room % 3 == 0 or place % 8 == 0


def _tupled(signs: Sequence[_Sign], bar: Bar) -> list[_Sign]:
    """Signs with marks where a group of triplets begins and ends."""
    marked = list(signs)
    first: int | None = None
    for index, sign in enumerate(marked):
        if not sign.triplet:
            first = None
            continue
        end = sign.stretch.start + sign.stretch.length - bar.start
        closes = end % (GRID // 2) == 0
        if first is None and not closes:
            first = index
            marked[index] = replace(sign, tuplet="start")
        elif first is not None and closes:
            marked[index] = replace(sign, tuplet="stop")
            first = None
    if first is not None:  # a group that its bar does not close has no bracket
        marked[first] = replace(marked[first], tuplet="")
    return marked


def _beamed(signs: Sequence[_Sign], bar: Bar) -> list[_Sign]:
    """Signs with beams within each beat."""
    compound = bar.metre.unit >= 8 and bar.metre.beats % 3 == 0
    beat = 4 * GRID // bar.metre.unit * 3 if compound else max(GRID, 4 * GRID // bar.metre.unit)
    # An upbeat is the end of a bar.
    shift = -bar.length % beat if bar.start == 0 else 0
    groups: list[list[int]] = []
    before: int | None = None
    for index, sign in enumerate(signs):
        place = (sign.stretch.start - bar.start + shift) // beat
        if not sign.stretch.pitches or sign.name not in _BEAMS:
            before = None
            continue
        if before == place:
            groups[-1].append(index)
        else:
            groups.append([index])
        before = place
    beamed = list(signs)
    for group in groups:
        levels = [_BEAMS[signs[index].name] for index in group]
        if len(group) < 2:
            continue
        for position, index in enumerate(group):
            marks = []
            for level in range(1, levels[position] + 1):
                left = position > 0 and levels[position - 1] >= level
                right = position + 1 < len(group) and levels[position + 1] >= level
                if left and right:
                    marks.append("continue")
                elif right:
                    marks.append("begin")
                elif left:
                    marks.append("end")
                else:
                    marks.append("backward hook" if position else "forward hook")
            beamed[index] = replace(signs[index], beams=tuple(marks))
    return beamed


def _notes(
    sign: _Sign,
    voice: int,
    fifths: int,
    altered: dict[tuple[str, int], int],
    *,
    drums: bool,
    track: int,
) -> Iterator[str]:
    item = sign.stretch
    kind = f"<type>{sign.name}</type>" + "<dot/>" * sign.dots if sign.name else ""
    if sign.triplet:
        kind += (
            "<time-modification><actual-notes>3</actual-notes>"
            "<normal-notes>2</normal-notes></time-modification>"
        )
    bracket = f'<tuplet type="{sign.tuplet}"/>' if sign.tuplet else ""
    time = f"<duration>{item.length}</duration>"
    if not item.pitches:
        measure = "" if sign.name else ' measure="yes"'
        hidden = "" if voice == 1 else ' print-object="no"'
        notations = f"<notations>{bracket}</notations>" if bracket else ""
        rest = f"<rest{measure}/>{time}<voice>{voice}</voice>"
        yield f"<note{hidden}>{rest}{kind}{notations}</note>\n"
        return
    beams = "".join(
        f'<beam number="{level}">{mark}</beam>' for level, mark in enumerate(sign.beams, 1)
    )
    for index, pitch in enumerate(item.pitches):
        ties = '<tie type="stop"/>' if item.begun[index] else ""
        ties += '<tie type="start"/>' if item.tied[index] else ""
        tied = '<tied type="stop"/>' if item.begun[index] else ""
        tied += '<tied type="start"/>' if item.tied[index] else ""
        notations = tied + (bracket if index == 0 else "")
        notations = f"<notations>{notations}</notations>" if notations else ""
        step, alteration, octave = spell(pitch, 0 if drums else fifths)
        if drums:
            sound = (
                f"<unpitched><display-step>{step}</display-step>"
                f"<display-octave>{octave}</display-octave></unpitched>"
            )
            accidental = ""
        else:
            alter = f"<alter>{alteration}</alter>" if alteration else ""
            sound = f"<pitch><step>{step}</step>{alter}<octave>{octave}</octave></pitch>"
            accidental = ""
            if not item.begun[index]:
                accidental = _accidental((step, alteration, octave), fifths, altered)
        chord = "<chord/>" if index else ""
        instrument = f'<instrument id="P{track + 1}-I{pitch if drums else 0}"/>'
        yield (
            f"<note>{chord}{sound}{time}{ties}{instrument}<voice>{voice}</voice>{kind}{accidental}"
            f"{beams if index == 0 else ''}{notations}</note>\n"
        )


def _accidental(
    spelled: tuple[str, int, int], fifths: int, altered: dict[tuple[str, int], int]
) -> str:
    """The sign before a note, where the key and the bar so far do not give it."""
    step, alteration, octave = spelled
    usual = altered.get((step, octave), signature(fifths).get(step, 0))
    if alteration == usual:
        return ""
    altered[step, octave] = alteration
    names = {2: "double-sharp", 1: "sharp", 0: "natural", -1: "flat", -2: "flat-flat"}
    return f"<accidental>{names[alteration]}</accidental>"

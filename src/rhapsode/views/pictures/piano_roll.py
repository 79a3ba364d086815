"""Piano rolls as SVG pictures."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

WIDTH, MARGIN, LEFT, RIGHT, KEYS = 960, 24, 84, 936, 30
RULER, BETWEEN, FOOT = 20, 18, 24
# Least width of a quarter note, and heights of a row of a pitch and of a drum.
QUARTER, LOWEST_ROW, HIGHEST_ROW, DRUM_ROW = 22.0, 4.0, 9.0, 10.0
# Pitches shown at least.
SPAN = 17
COLOURS = 8
NAMES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
BLACK = frozenset((1, 3, 6, 8, 10))
_LIGHT = ("#0b6e8a", "#c4501b", "#5a3d8c", "#4a7c1f", "#b0306a", "#8a6a00", "#2b55b0", "#7a4a2b")
_DARK = ("#4fb3d0", "#f08a4b", "#b79cf0", "#97c766", "#f08abb", "#dcb945", "#86a8f5", "#c99a78")


def _colours(colours: Sequence[str], drums: str) -> str:
    rules = (f".t{at} {{ fill: {colour}; }} " for at, colour in enumerate(colours))
    return "".join(f".rh-roll {rule}" for rule in (*rules, f".drums {{ fill: {drums}; }}\n"))


_STYLE = f"""
.rh-roll {{ font-family: system-ui, -apple-system, "Segoe UI",
  "DejaVu Sans", sans-serif; font-size: 11px; }}
.rh-roll .ground {{ fill: #ffffff; }} .rh-roll .ink {{ fill: #1d2529; }}
.rh-roll .muted {{ fill: #69747b; }} .rh-roll .title {{ font-size: 17px; font-weight: 650; }}
.rh-roll .paper {{ fill: #f7f9fa; }} .rh-roll .dark {{ fill: #edf1f3; }}
.rh-roll .seed {{ fill: #0b6e8a; opacity: .09; }}
.rh-roll .seed-end {{ stroke: #0b6e8a; stroke-width: 1.2; stroke-dasharray: 4 3; }}
.rh-roll .seed-name {{ fill: #0b6e8a; }}
.rh-roll .beat {{ stroke: #e1e7ea; }} .rh-roll .bar {{ stroke: #b4bcc0; }}
.rh-roll .octave, .rh-roll .key-line {{ stroke: #cdd5d8; stroke-width: .8; }}
.rh-roll .drum-name {{ font-size: 9px; }}
.rh-roll .white-key {{ fill: #ffffff; stroke: #b4bcc0; stroke-width: .6; }}
.rh-roll .black-key {{ fill: #2b3338; }}
{_colours(_LIGHT, "#56626a")}
@media (prefers-color-scheme: dark) {{
  .rh-roll .ground {{ fill: #14191c; }} .rh-roll .ink {{ fill: #e9edef; }}
  .rh-roll .muted {{ fill: #94a0a7; }}
  .rh-roll .paper {{ fill: #1b2226; }} .rh-roll .dark {{ fill: #161c1f; }}
  .rh-roll .seed {{ fill: #4fb3d0; opacity: .13; }}
  .rh-roll .seed-end {{ stroke: #4fb3d0; }} .rh-roll .seed-name {{ fill: #4fb3d0; }}
  .rh-roll .beat {{ stroke: #262f34; }} .rh-roll .bar {{ stroke: #4a555b; }}
  .rh-roll .octave {{ stroke: #303a40; }} .rh-roll .key-line {{ stroke: #87939a; }}
  .rh-roll .white-key {{ fill: #c9d1d5; stroke: #4a555b; }} .rh-roll .black-key {{ fill: #20282c; }}
  {_colours(_DARK, "#a9b5bb")}
}}
"""


@dataclass(frozen=True)
class Part:
    """An instrument of a roll.

    Arguments:
        name: in the legend; a drum's name is in `drums`.
        drums: names of the pitches of a drum part; None for an instrument with pitches.
    """

    name: str
    drums: dict[int, str] | None = None


@dataclass(frozen=True)
class Roll:
    """N notes, with times in quarter notes.

    Arguments:
        start_N: beginnings.
        length_N: lengths.
        pitch_N: MIDI pitches; of drums, the number of the instrument.
        velocity_N: loudness from 1 to 127.
        part_N: index into `parts`.
        parts: the instruments.
        bars: beginnings of the bars.
        beats: beginnings of the beats.
        end: of the piece.
        pickup: True if the first bar is an upbeat, which has the number 0.
    """

    start_N: NDArray[np.float64]
    length_N: NDArray[np.float64]
    pitch_N: NDArray[np.int64]
    velocity_N: NDArray[np.int64]
    part_N: NDArray[np.int64]
    parts: tuple[Part, ...]
    bars: tuple[float, ...]
    beats: tuple[float, ...]
    end: float
    pickup: bool = False

    def drum_N(self) -> NDArray[np.bool_]:
        """True for the notes of drum parts."""
        return np.array([part.drums is not None for part in self.parts], bool)[self.part_N]


def draw_roll(roll: Roll, *, title: str = "", about: str = "", seed_end: float = 0.0) -> str:
    """Draw a roll, as the text of an SVG file.

    The colours follow the reader's light or dark setting.

    Arguments:
        roll: the notes.
        title: printed above.
        about: a line below the title.
        seed_end: end of the prompt in quarter notes; 0 without one.
    """
    frame = _Frame.of(roll)
    parts, top = _head(roll, title, about)
    top += 10.0
    for times in frame.systems:
        parts += _system(roll, frame, top, times, seed_end)
        top += frame.height + BETWEEN
    height = round(top - BETWEEN + FOOT)
    name = escape(legible(title) or "piano roll", {'"': "&quot;"})
    return (
        f'<svg class="rh-roll" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label="{name}">'
        f'<style>{_STYLE}</style><rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>'
        f"{''.join(parts)}</svg>\n"
    )


@dataclass(frozen=True)
class _Frame:
    """Places in the picture, the same in all systems.

    Arguments:
        low, high: lowest and highest pitch.
        row: height of a pitch.
        drums: numbers of the drums, from the lowest row up, and their names.
        scale: width of a quarter note.
        systems: times from and to.
    """

    low: int
    high: int
    row: float
    drums: dict[int, str]
    scale: float
    systems: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, roll: Roll) -> _Frame:
        drum_N = roll.drum_N()
        pitches = roll.pitch_N[~drum_N]
        low, high = (int(pitches.min()), int(pitches.max())) if len(pitches) else (60, 59)
        if len(pitches):
            low, high = max(0, low - 1), min(127, high + 1)
            missing = max(0, SPAN - (high - low + 1))
            low = max(0, low - (missing + 1) // 2)
            high = min(127, max(high, low + SPAN - 1))
            low = min(low, high - SPAN + 1)
        names = {number: name for part in roll.parts for number, name in (part.drums or {}).items()}
        used = sorted(set(roll.pitch_N[drum_N].tolist()))
        systems = _systems(roll)
        return cls(
            low,
            high,
            min(HIGHEST_ROW, max(LOWEST_ROW, 250 / max(1, high - low + 1))),
            {number: names.get(number, str(number)) for number in used},
            (RIGHT - LEFT) / max(last - first for first, last in systems),
            systems,
        )

    @property
    def pitched(self) -> float:
        """Height of the rows of pitches."""
        return self.row * (self.high - self.low + 1)

    @property
    def gap(self) -> float:
        return 8.0 if self.drums and self.pitched else 0.0

    @property
    def height(self) -> float:
        return RULER + self.pitched + self.gap + DRUM_ROW * len(self.drums)

    def y(self, pitch: int) -> float:
        """Upper edge of a row, from the top of a system."""
        return RULER + self.row * (self.high - pitch)


def _systems(roll: Roll) -> tuple[tuple[float, float], ...]:
    """Whole bars in lines of equal numbers, as many as are legible."""
    bars = [*roll.bars, max(roll.end, roll.bars[-1] + 1e-6)]
    lengths = np.diff(bars)
    room = (RIGHT - LEFT) / QUARTER
    usual = float(np.median(lengths))
    count = next((n for n in (16, 8, 4, 2) if n * usual <= room), 1)
    if usual * 16 > room and len(lengths) * usual <= room:
        count = len(lengths)  # all of a short piece in one line
    lead = int(roll.pickup)
    starts = [0, *range(count + lead, len(lengths), count)]
    return tuple(
        (bars[first], bars[last])
        for first, last in zip(starts, [*starts[1:], len(lengths)], strict=True)
    )


def _head(roll: Roll, title: str, about: str) -> tuple[list[str], float]:
    """Title, facts and legend, and the height that they take."""
    parts, y = [], MARGIN
    if title:
        y += 12
        name = escape(_shortened(title, 90))
        parts.append(f'<text class="ink title" x="{MARGIN}" y="{y}">{name}</text>')
    if about:
        y += 20
        parts.append(_text("muted", MARGIN, y, about))
    if len(roll.parts) > 1:
        x = RIGHT
        for at, part in enumerate(roll.parts):
            name = _shortened(part.name, 28)
            width = 6.4 * sum(2 if ord(letter) > 0x2E7F else 1 for letter in name) + 32
            if x + width > RIGHT:
                x, y = MARGIN, y + 20
            kind = _kind(roll, at)
            parts.append(f'<rect class="{kind}" x="{x}" y="{y - 8}" width="12" height="8" rx="2"/>')
            parts.append(_text("ink", x + 17, y, name))
            x += round(width)
    return parts, y


def _system(
    roll: Roll, frame: _Frame, top: float, times: tuple[float, float], seed_end: float
) -> Iterator[str]:
    """The bars between two times: ground, keys, lines and notes."""
    first, last = times
    right = LEFT + frame.scale * (last - first)
    yield f'<g transform="translate(0 {top:.1f})">'
    yield from _ground(frame, right)
    if seed_end > first:
        width = frame.scale * (min(last, seed_end) - first)
        yield _rect("seed", LEFT, RULER, width, frame.height - RULER)
    yield from _lines(roll, frame, first, last)
    yield from _notes(roll, frame, first, last)
    if first < seed_end < last:
        x = LEFT + frame.scale * (seed_end - first)
        yield f'<path class="seed-end" d="M{x:.1f} 4V{frame.height:.1f}"/>'
        yield _text("seed-name", x - 5, 12, "prompt", "end")
    yield "</g>"


def _ground(frame: _Frame, right: float) -> Iterator[str]:
    """The rows and the keyboard, and the names of drums."""
    width, keys = right - LEFT, LEFT - KEYS
    if frame.pitched:
        yield _rect("paper", LEFT, RULER, width, frame.pitched)
        yield _rect("white-key", keys, RULER, KEYS - 3, frame.pitched)
    for pitch in range(frame.low, frame.high + 1):
        y, note = frame.y(pitch), pitch % 12
        if note in BLACK:
            yield _rect("dark", LEFT, y, width, frame.row)
            yield _rect("black-key", keys, y, 0.6 * KEYS, frame.row)
        if note in (0, 5) and pitch > frame.low:
            yield f'<path class="key-line" d="M{keys} {y + frame.row:.1f}H{LEFT - 3}"/>'
        if note == 0:
            yield f'<path class="octave" d="M{LEFT} {y + frame.row:.1f}H{right:.1f}"/>'
            yield _text("muted", keys - 6, y + frame.row / 2 + 4, pitch_name(pitch), "end")
    for row, name in enumerate(reversed(frame.drums.values())):
        y = RULER + frame.pitched + frame.gap + DRUM_ROW * row
        yield _rect("dark" if row % 2 else "paper", LEFT, y, width, DRUM_ROW)
        yield _text("muted drum-name", LEFT - 7, y + DRUM_ROW - 2, _shortened(name, 13), "end")


def _lines(roll: Roll, frame: _Frame, first: float, last: float) -> Iterator[str]:
    """Beats, bars, and the numbers of the bars."""
    spans: list[tuple[float, float]] = []
    if frame.pitched:
        spans.append((RULER, RULER + frame.pitched))
    if frame.drums:
        spans.append((RULER + frame.pitched + frame.gap, frame.height))
    for kind, times in (("beat", roll.beats), ("bar", (*roll.bars, roll.end))):
        begin, end = bisect_left(times, first), bisect_right(times, last)
        places = [LEFT + frame.scale * (time - first) for time in times[begin:end]]
        path = "".join(f"M{x:.1f} {a:.1f}V{b:.1f}" for x in places for a, b in spans)
        yield f'<path class="{kind}" d="{path}"/>'
    begin, end = bisect_left(roll.bars, first), bisect_left(roll.bars, last)
    widest = (last - first) / max(1, end - begin) * frame.scale
    every = next(n for n in (1, 2, 4, 8, 16, 32) if n * widest >= 26 or n == 32)
    for bar in range(begin, end, every):
        number = bar + (not roll.pickup)
        if number:
            x = LEFT + frame.scale * (roll.bars[bar] - first) + 1
            yield _text("muted", x, RULER - 6, str(number))


def _notes(roll: Roll, frame: _Frame, first: float, last: float) -> Iterator[str]:
    """The notes that sound between two times, a group for each part."""
    rows = {number: row for row, number in enumerate(reversed(frame.drums))}
    end_N = roll.start_N + roll.length_N
    sounding_N = (roll.start_N < last - 1e-9) & (end_N > first + 1e-9)
    for at, part in enumerate(roll.parts):
        own = np.flatnonzero(sounding_N & (roll.part_N == at))
        if not len(own):
            continue
        yield f'<g class="{_kind(roll, at)}">'
        for n in own.tolist():
            begin, end, pitch = float(roll.start_N[n]), float(end_N[n]), int(roll.pitch_N[n])
            if part.drums is None:
                y, height, name = frame.y(pitch), frame.row, pitch_name(pitch)
            else:
                y = RULER + frame.pitched + frame.gap + DRUM_ROW * rows[pitch]
                # A stroke has no length that is heard.
                end, height, name = min(end, begin + 0.22), DRUM_ROW, frame.drums[pitch]
            x = LEFT + frame.scale * (max(begin, first) - first)
            # A gap, so that repeated notes stay apart.
            width = max(1.6, frame.scale * (min(end, last) - max(begin, first)) - 1)
            opacity = 0.36 + 0.64 * int(roll.velocity_N[n]) / 127
            yield (
                f'<rect x="{x:.1f}" y="{y + 0.4:.1f}" width="{width:.1f}" '
                f'height="{height - 0.8:.1f}" rx="{min(2.0, height / 4):.1f}" '
                f'opacity="{opacity:.2f}"><title>{escape(legible(name))}</title></rect>'
            )
        yield "</g>"


def _kind(roll: Roll, at: int) -> str:
    """The class of the colour of a part."""
    return f"t{at % COLOURS}" if roll.parts[at].drums is None else "drums"


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{kind}" {place}/>'


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return (
        f'<text class="{kind}" text-anchor="{anchor}" x="{x:.1f}" y="{y:.1f}">'
        f"{escape(legible(text))}</text>"
    )


def pitch_name(pitch: int) -> str:
    """A pitch as `C4`, which is middle C."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


def _shortened(text: str, most: int) -> str:
    text = legible(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def legible(text: str) -> str:
    """A text on one line without the characters that XML excludes."""
    text = re.sub(r"\s+", " ", text).strip()
    return "".join(c for c in text if c.isprintable() and c not in "\ufffe\uffff")

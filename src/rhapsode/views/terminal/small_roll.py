"""Piano rolls for terminals: notes as dots of Braille characters."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from rhapsode.views.pictures.piano_roll import Roll, pitch_name

COLOURS = ("cyan", "yellow", "magenta", "green", "red", "blue")
DRUM_COLOUR = "white"
LABEL = 4
# Columns of a quarter note at most: a short piece is not stretched.
QUARTER = 8
# Cells between two lines at least.
NARROWEST = 5
_EMPTY = 0x2800
# Bits of the dots of a character: its four rows, left and right.
_DOTS = np.array(((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80)))
# Kick, then snare and toms, then hats and the like, then cymbals: from the lowest dot up.
_DRUM_LEVELS = {35: 3, 36: 3, 42: 1, 44: 1, 46: 1, 49: 0, 51: 0, 52: 0, 53: 0, 55: 0, 57: 0, 59: 0}


def small_roll(roll: Roll, width: int, *, rows: int = 8, seed_end: float = 0.0) -> list[Text]:
    """Draw a roll as coloured lines; drums get the last line.

    Arguments:
        roll: the notes.
        width: cells of a line.
        rows: lines in all.
        seed_end: end of the prompt in quarter notes, which is dim; 0 without a prompt.
    """
    drum_N = roll.drum_N()
    tone_N = ~drum_N
    with_drums = bool(drum_N.any())
    tones = rows - with_drums if tone_N.any() else 0
    cells = max(8, width - LABEL)
    span = max(1e-9, roll.end)
    columns = max(2, min(2 * cells, round(QUARTER * span)))
    grid = _Grid(columns / span, -(-columns // 2), seed_end)
    lines: list[Text] = []
    if tones:
        low, high = int(roll.pitch_N[tone_N].min()), int(roll.pitch_N[tone_N].max())
        missing = max(0, 4 * tones - (high - low + 1))
        low, high = low - (missing + 1) // 2, high + missing // 2
        level_N = (high - roll.pitch_N) * (4 * tones) // (high - low + 1)
        labels = [""] * tones
        labels[0], labels[-1] = pitch_name(high), pitch_name(low)
        lines += grid.lines(roll, tone_N, level_N, labels)
    if with_drums:
        level_N = np.array([_DRUM_LEVELS.get(pitch, 2) for pitch in roll.pitch_N.tolist()])
        lines += grid.lines(roll, drum_N, level_N, ["drum"])
    return lines


@dataclass(frozen=True)
class _Grid:
    """Times as columns of dots, two in a cell.

    Arguments:
        scale: columns of a quarter note.
        cells: of a line.
        seed_end: time at which the prompt ends.
    """

    scale: float
    cells: int
    seed_end: float

    def lines(
        self, roll: Roll, which_N: NDArray[np.bool_], level_N: NDArray[np.int64], labels: list[str]
    ) -> list[Text]:
        """Lines with some of the notes, each at its level from the top."""
        first_N = np.rint(roll.start_N * self.scale).astype(int)
        last_N = np.rint((roll.start_N + roll.length_N) * self.scale).astype(int)
        begun = set(zip(level_N[which_N].tolist(), first_N[which_N].tolist(), strict=True))
        dots = np.zeros((len(labels), self.cells), int)
        parts = np.full((len(labels), self.cells), -1)
        for n in np.flatnonzero(which_N).tolist():
            level, first = int(level_N[n]), max(0, int(first_N[n]))
            # A note that is repeated ends one dot earlier.
            last = max(first + 1, int(last_N[n]) - ((level, int(last_N[n])) in begun))
            if roll.parts[roll.part_N[n]].drums is not None:
                last = first + 1
            for column in range(first, min(last, 2 * self.cells)):
                place = level // 4, column // 2
                dots[place] |= _DOTS[level % 4, column % 2]
                parts[place] = roll.part_N[n]
        bars = self._bars(roll)
        return [
            self._line(label, dots[row].tolist(), [self._style(roll, p) for p in parts[row]], bars)
            for row, label in enumerate(labels)
        ]

    def _bars(self, roll: Roll) -> set[int]:
        """Cells in which bars begin, or every second, fourth, ... bar of many."""
        cells = [int(time * self.scale / 2 + 1e-6) for time in roll.bars]
        begun, every = [cell for cell in cells if cell < self.cells], 1
        while len(begun) > every * max(1, self.cells // NARROWEST):
            every *= 2
        return set(begun[roll.pickup :: every]) - {0}

    def _line(self, label: str, dots: list[int], styles: list[str], bars: set[int]) -> Text:
        line = Text(f"{label:<{LABEL}}"[:LABEL], style="dim")
        cells = [
            (chr(_EMPTY + bits), style + self._dim(cell))
            if bits
            else ("┊" if cell in bars else " ", "bright_black")
            for cell, (bits, style) in enumerate(zip(dots, styles, strict=True))
        ]
        result = Text.assemble(line)
        for style, run in itertools.groupby(cells, lambda cell: cell[1]):
            result.append("".join(character for character, _ in run), style=style)
        return result

    def _dim(self, cell: int) -> str:
        return " dim" if 2 * cell / self.scale < self.seed_end - 1e-9 else ""

    def _style(self, roll: Roll, part: int) -> str:
        if part < 0:
            return ""
        drums = roll.parts[part].drums is not None
        return DRUM_COLOUR if drums else COLOURS[part % len(COLOURS)]

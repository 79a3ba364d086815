"""Bars of a score on a grid of positions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.music.contract import rounded
from rhapsode.encoding.music.score import DEFAULT_TEMPO, Metre, Score

Ints = NDArray[np.int64]
NEVER = np.iinfo(np.int64).max
"""Tick of bars after those of the score."""


@dataclass(frozen=True)
class Bars:
    """K bars of a score.

    Arguments:
        tick_K: where each begins in the score.
        element_K: the element of each bar.
        whole_K: positions of a whole bar of its metre.
        length_K: its positions; fewer in incomplete bars.
        grid: positions a quarter note.
        ticks: of the score, a quarter note.
    """

    tick_K: Ints
    element_K: Ints
    whole_K: Ints
    length_K: Ints
    grid: int
    ticks: int

    @property
    def begin_K(self) -> Ints:
        """Position of each bar from the beginning."""
        return np.cumsum(self.length_K) - self.length_K

    @property
    def end(self) -> int:
        """Positions of all bars."""
        return int(self.length_K.sum())

    def positions(self, tick_N: Ints) -> Ints:
        """The position nearest to each tick, at most its bar's end."""
        bar_N = np.searchsorted(self.tick_K, tick_N, "right") - 1
        within_N = rounded(tick_N - self.tick_K[bar_N], self.grid, self.ticks)
        return self.begin_K[bar_N] + np.minimum(within_N, self.length_K[bar_N])

    def extended(self, position: int) -> Bars:
        """The bars, and further ones of the last metre until a position."""
        last = int(self.whole_K[-1])
        more = max(0, -((self.end - position) // last))
        if not more:
            return self
        ticks = np.full(more, NEVER)
        return Bars(
            np.append(self.tick_K, ticks),
            np.append(self.element_K, np.full(more, self.element_K[-1])),
            np.append(self.whole_K, np.full(more, last)),
            np.append(self.length_K, np.full(more, last)),
            self.grid,
            self.ticks,
        )


def barred(
    score: Score, element: Callable[[Metre], int], metre_of: dict[int, tuple[int, int]], grid: int
) -> tuple[Score, Bars]:
    """A score in metres that have elements, and its bars.

    Its ticks may be finer than before.

    Arguments:
        score: any.
        element: the id of a bar of a metre, or of another that replaces it.
        metre_of: beats and unit by id.
        grid: positions a quarter note.
    """
    metres = [metre for metre in score.metres if metre.start < max(1, score.end)]
    if not metres or metres[0].start > 0:
        metres.insert(0, Metre(0, 4, 4))
    kept = tuple(Metre(metre.start, *metre_of[element(metre)]) for metre in metres)
    finest = max(metre.unit for metre in kept)
    if 4 * score.ticks % finest:
        # Bars are whole numbers of ticks.
        score = replace(score, metres=kept).rescaled(score.ticks * finest)
    else:
        score = replace(score, metres=kept)
    whole = score.metres[0].ticks(score.ticks)
    score = replace(score, upbeat=score.upbeat % whole)
    starts = score.bars()
    tick_K = np.array([start for start, _ in starts])
    element_K = np.array([element(metre) for _, metre in starts])
    whole_K = np.array([4 * grid * metre.beats // metre.unit for _, metre in starts])
    ticks_K = np.append(np.diff(tick_K), 0)
    alone = len(starts) == 1 and score.upbeat > 0
    ticks_K[-1] = score.upbeat if alone else starts[-1][1].ticks(score.ticks)
    length_K = np.clip(rounded(ticks_K, grid, score.ticks), 1, whole_K)
    return score, Bars(tick_K, element_K, whole_K, length_K, grid, score.ticks)


def seconds_at(score: Score, tick_N: Ints) -> NDArray[np.float64]:
    """Time of each tick in seconds from the beginning, (N,)."""
    starts = np.array([0, *(tempo.start for tempo in score.tempos)])
    speeds = np.array([DEFAULT_TEMPO, *(tempo.quarters for tempo in score.tempos)])
    pace = 60 / speeds / score.ticks
    passed = np.append(0.0, np.cumsum(np.diff(starts) * pace[:-1]))
    index_N = np.maximum(np.searchsorted(starts, tick_N, "right") - 1, 0)
    second_N: NDArray[np.float64] = passed[index_N] + (tick_N - starts[index_N]) * pace[index_N]
    return second_N

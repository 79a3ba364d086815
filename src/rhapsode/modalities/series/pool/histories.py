"""Histories side by side, as simple methods read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class NormalForecasts:
    """A normal distribution of every step of B forecasts.

    Arguments:
        centre_BH: means, of the values or of their logarithms.
        spread_BH: standard deviations.
        log_B: True where they are of logarithms.
    """

    centre_BH: Floats
    spread_BH: Floats
    log_B: NDArray[np.bool_]

    def quantiles(self, levels_Q: Floats) -> Floats:
        """Quantiles of every step, (B, Q, H)."""
        from scipy.special import ndtri  # type: ignore[import-untyped, unused-ignore]

        scores_Q1 = ndtri(levels_Q)[:, None]
        values_BQH = self.centre_BH[:, None] + self.spread_BH[:, None] * scores_Q1
        logs_BQH = np.minimum(values_BQH[self.log_B], 690.0)
        values_BQH[self.log_B] = np.exp(logs_BQH)
        return np.asarray(values_BQH)


@dataclass(frozen=True)
class Histories:
    """Histories without gaps as columns, longest first.

    Arguments:
        values_TB: values or logarithms; NaN after the end of each.
        lengths_B: steps of each.
        season: steps in a season.
        steps: steps to forecast, those included that a history ends before its origin.
    """

    values_TB: Floats
    lengths_B: Ints
    season: int
    steps: int

    def last(self, back: int = 1) -> Floats:
        """The value so many steps before the end of each, (B,)."""
        return np.asarray(self.values_TB[self.lengths_B - back, np.arange(len(self.lengths_B))])

    def select(self, chosen: slice | NDArray[np.bool_]) -> Histories:
        lengths_B = self.lengths_B[chosen]
        longest = int(lengths_B.max())
        return Histories(self.values_TB[:longest, chosen], lengths_B, self.season, self.steps)


def in_time(values_TB: Floats, lengths_B: Ints, first: int) -> Iterator[tuple[Floats, int]]:
    """Values of each step, and the number of histories that reach it."""
    counts_T = np.searchsorted(-lengths_B, -np.arange(len(values_TB)), side="left")
    for step in range(first, len(values_TB)):
        count = int(counts_T[step])
        yield values_TB[step, :count], count

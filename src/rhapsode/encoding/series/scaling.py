"""Scale of one series, and bins of scaled values.

Both are computed from observed values alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rhapsode.errors import DataError

Scaling = Literal["mean_abs", "standard", "robust", "none"]

# Drawn values stay finite: inside float64.
LARGEST = 1e300
# Rows of statistics before they had limits.
OLD_ROWS = 4
# Known values below which a range is about to grow.
FEW_VALUES = 8
# A spread below this share of the largest value is the rounding of a constant.
NO_SPREAD = 1e-9
# The interquartile range of a normal variable in standard deviations.
NORMAL_QUARTILES = 1.3489795003921634


@dataclass(frozen=True)
class SeriesStats:
    """Location and scale of a series, from its history.

    Arguments:
        shift_K: subtracted from the (logged, differenced) values.
        scale_K: divides them; above 0.
        level_K: mean of the (logged) values: the start of a series without a past.
        count_scale_K: mean absolute value in the data's own units, above 0: factor of the mean of
            a count.
        low_K: least value of a first step, in the data's own units.
        high_K: greatest value of a first step.
        widening_K: by which both limits move apart with every further step.
    """

    shift_K: NDArray[np.float64]
    scale_K: NDArray[np.float64]
    level_K: NDArray[np.float64]
    count_scale_K: NDArray[np.float64]
    low_K: NDArray[np.float64]
    high_K: NDArray[np.float64]
    widening_K: NDArray[np.float64]

    def limited(
        self, values_BK: NDArray[np.float64], steps: int | NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Values between the limits, so many steps after the first."""
        wider_BK = steps * self.widening_K
        return np.clip(values_BK, self.low_K - wider_BK, self.high_K + wider_BK)

    def to_array(self) -> NDArray[np.float64]:
        """The rows as one array, (7, K)."""
        return np.stack([getattr(self, field.name) for field in fields(self)])

    @classmethod
    def from_array(cls, rows: NDArray[np.floating]) -> SeriesStats:
        """The statistics that `to_array` gave; older ones have four rows, without limits.

        Raises:
            ValueError: rows that it did not give.
        """
        rows = np.asarray(rows, dtype=np.float64)
        if rows.ndim != 2 or len(rows) not in (OLD_ROWS, len(fields(cls))):
            raise ValueError(f"statistics of shape {rows.shape}")
        if len(rows) == OLD_ROWS:
            limits = np.array([[-LARGEST], [LARGEST], [0.0]]) * np.ones_like(rows[:1])
            rows = np.concatenate((rows, limits))
        return cls(*rows)


def column_extent(values_N: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Least and greatest value, their distance, and its part for one value.

    The distance is larger where few values are known, whose range says little.
    """
    values_N = values_N[np.isfinite(values_N)]
    count = len(values_N)
    if not count:
        return -LARGEST, LARGEST, 0.0, 0.0
    low, high = float(values_N.min()), float(values_N.max())
    with np.errstate(over="ignore"):
        size = min(float(np.abs(values_N / count).sum()), LARGEST)
        distance = high / 2 - low / 2
        width = 2 * (distance * (1 + FEW_VALUES / count) + size / 2 * FEW_VALUES / count**2)
        return low, high, min(width, LARGEST), min(2 * distance / count, LARGEST)


def column_scale(values_N: NDArray[np.float64], scaling: Scaling) -> tuple[float, float]:
    """Shift and scale of one column.

    Missing values are NaN and are left out. The scale is never 0: a column that does not vary is
    divided by its mean absolute value, a column of zeros or without values by 1.
    """
    values_N = values_N[np.isfinite(values_N)]
    if scaling == "none" or not len(values_N):
        return 0.0, 1.0
    largest = float(np.abs(values_N).max())
    if largest < np.finfo(np.float64).tiny:
        return 0.0, 1.0
    # In units of the largest nothing overflows and nothing underflows.
    unit_N = values_N / largest
    shift, spread = 0.0, 0.0
    if scaling == "standard":
        shift, spread = float(unit_N.mean()), float(unit_N.std())
    elif scaling == "robust":
        low, shift, high = (float(q) for q in np.quantile(unit_N, (0.25, 0.5, 0.75)))
        spread = (high - low) / NORMAL_QUARTILES
        if spread <= NO_SPREAD:
            spread = float(np.abs(unit_N - shift).mean())
    if spread <= NO_SPREAD:
        spread = float(np.abs(unit_N).mean())
    return shift * largest, max(spread * largest, float(np.finfo(np.float64).tiny))


@dataclass(frozen=True)
class BinSettings:
    """Settings of the bins of binned values."""

    bins: Annotated[int, Meta(ge=2, le=1 << 16)] = 256
    """Number of bins. [default in training: one for every 20 training values, 8 to 256]"""
    spacing: Literal["quantile", "uniform"] = "quantile"
    """quantile: each bin contains the same number of training values; uniform: bins have equal
    width."""
    limit: Annotated[float, Meta(gt=0.0, le=1e6)] = 15.0
    """Half the range of uniform bins, in units of the scale of a series: bins lie between -limit
    and limit."""


def learn_bins(
    values_N: NDArray[np.floating], settings: BinSettings
) -> tuple[tuple[float, ...], tuple[float, float]]:
    """Edges between bins, and the mean lengths of the two outermost bins.

    Equal edges are merged.

    Arguments:
        values_N: scaled values like those to come; NaN where missing.
        settings: how many bins, and how they are spaced.

    Raises:
        DataError: bins at quantiles of fewer than two different values.
    """
    if settings.spacing == "uniform":
        edges = np.linspace(-settings.limit, settings.limit, settings.bins + 1)
        width = float(edges[1] - edges[0])
        return tuple(edges[1:-1].tolist()), (width, width)
    values_N = np.asarray(values_N, dtype=np.float64).ravel()
    z_N = np.sort(values_N[np.isfinite(values_N)])
    if not len(z_N) or z_N[0] == z_N[-1]:
        raise DataError(
            "bins at quantiles need at least two different values",
            hint="set head.spacing to uniform",
        )
    cuts = np.arange(1, settings.bins) * len(z_N) // settings.bins
    # A cut among equal values goes to the nearer end of them.
    low, high = (np.searchsorted(z_N, z_N[cuts], side) for side in ("left", "right"))
    cuts = np.where((cuts - low <= high - cuts) & (low > 0), low, high)
    cuts = np.unique(cuts[(cuts > 0) & (cuts < len(z_N))])
    # Halves first: the sum of two large numbers may overflow.
    edges = np.unique(z_N[cuts - 1] / 2 + z_N[cuts] / 2)
    edges = edges[(edges > z_N[0]) & (edges <= z_N[-1])]
    if not len(edges):
        raise DataError(
            "bins at quantiles need values further apart than their rounding",
            hint="set head.spacing to uniform",
        )
    # The tails' lengths are the mean distances of the values in them, the maximum likelihood
    # estimate.
    spread = float(z_N[-1] - z_N[0])
    below, above = edges[0] - z_N[z_N < edges[0]], z_N[z_N >= edges[-1]] - edges[-1]
    least = 1e-6 * spread
    lower, upper = (
        max(float(part.mean()), least) if len(part) else least for part in (below, above)
    )
    return tuple(edges.tolist()), (lower, upper)

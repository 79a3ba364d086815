"""Where the bins lie into which scaled values fall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rhapsode.errors import DataError


@dataclass(frozen=True)
class BinSettings:
    """How numbers become elements of a vocabulary."""

    bins: Annotated[int, Meta(ge=2, le=1 << 16)] = 256
    """Bins, V."""
    spacing: Literal["quantile", "uniform"] = "quantile"
    """Bins that hold equally many of the values learnt from, or bins of equal width."""
    limit: Annotated[float, Meta(gt=0.0, le=1e6)] = 15.0
    """Uniform bins lie between minus and plus this many scales."""


def learn_bins(
    values_N: NDArray[np.floating], settings: BinSettings
) -> tuple[tuple[float, ...], tuple[float, float]]:
    """Edges between bins and the mean lengths of the two outermost; equal neighbours among the edges become one.

    Arguments:
        values_N: scaled values like those to come; NaN where missing.
        settings: how many bins, and how they are spaced.

    Raises:
        DataError: bins at quantiles of nothing but missing values, or of fewer than two different ones.
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
    # Halves: the sum of two large numbers may be none.
    edges = np.unique(z_N[cuts - 1] / 2 + z_N[cuts] / 2)
    edges = edges[(edges > z_N[0]) & (edges <= z_N[-1])]
    if not len(edges):
        raise DataError(
            "bins at quantiles need values further apart than their rounding",
            hint="set head.spacing to uniform",
        )
    # The tails' lengths are the mean distances of what lies in them, as a maximum of likelihood has it.
    spread = float(z_N[-1] - z_N[0])
    below, above = edges[0] - z_N[z_N < edges[0]], z_N[z_N >= edges[-1]] - edges[-1]
    least = 1e-6 * spread
    lower, upper = (
        max(float(part.mean()), least) if len(part) else least for part in (below, above)
    )
    return tuple(edges.tolist()), (lower, upper)

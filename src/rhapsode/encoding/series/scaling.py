"""The scale of one series, told from what of it has been observed and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Scaling = Literal["mean_abs", "standard", "robust", "none"]

# A spread below this share of the largest value is the rounding of a constant.
NO_SPREAD = 1e-9
# The interquartile range of a normal variable in standard deviations.
NORMAL_QUARTILES = 1.3489795003921634


@dataclass(frozen=True)
class SeriesStats:
    """What a history says of a series' size.

    Arguments:
        shift_K: what is taken off the (logged, differenced) values.
        scale_K: what they are divided by; above 0.
        level_K: mean of the (logged) values: where a series without a past is taken to start.
        count_scale_K: mean absolute value in the data's own units, above 0: what the mean of a count is multiplied by.
    """

    shift_K: NDArray[np.float64]
    scale_K: NDArray[np.float64]
    level_K: NDArray[np.float64]
    count_scale_K: NDArray[np.float64]

    def to_array(self) -> NDArray[np.float64]:
        """The four rows as one array, (4, K)."""
        return np.stack((self.shift_K, self.scale_K, self.level_K, self.count_scale_K))

    @classmethod
    def from_array(cls, rows: NDArray[np.floating]) -> SeriesStats:
        """What `to_array` wrote."""
        return cls(*np.asarray(rows, dtype=np.float64))


def column_scale(values_N: NDArray[np.float64], scaling: Scaling) -> tuple[float, float]:
    """Shift and scale of one column; missing values are NaN and are left out.

    A column that does not vary is divided by its mean absolute value, one of zeros or of nothing by 1: the scale is
    never 0.
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

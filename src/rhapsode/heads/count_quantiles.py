"""Quantiles of counts, many at once, on the processor.

They are exact where the mean is below a million; above that they are those of the gamma variable of equal
mean and variance, less than 1e-4 off in cumulative probability. SciPy is loaded
at the first call: only what draws counts or asks for their quantiles needs it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Counts up to this are reached by adding up probabilities, many times faster than by SciPy, where
# the mean is small.
ADDED = 64
SMALL_MEAN = 40.0
MOST_EXACT = 1e6

Floats = NDArray[np.float64]


def poisson_quantile(levels: Tensor, mean: Tensor) -> Tensor:
    """The smallest counts that a Poisson variable exceeds with a probability below 1 - level.

    Arguments:
        levels: in (0, 1), float64.
        mean: above 0, of the same shape.
    """
    from scipy.special import pdtr, pdtrik

    m = mean.cpu().numpy().ravel()
    return _count_quantile(
        levels,
        (m, m),
        (np.zeros_like(m), m, -m),
        lambda level, rows: pdtrik(level, m[rows]),
        lambda count, rows: pdtr(count, m[rows]),
    )


def negative_binomial_quantile(levels: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """As `poisson_quantile`, with variance m + a m^2.

    Arguments:
        levels: in (0, 1), float64.
        mean: m above 0, of the same shape.
        dispersion: a above 0, of the same shape.
    """
    from scipy.special import betainc, nbdtrik

    m, a = mean.cpu().numpy().ravel(), dispersion.cpu().numpy().ravel()
    odds = a * m
    return _count_quantile(
        levels,
        (m, m * (1 + odds)),
        (odds / (1 + odds), m * (1 - a) / (1 + odds), -np.log1p(odds) / a),
        lambda level, rows: nbdtrik(level, 1 / a[rows], 1 / (1 + odds[rows])),
        lambda count, rows: betainc(1 / a[rows], count + 1, 1 / (1 + odds[rows])),
    )


def _count_quantile(
    levels: Tensor,
    moments: tuple[Floats, Floats],
    panjer: tuple[Floats, Floats, Floats],
    inverse: Callable[[Floats, NDArray[np.intp]], Floats],
    cdf: Callable[[Floats, NDArray[np.intp]], Floats],
) -> Tensor:
    """The smallest counts whose cumulative probability exceeds the levels, float64.

    Arguments:
        levels: in (0, 1).
        moments: mean and variance, flat.
        panjer: a, b and the logarithm of P(0), flat: P(k) = P(k - 1) (a + b / k).
        inverse: levels and the rows they belong to, to about the counts.
        cdf: counts and their rows, to cumulative probabilities.
    """
    from scipy.special import gammaincinv

    level = levels.cpu().numpy().ravel()
    mean, variance = moments
    counts = np.full(len(level), np.inf)
    small = np.flatnonzero(mean <= SMALL_MEAN)
    counts[small] = _added_up(level[small], *(column[small] for column in panjer))
    rows = np.flatnonzero((mean <= MOST_EXACT) & np.isinf(counts))
    if len(rows):
        near = np.maximum(np.ceil(inverse(level[rows], rows)), 0.0)
        near -= (near > 0) & (cdf(np.maximum(near - 1, 0.0), rows) > level[rows])
        counts[rows] = near + (cdf(near, rows) <= level[rows])
    rows = np.flatnonzero(np.isinf(counts))
    if len(rows):
        shape = mean[rows] * (mean[rows] / variance[rows])
        value = gammaincinv(shape, level[rows]) * (mean[rows] / shape)
        counts[rows] = np.maximum(np.ceil(value - 0.5), 0.0)
    return torch.from_numpy(counts).view(levels.shape).to(levels)


def _added_up(level: Floats, a: Floats, b: Floats, log_first: Floats) -> Floats:
    """Counts found by adding up from 0; infinity where that takes more than `ADDED` steps."""
    counts = np.zeros(len(level))
    mass = np.exp(log_first)
    left = level - mass
    for count in range(1, ADDED + 1):
        going = left >= 0
        if not going.any():
            return counts
        counts += going
        mass *= a + b / count
        left -= mass
    counts[left >= 0] = np.inf
    return counts

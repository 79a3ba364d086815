"""Heads of count data: likelihoods of the original whole numbers.

The inputs of a series of counts are scaled like any other; the targets stay as they were counted,
so that nothing has a Jacobian. The size of a series enters the distribution through `scaled`, which
multiplies the mean, as in DeepAR (Salinas et al. 2020, section 3.3).

The temperature multiplies the normal score of the uniform that is inverted: 0 is the median, 1 the
distribution itself, and draws are whole numbers at every temperature.

Quantiles are exact where the mean is below a million; above that they are those of the gamma
variable of equal mean and variance, less than 1e-4 off in cumulative probability. SciPy is loaded
on first use: only drawing counts and computing their quantiles need it.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rhapsode.heads.contract import (
    HEADS,
    LOWEST,
    TINY,
    AlikeHead,
    DensityConfig,
    log_softplus,
)

_LOG_MEAN_RANGE = (-700.0, 80.0)
# With less dispersion than e^-14 it is Poisson to seven digits, with more than e^9 nearly always
# zero.
_LOG_DISPERSION_RANGE = (-14.0, 9.0)
# Counts up to this are reached by adding up probabilities, many times faster than by SciPy, where
# the mean is small.
ADDED = 64
SMALL_MEAN = 40.0
MOST_EXACT = 1e6

Floats = NDArray[np.float64]


class CountHead(AlikeHead):
    """Base of heads over counts.

    The first parameter is the logarithm of the mean; others depend on the shape.
    """

    Config = DensityConfig
    counts = True
    each: ClassVar[int]
    """Parameters of one target."""

    def __init__(self, config: DensityConfig) -> None:
        super().__init__(config, self.each)

    def _link(self, raw: Tensor) -> Tensor:
        return log_softplus(raw)

    def _log_density(self, parameters: Tensor, x: Tensor) -> Tensor:
        possible = (x >= 0) & (x == x.round())
        log_mass = self._log_mass(parameters, torch.where(possible, x, 0.0))
        return torch.where(possible, log_mass, LOWEST)

    def _draw(self, parameters: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        if temperature != 1.0:
            score = torch.special.ndtri(uniforms) * temperature
            uniforms = torch.special.ndtr(score).clamp(TINY, 1 - 2 * TINY)
        return self._invert(parameters, uniforms)

    @abstractmethod
    def _log_mass(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log-probability of whole numbers from 0 on."""

    @abstractmethod
    def _invert(self, parameters: Tensor, levels: Tensor) -> Tensor:
        """The smallest counts whose cumulative probability exceeds the levels."""


def _log_mean(parameters: Tensor) -> Tensor:
    return parameters[..., 0].clamp(*_LOG_MEAN_RANGE)


@HEADS.register("poisson.v1")
class Poisson(CountHead):
    """Counts whose variance is their mean.

    The only parameter is the logarithm of the mean.
    """

    each = 1

    def _log_mass(self, parameters: Tensor, x: Tensor) -> Tensor:
        log_mean = _log_mean(parameters)
        return x * log_mean - log_mean.exp() - torch.lgamma(x + 1)

    def _invert(self, parameters: Tensor, levels: Tensor) -> Tensor:
        return poisson_quantile(levels, _log_mean(parameters).exp())

    def _scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        return parameters + log_scale


@HEADS.register("negative_binomial.v1")
class NegativeBinomial(CountHead):
    """Counts with variance m + a m^2 for a mean m.

    The parameters are the logarithms of the mean m and of the dispersion a. Scaling by s multiplies
    m by s and divides a by sqrt(s): large series are less dispersed (Salinas et al. 2020).
    """

    each = 2

    def _log_mass(self, parameters: Tensor, x: Tensor) -> Tensor:
        return negative_binomial_log_mass(parameters, x)

    def _invert(self, parameters: Tensor, levels: Tensor) -> Tensor:
        return negative_binomial_quantile(levels, *self.moments(parameters))

    @staticmethod
    def moments(parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and dispersion of parameters (..., 2)."""
        return _log_mean(parameters).exp(), _log_dispersion(parameters).exp()

    def _scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        return parameters + torch.cat((log_scale, -0.5 * log_scale), dim=-1)


def _log_dispersion(parameters: Tensor) -> Tensor:
    return parameters[..., 1].clamp(*_LOG_DISPERSION_RANGE)


def negative_binomial_log_mass(parameters: Tensor, x: Tensor) -> Tensor:
    """Log-probability of whole numbers from 0 on.

    Arguments:
        parameters: (..., 2), logarithms of mean and dispersion.
        x: (...).
    """
    log_mean, log_dispersion = _log_mean(parameters), _log_dispersion(parameters)
    size = (-log_dispersion).exp()
    # log(1 + a m): the logarithm of variance over mean.
    log_ratio = torch.nn.functional.softplus(log_dispersion + log_mean)
    combinations = torch.lgamma(x + size) - torch.lgamma(size) - torch.lgamma(x + 1)
    return combinations - size * log_ratio + x * (log_dispersion + log_mean - log_ratio)


def poisson_quantile(levels: Tensor, mean: Tensor) -> Tensor:
    """Poisson quantiles: the smallest counts whose cumulative probability exceeds the levels.

    Arguments:
        levels: in (0, 1), float64.
        mean: above 0, of the same shape.
    """
    from scipy.special import pdtr, pdtrik

    m = _flat(mean)
    return _count_quantile(
        levels,
        (m, m),
        (np.zeros_like(m), m, -m),
        lambda level, rows: pdtrik(level, m[rows]),
        lambda count, rows: pdtr(count, m[rows]),
    )


def negative_binomial_quantile(levels: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """Negative binomial quantiles, as `poisson_quantile`, with variance m + a m^2.

    Arguments:
        levels: in (0, 1), float64.
        mean: m above 0, of the same shape.
        dispersion: a above 0, of the same shape.
    """
    from scipy.special import betainc, nbdtrik

    m, a = _flat(mean), _flat(dispersion)
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

    level = _flat(levels)
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


def gamma_quantile(levels: Tensor, shape: Tensor) -> Tensor:
    """Quantiles of gamma distributions with scale 1, float64."""
    from scipy.special import gammaincinv

    found = gammaincinv(_flat(shape.expand_as(levels)), _flat(levels))
    return torch.from_numpy(found).view(levels.shape).to(levels)


def _flat(tensor: Tensor) -> Floats:
    return tensor.cpu().numpy().ravel()


def _added_up(level: Floats, a: Floats, b: Floats, log_first: Floats) -> Floats:
    """Quantiles of counts by adding up probabilities from 0.

    They are infinite where that takes more than `ADDED` steps.
    """
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

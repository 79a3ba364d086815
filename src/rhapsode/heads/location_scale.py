"""Heads of bell-shaped densities: a location and a width, or mixtures.

Laplace corresponds to absolute errors, Gaussian to squared ones. With one bell, the temperature
multiplies the distance from the median: 0 is the median, which is also the mode.
"""

import functools
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from msgspec import Meta
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from torch import Tensor

from rhapsode.heads.contract import (
    GREEDY_BELOW,
    HEADS,
    LOG_WIDEST,
    TINY,
    AlikeHead,
    DensityConfig,
    LeastScale,
    log_softplus,
)

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
# Degrees of freedom begin near 9, where tails matter and the centre is nearly Gaussian.
_DF_UNIT = 10.0
_LOG_DF_RANGE = (-12.0, 14.0)
# The table of Student's quantiles: degrees of its polynomial and points along score and degrees of
# freedom. A score of 8.4 lies beyond all levels that float64 distinguishes from 0.
FARTHEST_SCORE = 8.4
DEGREES = (24, 20)
POINTS = (256, 192)
# Bisection steps for a mixture's quantile.
_HALVINGS = 80


@dataclass(frozen=True)
class LocationScaleConfig(DensityConfig):
    """Settings of a location and a width: `laplace.v1` and `student_t.v1`."""

    least_scale: LeastScale = 1e-4
    """Minimum scale, in units of the targets."""


@dataclass(frozen=True)
class GaussianConfig(LocationScaleConfig):
    """Settings of `gaussian.v1`."""

    least_scale: LeastScale = 1e-4
    """Minimum standard deviation, in units of the targets."""


class LocationScale(AlikeHead):
    """Base of heads with a location and a width.

    The second parameter is the logarithm of the width; others depend on the shape.
    """

    Config = LocationScaleConfig
    each: ClassVar[int] = 2
    """Parameters of one target."""
    places = slice(0, 1)
    width_share = 1.0

    def __init__(self, config: LocationScaleConfig) -> None:
        super().__init__(config, self.each)
        self.least_scale = config.least_scale

    def _link(self, raw: Tensor) -> Tensor:
        return torch.stack((raw[..., 0], log_softplus(raw[..., 1], self.least_scale)), dim=-1)

    def _log_density(self, parameters: Tensor, x: Tensor) -> Tensor:
        log_scale = _log_width(parameters)
        z = (x - parameters[..., 0]) * (-log_scale).exp()
        return self._standard_log_density(parameters, z) - log_scale

    def _draw(self, parameters: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        z = self._standard_quantile(parameters, uniforms)
        return parameters[..., 0] + temperature * _log_width(parameters).exp() * z

    def _scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        location, width = parameters[..., :1] * log_scale.exp(), parameters[..., 1:2] + log_scale
        return torch.cat((location, width, parameters[..., 2:]), dim=-1)

    @abstractmethod
    def _standard_log_density(self, parameters: Tensor, z: Tensor) -> Tensor:
        """Log-density at location 0 and width 1."""

    @abstractmethod
    def _standard_quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        """Quantiles at location 0 and width 1."""


def _log_width(parameters: Tensor) -> Tensor:
    return parameters[..., 1].clamp(-LOG_WIDEST, LOG_WIDEST)


@HEADS.register("laplace.v1")
class Laplace(LocationScale):
    """Laplace distribution: median m and width b.

    The density is exp(-|x - m| / b) / 2b. Training minimises absolute errors with a learned width.
    """

    width_share = 0.5**0.5

    def _standard_log_density(self, parameters: Tensor, z: Tensor) -> Tensor:
        return -z.abs() - math.log(2)

    def _standard_quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        tail = torch.minimum(levels, 1 - levels)
        return (levels - 0.5).sign() * -(2 * tail).log()


@HEADS.register("gaussian.v1")
class Gaussian(LocationScale):
    """Normal distribution: mean and standard deviation.

    Training minimises squared errors with a learned width.
    """

    Config = GaussianConfig

    def _standard_log_density(self, parameters: Tensor, z: Tensor) -> Tensor:
        return -0.5 * z.square() - _HALF_LOG_TAU

    def _standard_quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        score: Tensor = torch.special.ndtri(levels)
        return score


@dataclass(frozen=True)
class StudentTConfig(LocationScaleConfig):
    """Settings of `student_t.v1`."""

    least_df: Annotated[float, Meta(ge=2.0, le=1e3)] = 2.0
    """Minimum degrees of freedom. [default in training: 6]"""


@HEADS.register("student_t.v1")
class StudentT(LocationScale):
    """Student's t: location, width and log(df - 2).

    With more than 2 degrees of freedom there is a variance.
    """

    Config = StudentTConfig
    each = 3

    def __init__(self, config: StudentTConfig) -> None:
        super().__init__(config)
        self.least_excess = config.least_df - 2.0

    def _link(self, raw: Tensor) -> Tensor:
        log_excess = log_softplus(raw[..., 2], self.least_excess / _DF_UNIT) + math.log(_DF_UNIT)
        return torch.cat((super()._link(raw[..., :2]), log_excess[..., None]), dim=-1)

    def _standard_log_density(self, parameters: Tensor, z: Tensor) -> Tensor:
        df = _degrees_of_freedom(parameters)
        constant = torch.lgamma((df + 1) / 2) - torch.lgamma(df / 2) - 0.5 * (df * math.pi).log()
        return constant - (df + 1) * torch.log1p(z.square() / df) / 2

    def _standard_quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        return student_t_quantile(levels, _degrees_of_freedom(parameters))


def _degrees_of_freedom(parameters: Tensor) -> Tensor:
    return 2 + parameters[..., 2].clamp(*_LOG_DF_RANGE).exp()


@functools.cache
def _table() -> NDArray[np.float64]:
    """Table of the ratio w / score; see `student_t_quantile`.

    It is an even grid over (score, sqrt(2 / df)), computed from the Chebyshev polynomial through
    exact quantiles.
    """
    from scipy.special import ndtr, stdtrit

    nodes = [np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1)) for degree in DEGREES]
    score = (nodes[0][:, None] + 1) / 2 * FARTHEST_SCORE
    df = 2 / ((nodes[1] + 1) / 2) ** 2
    t = stdtrit(df, ndtr(-score))
    ratio = np.sqrt(df * np.log1p(t * t / df)) / score
    coefficients = np.linalg.solve(
        chebyshev.chebvander(nodes[0], DEGREES[0]),
        np.linalg.solve(chebyshev.chebvander(nodes[1], DEGREES[1]), ratio.T).T,
    )
    along_score, along_df = (
        chebyshev.chebvander(np.linspace(-1, 1, points), degree)
        for points, degree in zip(POINTS, DEGREES, strict=True)
    )
    table: NDArray[np.float64] = along_score @ coefficients @ along_df.T
    return table


def student_t_quantile(levels: Tensor, df: Tensor) -> Tensor:
    """Quantiles of Student's t, many at once, for any degrees of freedom.

    With w = sqrt(df log(1 + t^2 / df)), which is nearly normal (Wallace 1959), the ratio of w to
    the normal score of the same level is a smooth function of that score and of 1 / df, all along
    the tails. It is interpolated in a fine table: the relative error is within 2e-7, and within
    3e-8 except in the last thousand-millionths.

    Arguments:
        levels: in (0, 1), float64.
        df: at least 2, of the same shape.
    """
    score = torch.special.ndtri(torch.minimum(levels, 1 - levels)).abs()
    score = score.clamp(max=FARTHEST_SCORE)
    inverse = 1 / df
    row, row_weights = _cubic(score * ((POINTS[0] - 1) / FARTHEST_SCORE), POINTS[0])
    column, column_weights = _cubic((2 * inverse).sqrt() * (POINTS[1] - 1), POINTS[1])
    table = torch.from_numpy(_table()).to(score.device).flatten()
    corner = (row * POINTS[1] + column).flatten()
    ratio = torch.zeros_like(score)
    for i, row_weight in enumerate(row_weights):
        along = torch.zeros_like(score)
        for j, column_weight in enumerate(column_weights):
            near = table.index_select(0, corner + (i * POINTS[1] + j))
            along.addcmul_(column_weight, near.view_as(along))
        ratio.addcmul_(row_weight, along)
    t = (torch.expm1((score * ratio).square() * inverse) / inverse).sqrt()
    return (levels - 0.5).sign() * t


def _cubic(place: Tensor, points: int) -> tuple[Tensor, list[Tensor]]:
    """Place and weights of cubic (Lagrange) interpolation on a unit grid.

    The place is the first of the four neighbours.
    """
    first = (place.floor() - 1).clamp(0, points - 4)
    x = place - first
    x1, x2, x3 = x - 1, x - 2, x - 3
    weights = [x1 * x2 * x3 / -6, x * x2 * x3 / 2, x * x1 * x3 / -2, x * x1 * x2 / 6]
    return first.long(), weights


@dataclass(frozen=True)
class GaussianMixtureConfig(DensityConfig):
    """Settings of `gaussian_mixture.v1`."""

    components: Annotated[int, Meta(ge=1, le=1 << 10)] = 5
    """Number of mixture components of one target."""
    least_scale: LeastScale = 1e-4
    """Minimum standard deviation of a component, in units of the targets."""


@HEADS.register("gaussian_mixture.v1")
class GaussianMixture(AlikeHead):
    """Mixture of Gaussians: weights, means and standard deviations.

    The parameters are the logits of the weights, the means, and the logarithms of the standard
    deviations.

    A draw chooses its component by the cumulative weights, and its place in the component by the
    remainder of the same uniform. At temperature t the weights are raised to 1 / t and the
    deviations multiplied by t (as Ha and Eck 2017 do with the variance); 0 is the mean of the
    heaviest component, the first of equals.
    """

    Config = GaussianMixtureConfig

    def __init__(self, config: GaussianMixtureConfig) -> None:
        super().__init__(config, 3 * config.components)
        self.components = config.components
        self.places = slice(config.components, 2 * config.components)
        self.least_scale = config.least_scale
        # Components that begin at one place would differ by chance only.
        places = (torch.arange(config.components) + 0.5) / config.components
        none = torch.zeros(config.components)
        start = torch.cat((none, torch.special.ndtri(places.double()).float(), none))
        self.bias.data.copy_(start.repeat(self.target_size))

    def _link(self, raw: Tensor) -> Tensor:
        logits, means, widths = raw.chunk(3, dim=-1)
        return torch.cat((logits, means, log_softplus(widths, self.least_scale)), dim=-1)

    def _log_density(self, parameters: Tensor, x: Tensor) -> Tensor:
        logits, means, log_scale = _parts(parameters)
        z = (x[..., None] - means) * (-log_scale).exp()
        each = -0.5 * z.square() - log_scale - _HALF_LOG_TAU
        return torch.logsumexp(logits.log_softmax(-1) + each, dim=-1)

    def _quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        logits, means, log_scale = _parts(parameters)
        weights, scale = logits.softmax(-1), log_scale.exp()
        # The quantile of a mixture lies between those of its components.
        ends = means + scale * torch.special.ndtri(levels)[..., None]
        low, high = ends.amin(-1), ends.amax(-1)
        for _ in range(_HALVINGS):
            middle = torch.lerp(low, high, 0.5)
            reached = (weights * torch.special.ndtr((middle[..., None] - means) / scale)).sum(-1)
            low = torch.where(reached < levels, middle, low)
            high = torch.where(reached < levels, high, middle)
        return torch.lerp(low, high, 0.5)

    def _draw(self, parameters: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        logits, means, log_scale = _parts(parameters)
        if temperature < GREEDY_BELOW:
            return means.gather(-1, logits.argmax(-1, keepdim=True))[..., 0]
        weights = (logits / temperature).softmax(-1)
        total = weights.cumsum(-1)
        point = uniforms[..., None] * total[..., -1:]
        bell = torch.searchsorted(total, point, right=True).clamp(max=self.components - 1)
        weight = weights.gather(-1, bell)
        before = total.gather(-1, bell) - weight
        left = ((point - before) / weight).clamp(TINY, 1 - 2 * TINY)
        width = log_scale.gather(-1, bell).exp()
        drawn: Tensor = means.gather(-1, bell) + temperature * width * torch.special.ndtri(left)
        return drawn[..., 0]

    def _scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        logits, means, widths = parameters.chunk(3, dim=-1)
        return torch.cat((logits, means * log_scale.exp(), widths + log_scale), dim=-1)


def _parts(parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logits, means, log_scale = parameters.chunk(3, dim=-1)
    return logits, means, log_scale.clamp(-LOG_WIDEST, LOG_WIDEST)

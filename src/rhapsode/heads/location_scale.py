"""Bell shapes: a location and a width. Laplace is learning by absolute errors, Gaussian by squared ones.

The temperature multiplies the distance from the median: 0 is the median, for these also the mode.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rhapsode.heads.contract import HEADS
from rhapsode.heads.density import (
    LOG_WIDEST,
    AlikeHead,
    DensityConfig,
    LeastScale,
    log_softplus,
)
from rhapsode.heads.student_t import student_t_quantile

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
# Degrees of freedom begin near 9, where the tails are felt and the middle is nearly Gaussian.
_DF_UNIT = 10.0
_LOG_DF_RANGE = (-12.0, 14.0)


class LocationScale(AlikeHead):
    """A location, the logarithm of a width, and what else the shape has."""

    width_share: ClassVar[float] = 1.0
    """The width as a share of the standard deviation."""

    def __init__(self, feature_size: int, target_size: int, each: int, least_scale: float) -> None:
        super().__init__(feature_size, target_size, each)
        self.least_scale = least_scale

    def _link(self, raw: Tensor) -> Tensor:
        return torch.stack((raw[..., 0], log_softplus(raw[..., 1], self.least_scale)), dim=-1)

    def _middle_rows(self) -> slice:
        return slice(0, 1)

    def _width_rows(self) -> tuple[tuple[int, float], ...]:
        return ((1, self.width_share),)

    def _log_density(self, parameters: Tensor, x: Tensor) -> Tensor:
        log_scale = _log_width(parameters)
        z = (x - parameters[..., 0]) * (-log_scale).exp()
        return self._standard_log_density(parameters, z) - log_scale

    def _quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        return self._draw(parameters, levels, 1.0)

    def _draw(self, parameters: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        z = self._standard_quantile(parameters, uniforms)
        return parameters[..., 0] + temperature * _log_width(parameters).exp() * z

    def _mean(self, parameters: Tensor) -> Tensor:
        return parameters[..., 0].clone()

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


@dataclass(frozen=True)
class LaplaceConfig(DensityConfig):
    """Settings of `laplace.v1`."""

    least_scale: LeastScale = 1e-4
    """Minimum scale, in units of the targets."""


@HEADS.register("laplace.v1")
class Laplace(LocationScale):
    """Absolute errors with a learned width: density exp(-|x - m| / b) / 2b; m is the median."""

    width_share = 0.5**0.5
    Config = LaplaceConfig

    def __init__(self, config: LaplaceConfig) -> None:
        super().__init__(config.feature_size, config.target_size, 2, config.least_scale)

    def _standard_log_density(self, parameters: Tensor, z: Tensor) -> Tensor:
        return -z.abs() - math.log(2)

    def _standard_quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        tail = torch.minimum(levels, 1 - levels)
        return (levels - 0.5).sign() * -(2 * tail).log()


@dataclass(frozen=True)
class GaussianConfig(DensityConfig):
    """Settings of `gaussian.v1`."""

    least_scale: LeastScale = 1e-4
    """Minimum standard deviation, in units of the targets."""


@HEADS.register("gaussian.v1")
class Gaussian(LocationScale):
    """Squared errors with a learned width: mean and standard deviation."""

    Config = GaussianConfig

    def __init__(self, config: GaussianConfig) -> None:
        super().__init__(config.feature_size, config.target_size, 2, config.least_scale)

    def _standard_log_density(self, parameters: Tensor, z: Tensor) -> Tensor:
        return -0.5 * z.square() - _HALF_LOG_TAU

    def _standard_quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        score: Tensor = torch.special.ndtri(levels)
        return score


@dataclass(frozen=True)
class StudentTConfig(DensityConfig):
    """Settings of `student_t.v1`."""

    least_scale: LeastScale = 1e-4
    """Minimum scale, in units of the targets."""


@HEADS.register("student_t.v1")
class StudentT(LocationScale):
    """Student's t: location, width and log(df - 2); with more than 2 degrees of freedom there is a variance."""

    Config = StudentTConfig

    def __init__(self, config: StudentTConfig) -> None:
        super().__init__(config.feature_size, config.target_size, 3, config.least_scale)

    def _link(self, raw: Tensor) -> Tensor:
        log_excess = log_softplus(raw[..., 2]) + math.log(_DF_UNIT)
        return torch.cat((super()._link(raw[..., :2]), log_excess[..., None]), dim=-1)

    def _standard_log_density(self, parameters: Tensor, z: Tensor) -> Tensor:
        df = _degrees_of_freedom(parameters)
        constant = torch.lgamma((df + 1) / 2) - torch.lgamma(df / 2) - 0.5 * (df * math.pi).log()
        return constant - (df + 1) * torch.log1p(z.square() / df) / 2

    def _standard_quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        return student_t_quantile(levels, _degrees_of_freedom(parameters))


def _degrees_of_freedom(parameters: Tensor) -> Tensor:
    return 2 + parameters[..., 2].clamp(*_LOG_DF_RANGE).exp()

"""Whole numbers: likelihoods of the original counts, whatever the scale of the inputs.

The inputs of a series of counts are scaled like any other; the targets stay as they were counted, so that nothing has
a Jacobian. How large a series is reaches the distribution through `scaled`, which multiplies the mean, as DeepAR does
(Salinas et al. 2020, section 3.3).

The temperature multiplies the normal score of the uniform that is inverted: 0 is the median, 1 the distribution
itself, and what is drawn are whole numbers at every temperature.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from rhapsode.heads.contract import HEADS
from rhapsode.heads.count_quantiles import negative_binomial_quantile, poisson_quantile
from rhapsode.heads.density import LOWEST, TINY, AlikeHead, DensityConfig, log_softplus

_LOG_MEAN_RANGE = (-700.0, 80.0)
# With less dispersion than e^-14 it is Poisson to seven digits, with more than e^9 nearly always zero.
_LOG_DISPERSION_RANGE = (-14.0, 9.0)


class CountHead(AlikeHead):
    """A mean, as its logarithm in the first column, and what else the shape has."""

    counts = True

    def _log_density(self, parameters: Tensor, x: Tensor) -> Tensor:
        possible = (x >= 0) & (x == x.round())
        log_mass = self._log_mass(parameters, torch.where(possible, x, 0.0))
        return torch.where(possible, log_mass, LOWEST)

    def _quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        return self._draw(parameters, levels, 1.0)

    def _draw(self, parameters: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        if temperature != 1.0:
            score = torch.special.ndtri(uniforms) * temperature
            uniforms = torch.special.ndtr(score).clamp(TINY, 1 - 2 * TINY)
        return self._invert(parameters, uniforms)

    def _mean(self, parameters: Tensor) -> Tensor:
        return _log_mean(parameters).exp()

    @abstractmethod
    def _log_mass(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log-probability of whole numbers from 0 on."""

    @abstractmethod
    def _invert(self, parameters: Tensor, levels: Tensor) -> Tensor:
        """The smallest counts whose cumulative probability exceeds the levels."""


def _log_mean(parameters: Tensor) -> Tensor:
    return parameters[..., 0].clamp(*_LOG_MEAN_RANGE)


@dataclass(frozen=True)
class PoissonConfig(DensityConfig):
    """Settings of `poisson.v1`."""


@HEADS.register("poisson.v1")
class Poisson(CountHead):
    """Counts whose variance is their mean; its logarithm is the one parameter."""

    Config = PoissonConfig

    def __init__(self, config: PoissonConfig) -> None:
        super().__init__(config.feature_size, config.target_size, 1)

    def _link(self, raw: Tensor) -> Tensor:
        return log_softplus(raw)

    def _log_mass(self, parameters: Tensor, x: Tensor) -> Tensor:
        log_mean = _log_mean(parameters)
        return x * log_mean - log_mean.exp() - torch.lgamma(x + 1)

    def _invert(self, parameters: Tensor, levels: Tensor) -> Tensor:
        return poisson_quantile(levels, _log_mean(parameters).exp())

    def _scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        return parameters + log_scale


@dataclass(frozen=True)
class NegativeBinomialConfig(DensityConfig):
    """Settings of `negative_binomial.v1`."""


@HEADS.register("negative_binomial.v1")
class NegativeBinomial(CountHead):
    """Counts with variance m + a m^2: logarithms of the mean m and of the dispersion a.

    Scaling by s multiplies m by s and divides a by sqrt(s): large series are less dispersed (Salinas et al. 2020).
    """

    Config = NegativeBinomialConfig

    def __init__(self, config: NegativeBinomialConfig) -> None:
        super().__init__(config.feature_size, config.target_size, 2)

    def _link(self, raw: Tensor) -> Tensor:
        return log_softplus(raw)

    def _log_mass(self, parameters: Tensor, x: Tensor) -> Tensor:
        log_mean, log_dispersion = _log_mean(parameters), _log_dispersion(parameters)
        size = (-log_dispersion).exp()
        # log(1 + a m): the logarithm of variance over mean.
        log_ratio = torch.nn.functional.softplus(log_dispersion + log_mean)
        combinations = torch.lgamma(x + size) - torch.lgamma(size) - torch.lgamma(x + 1)
        return combinations - size * log_ratio + x * (log_dispersion + log_mean - log_ratio)

    def _invert(self, parameters: Tensor, levels: Tensor) -> Tensor:
        return negative_binomial_quantile(
            levels, _log_mean(parameters).exp(), _log_dispersion(parameters).exp()
        )

    def _scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        return parameters + torch.cat((log_scale, -0.5 * log_scale), dim=-1)


def _log_dispersion(parameters: Tensor) -> Tensor:
    return parameters[..., 1].clamp(*_LOG_DISPERSION_RANGE)

"""A mixture of Gaussians: several bells, for what has several likely values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from rhapsode.heads.contract import HEADS
from rhapsode.heads.density import (
    LOG_WIDEST,
    TINY,
    AlikeHead,
    DensityConfig,
    LeastScale,
    log_softplus,
)

_LOG_TAU = 1.8378770664093453
_HALVINGS = 80
GREEDY_BELOW = 1e-5


@dataclass(frozen=True)
class GaussianMixtureConfig(DensityConfig):
    """Settings of `gaussian_mixture.v1`."""

    components: Annotated[int, Meta(ge=1, le=1 << 10)] = 5
    """Number of mixture components of one target."""
    least_scale: LeastScale = 1e-4
    """Minimum standard deviation of a component, in units of the targets."""


@HEADS.register("gaussian_mixture.v1")
class GaussianMixture(AlikeHead):
    """Logits of the weights, means, and logarithms of the standard deviations.

    A draw takes its bell with the cumulative weights and its place in the bell with what is left of the same uniform.
    At temperature t the weights are raised to 1 / t and the deviations multiplied by t (as Ha and Eck 2017 do with the
    variance); 0 is the mean of the heaviest bell, the first of equals.
    """

    Config = GaussianMixtureConfig

    def __init__(self, config: GaussianMixtureConfig) -> None:
        super().__init__(config.feature_size, config.target_size, 3 * config.components)
        self.components = config.components
        self.least_scale = config.least_scale
        # Bells that begin at one place would be told apart by chance only.
        places = (torch.arange(config.components) + 0.5) / config.components
        none = torch.zeros(config.components)
        self.start_at(torch.cat((none, torch.special.ndtri(places.double()).float(), none)))

    def _link(self, raw: Tensor) -> Tensor:
        logits, means, widths = raw.chunk(3, dim=-1)
        return torch.cat((logits, means, log_softplus(widths, self.least_scale)), dim=-1)

    def _middle_rows(self) -> slice:
        return slice(self.components, 2 * self.components)

    def _log_density(self, parameters: Tensor, x: Tensor) -> Tensor:
        logits, means, log_scale = _parts(parameters)
        z = (x[..., None] - means) * (-log_scale).exp()
        each = -0.5 * z.square() - log_scale - 0.5 * _LOG_TAU
        return torch.logsumexp(logits.log_softmax(-1) + each, dim=-1)

    def _quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        logits, means, log_scale = _parts(parameters)
        weights, scale = logits.softmax(-1), log_scale.exp()
        # The quantile of a mixture lies between those of its bells.
        ends = means + scale * torch.special.ndtri(levels)[..., None]
        low, high = ends.amin(-1), ends.amax(-1)
        for _ in range(_HALVINGS):
            middle = _between(low, high)
            reached = (weights * torch.special.ndtr((middle[..., None] - means) / scale)).sum(-1)
            low = torch.where(reached < levels, middle, low)
            high = torch.where(reached < levels, high, middle)
        return _between(low, high)

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

    def _mean(self, parameters: Tensor) -> Tensor:
        logits, means, _ = _parts(parameters)
        mean: Tensor = (logits.softmax(-1) * means).sum(-1)
        return mean

    def _scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        logits, means, widths = parameters.chunk(3, dim=-1)
        return torch.cat((logits, means * log_scale.exp(), widths + log_scale), dim=-1)


def _parts(parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logits, means, log_scale = parameters.chunk(3, dim=-1)
    return logits, means, log_scale.clamp(-LOG_WIDEST, LOG_WIDEST)


def _between(low: Tensor, high: Tensor) -> Tensor:
    return torch.lerp(low, high, 0.5)

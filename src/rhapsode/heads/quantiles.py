"""A distribution told by its quantiles: linear between them, exponential beyond the outermost.

It is trained by the pinball loss of its quantiles, not by its likelihood. The density is a step function of the
value, so the gradient of its logarithm says nothing of values that would pass from one step to the next: a sweep
down that gradient only narrows the steps and ends away from the true quantiles. The pinball loss is least exactly
at them (Koenker and Bassett 1978); the two tails, which it does not see, follow the likelihood of what lies in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from rhapsode.errors import SettingsError
from rhapsode.heads.contract import HEADS
from rhapsode.heads.density import (
    LOG_WIDEST,
    AlikeHead,
    DensityConfig,
    LeastScale,
    bounded,
    constant,
    log_softplus,
)

_LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class QuantilesConfig(DensityConfig):
    """Settings of `quantiles.v1`."""

    levels: tuple[float, ...] = _LEVELS
    """Levels of the quantiles in ascending order; 0.5 must be among them."""
    least_scale: LeastScale = 1e-4
    """Minimum distance between two quantiles, in units of the targets."""


@HEADS.register("quantiles.v1")
class Quantiles(AlikeHead):
    """The median, the logarithms of the distances between neighbouring quantiles, and of the two tails' mean lengths.

    Rising by construction. The temperature multiplies the distance from the median; 0 is the median.
    """

    Config = QuantilesConfig

    def __init__(self, config: QuantilesConfig) -> None:
        levels = config.levels
        rising = all(low < high for low, high in pairwise((0.0, *levels, 1.0)))
        if len(levels) < 3 or not rising or 0.5 not in levels[1:-1]:
            raise SettingsError(
                "the levels of quantiles must rise between 0 and 1, with 0.5 among them and others on both sides",
                where="levels",
            )
        super().__init__(config.feature_size, config.target_size, len(levels) + 2)
        self.least_scale = config.least_scale
        self.middle = levels.index(0.5)
        self._levels = constant(levels)

    def loss(
        self, parameters: Tensor, targets: Tensor, log_jacobian_BT: Tensor | None = None
    ) -> Tensor:
        """Twice the mean pinball loss of the quantiles, plus the tails' negative log-likelihood; (B, T) float32.

        Arguments:
            parameters: (B, T, P).
            targets: (B, T, K), or (B, T) where K is 1; NaN where missing.
            log_jacobian_BT: changes nothing here: it does not depend on the parameters.
        """
        x, known = self._known(parameters, targets)
        split = self._split(bounded(parameters).double())
        knots, tails = self._knots(split), split[..., -2:].clamp(-LOG_WIDEST, LOG_WIDEST)
        levels = self._levels.to(x.device)
        away = x[..., None] - knots
        pinball = torch.maximum(levels * away, (levels - 1) * away).mean(-1)
        beyond = torch.stack((-away[..., 0], away[..., -1]), dim=-1).detach()
        tail = torch.where(beyond > 0, tails + beyond.clamp(min=0.0) * (-tails).exp(), 0.0).sum(-1)
        return torch.where(known, 2 * pinball + tail, 0.0).sum(-1).clamp(max=1e30).float()

    def _link(self, raw: Tensor) -> Tensor:
        return torch.cat((raw[..., :1], log_softplus(raw[..., 1:], self.least_scale)), dim=-1)

    def _middle_rows(self) -> slice:
        return slice(0, 1)

    def _knots(self, parameters: Tensor) -> Tensor:
        """The quantiles at the levels, rising along the last axis."""
        gaps = parameters[..., 1:-2].clamp(-LOG_WIDEST, LOG_WIDEST).exp()
        median = parameters[..., :1]
        below = median - gaps[..., : self.middle].flip(-1).cumsum(-1).flip(-1)
        above = median + gaps[..., self.middle :].cumsum(-1)
        return torch.cat((below, median, above), dim=-1)

    def _log_density(self, parameters: Tensor, x: Tensor) -> Tensor:
        knots, levels = self._knots(parameters), self._levels.to(parameters.device)
        log_gaps = parameters[..., 1:-2].clamp(-LOG_WIDEST, LOG_WIDEST)
        tails = parameters[..., -2:].clamp(-LOG_WIDEST, LOG_WIDEST)
        left = torch.log(levels[0]) - tails[..., 0]
        left = left - (knots[..., 0] - x).clamp(min=0.0) * (-tails[..., 0]).exp()
        right = torch.log1p(-levels[-1]) - tails[..., 1]
        right = right - (x - knots[..., -1]).clamp(min=0.0) * (-tails[..., 1]).exp()
        step = (x[..., None] >= knots[..., 1:-1]).sum(-1, keepdim=True)
        inside = (levels.diff().log() - log_gaps).gather(-1, step)[..., 0]
        outside = torch.where(x >= knots[..., -1], right, inside)
        return torch.where(x < knots[..., 0], left, outside)

    def _quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        return self._draw(parameters, levels, 1.0)

    def _draw(self, parameters: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        knots, levels = self._knots(parameters), self._levels.to(parameters.device)
        tails = parameters[..., -2:].clamp(-LOG_WIDEST, LOG_WIDEST).exp()
        step = (torch.searchsorted(levels, uniforms, right=True) - 1).clamp(0, len(levels) - 2)
        low = knots.gather(-1, step[..., None])[..., 0]
        high = knots.gather(-1, step[..., None] + 1)[..., 0]
        share = (uniforms - levels[step]) / (levels[step + 1] - levels[step])
        inside = torch.lerp(low, high, share.clamp(0.0, 1.0))
        left = tails[..., 0] * (uniforms / levels[0]).log().clamp(max=0.0)
        right = -tails[..., 1] * ((1 - uniforms) / (1 - levels[-1])).log().clamp(max=0.0)
        median = parameters[..., 0]
        return median + temperature * (inside + left + right - median)

    def _mean(self, parameters: Tensor) -> Tensor:
        knots, levels = self._knots(parameters), self._levels.to(parameters.device)
        tails = parameters[..., -2:].clamp(-LOG_WIDEST, LOG_WIDEST).exp()
        inside = (levels.diff() * (knots[..., 1:] + knots[..., :-1]) / 2).sum(-1)
        left = levels[0] * (knots[..., 0] - tails[..., 0])
        right = (1 - levels[-1]) * (knots[..., -1] + tails[..., 1])
        return inside + left + right

    def _scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        return torch.cat(
            (parameters[..., :1] * log_scale.exp(), parameters[..., 1:] + log_scale), dim=-1
        )

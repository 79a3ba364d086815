"""Piecewise densities: between given edges (bins), or between learnt quantiles.

Within a bin the density is constant, in the two outermost it falls off exponentially, so that it
integrates to one and is comparable with any other (bins of scaled values as in Ansari et al. 2024,
Chronos). Every sampler for text works on bins.

Quantiles are joined linearly, with exponential tails beyond the outermost. They are trained by the
pinball loss, not by their likelihood. The density is a step function of the value, so the gradient
of its logarithm ignores values that would move from one step to the next: following that gradient
only narrows the steps and ends away from the true quantiles. The pinball loss has its minimum
exactly at them (Koenker and Bassett 1978); the two tails, which it does not cover, are trained by
the likelihood of the values in them.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from rhapsode.errors import SettingsError
from rhapsode.heads.contract import (
    HEADS,
    LOG_WIDEST,
    TINY,
    AlikeHead,
    DensityConfig,
    LeastScale,
    bounded,
    constant,
    log_softplus,
)

MOST_BINS = 1 << 16
_LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
# Minimum width at initialisation, in the units of the targets: logits grow with its inverse square.
LEAST_WIDTH = 0.05


@dataclass(frozen=True, kw_only=True)
class BinsConfig(DensityConfig):
    """Settings of `bins.v1`."""

    edges: tuple[float, ...]
    """Bin edges in ascending order, one fewer than there are bins."""
    tails: tuple[float, float]
    """Mean lengths of the two outermost bins."""


@HEADS.register("bins.v1")
class Bins(AlikeHead):
    """A logit for every bin.

    The temperature divides the logits; 0 is the centre of the likeliest bin. The bins are fixed, so
    that `scaled` is refused.
    """

    Config = BinsConfig

    def __init__(self, config: BinsConfig) -> None:
        edges, tails = config.edges, config.tails
        finite = all(abs(value) < 1e300 for value in (*edges, *tails))
        rising = all(low < high for low, high in pairwise(edges))
        if not edges or len(edges) >= MOST_BINS or not finite or not rising:
            raise SettingsError("the edges of bins must be finite and increasing", where="edges")
        if not all(tail > 0 for tail in tails):
            raise SettingsError("the outermost bins must have a length above 0", where="tails")
        super().__init__(config, len(edges) + 1)
        self.bins = len(edges) + 1
        self._edges = constant(edges)
        # Divisors of the bins' densities: widths, and decay lengths for the outermost bins.
        ends = constant(tails)
        self._widths = torch.cat((ends[:1], self._edges.diff(), ends[1:]))

    def centres(self) -> Tensor:
        """The mean of every bin, (V,) float64."""
        edges, widths = self._edges, self._widths
        low, high = edges[:1] - widths[:1], edges[-1:] + widths[-1:]
        return torch.cat((low, (edges[:-1] + edges[1:]) / 2, high))

    def bins_of(self, values: Tensor) -> Tensor:
        """Bins (int64) that contain the values (..., K).

        Missing values are in the first bin.
        """
        edges = self._edges.to(values.device)
        return torch.searchsorted(edges, values.nan_to_num(-math.inf).contiguous(), right=True)

    def logits(self, parameters: Tensor) -> Tensor:
        """Logits (..., K, V) of parameters (..., P)."""
        return self._split(parameters.detach())

    def start_linear(self, weight_KF: Tensor, bias_K: Tensor, log_width_K: Tensor) -> bool:
        """Initialise the logits as a normal density around a linear function.

        Such logits are linear in the features.

        Arguments:
            weight_KF: weights of the last F features, for each target.
            bias_K: added to it.
            log_width_K: natural logarithm of the standard deviation around it.

        Returns:
            True.
        """
        centres = self.centres().to(self.weight.device)
        with torch.no_grad():
            weight = self.weight.view(self.target_size, self.bins, -1)
            bias = self.bias.view(self.target_size, self.bins)
            weight[:, :, -weight_KF.shape[1] :] = 0.0
            precision_K1 = log_width_K.double().exp().clamp(LEAST_WIDTH, 1e3)[:, None] ** -2
            slope_KV = precision_K1 * centres
            weight[:, :, -weight_KF.shape[1] :] += slope_KV[..., None] * weight_KF[:, None]
            bias += slope_KV * bias_K[:, None] - precision_K1 * centres**2 / 2
            bias += self._widths.to(bias.device).log()
        return True

    def draw_bins(self, logits_RKV: Tensor, uniforms_RK: Tensor) -> tuple[Tensor, Tensor]:
        """Draw values and their bins by inversion, both (R, K).

        A bin whose logit is -inf is never drawn.

        Arguments:
            logits_RKV: at least one per row is finite.
            uniforms_RK: in [0, 1).
        """
        logits_RKV = logits_RKV.double().clamp(max=1e300)
        below_RKV = logits_RKV.softmax(-1).cumsum(-1)
        point = (uniforms_RK.double() * below_RKV[..., -1])[..., None].contiguous()
        bin_RK1 = torch.searchsorted(below_RKV.contiguous(), point, right=True)
        # Rounding may push a point to the very end: it then gets the last bin with any probability.
        has_any = below_RKV.diff(dim=-1, prepend=torch.zeros_like(point)) > 0
        numbers = torch.arange(self.bins, device=logits_RKV.device)
        bin_RK1 = torch.minimum(bin_RK1, torch.where(has_any, numbers, 0).amax(-1, keepdim=True))
        upper = below_RKV.gather(-1, bin_RK1)
        lower = torch.where(bin_RK1 > 0, below_RKV.gather(-1, (bin_RK1 - 1).clamp(min=0)), 0.0)
        share = ((point - lower) / (upper - lower)).clamp(TINY, 1 - 2 * TINY)[..., 0]
        bin_RK = bin_RK1[..., 0]
        edges = self._edges.to(bin_RK.device)
        width_RK = self._widths.to(bin_RK.device)[bin_RK]
        value_RK = edges[(bin_RK - 1).clamp(min=0)] + share * width_RK
        value_RK = torch.where(bin_RK == 0, edges[0] + width_RK * share.log(), value_RK)
        last = self.bins - 1
        value_RK = torch.where(bin_RK == last, edges[-1] - width_RK * torch.log1p(-share), value_RK)
        return value_RK, bin_RK

    def _link(self, raw: Tensor) -> Tensor:
        return raw

    def _log_density(self, parameters: Tensor, x: Tensor) -> Tensor:
        edges, widths = self._edges.to(x.device), self._widths.to(x.device)
        bin_ = torch.searchsorted(edges, x.contiguous(), right=True)
        log_prob = parameters.log_softmax(-1).gather(-1, bin_[..., None])[..., 0]
        beyond = (edges[0] - x).clamp(min=0.0) / widths[0]
        beyond = beyond + (x - edges[-1]).clamp(min=0.0) / widths[-1]
        return log_prob - widths[bin_].log() - beyond

    def _quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        return self.draw_bins(parameters, levels)[0]

    def _draw(self, parameters: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        if temperature == 0.0:
            return self.centres().to(parameters.device)[parameters.argmax(-1)]
        # The largest is subtracted first: a tiny temperature would overflow the quotients
        # otherwise.
        logits = parameters - parameters.amax(-1, keepdim=True)
        return self.draw_bins(logits / temperature, uniforms)[0]

    def _scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        raise NotImplementedError("the edges of bins cannot be changed")


@dataclass(frozen=True)
class QuantilesConfig(DensityConfig):
    """Settings of `quantiles.v1`."""

    levels: tuple[float, ...] = _LEVELS
    """Levels of the quantiles in ascending order; 0.5 must be among them."""
    least_scale: LeastScale = 1e-4
    """Minimum distance between two quantiles, in units of the targets."""


@HEADS.register("quantiles.v1")
class Quantiles(AlikeHead):
    """Quantiles with linear interpolation and exponential tails.

    The parameters are the median, the logarithms of the distances between neighbouring quantiles,
    and those of the two tails' mean lengths, so that quantiles rise by construction. The
    temperature multiplies the distance from the median; 0 is the median.
    """

    Config = QuantilesConfig
    places = slice(0, 1)

    def __init__(self, config: QuantilesConfig) -> None:
        levels = config.levels
        rising = all(low < high for low, high in pairwise((0.0, *levels, 1.0)))
        if len(levels) < 3 or not rising or 0.5 not in levels[1:-1]:
            raise SettingsError(
                "the levels of quantiles must increase between 0 and 1, "
                "and include 0.5 with others on both sides",
                where="levels",
            )
        super().__init__(config, len(levels) + 2)
        self.least_scale = config.least_scale
        self.middle = levels.index(0.5)
        self._levels = constant(levels)

    def loss(
        self, parameters: Tensor, targets: Tensor, log_jacobian_BT: Tensor | None = None
    ) -> Tensor:
        """Pinball loss of the quantiles plus negative log-likelihood of the tails.

        It is twice the mean pinball loss; (B, T) float32.

        Arguments:
            parameters: (B, T, P).
            targets: (B, T, K), or (B, T) where K is 1; NaN where missing.
            log_jacobian_BT: ignored: it does not depend on the parameters.
        """
        x, known = self._known(parameters, targets)
        split = self._split(bounded(parameters).double())
        knots, _, tails, levels = self._parts(split)
        away = x[..., None] - knots
        pinball = torch.maximum(levels * away, (levels - 1) * away).mean(-1)
        beyond = torch.stack((-away[..., 0], away[..., -1]), dim=-1).detach()
        tail = torch.where(beyond > 0, tails + beyond.clamp(min=0.0) * (-tails).exp(), 0.0).sum(-1)
        return torch.where(known, 2 * pinball + tail, 0.0).sum(-1).clamp(max=1e30).float()

    def _link(self, raw: Tensor) -> Tensor:
        return torch.cat((raw[..., :1], log_softplus(raw[..., 1:], self.least_scale)), dim=-1)

    def _parts(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Quantiles, log gaps, log tail lengths, and levels.

        Quantiles rise along the last axis.
        """
        log_gaps, tails = parameters[..., 1:].clamp(-LOG_WIDEST, LOG_WIDEST).tensor_split((-2,), -1)
        median, gaps = parameters[..., :1], log_gaps.exp()
        below = median - gaps[..., : self.middle].flip(-1).cumsum(-1).flip(-1)
        above = median + gaps[..., self.middle :].cumsum(-1)
        knots = torch.cat((below, median, above), dim=-1)
        return knots, log_gaps, tails, self._levels.to(parameters.device)

    def _log_density(self, parameters: Tensor, x: Tensor) -> Tensor:
        knots, log_gaps, tails, levels = self._parts(parameters)
        left = torch.log(levels[0]) - tails[..., 0]
        left = left - (knots[..., 0] - x).clamp(min=0.0) * (-tails[..., 0]).exp()
        right = torch.log1p(-levels[-1]) - tails[..., 1]
        right = right - (x - knots[..., -1]).clamp(min=0.0) * (-tails[..., 1]).exp()
        step = (x[..., None] >= knots[..., 1:-1]).sum(-1, keepdim=True)
        inside = (levels.diff().log() - log_gaps).gather(-1, step)[..., 0]
        outside = torch.where(x >= knots[..., -1], right, inside)
        return torch.where(x < knots[..., 0], left, outside)

    def _draw(self, parameters: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        knots, _, log_tails, levels = self._parts(parameters)
        tails = log_tails.exp()
        step = (torch.searchsorted(levels, uniforms, right=True) - 1).clamp(0, len(levels) - 2)
        low = knots.gather(-1, step[..., None])[..., 0]
        high = knots.gather(-1, step[..., None] + 1)[..., 0]
        share = (uniforms - levels[step]) / (levels[step + 1] - levels[step])
        inside = torch.lerp(low, high, share.clamp(0.0, 1.0))
        left = tails[..., 0] * (uniforms / levels[0]).log().clamp(max=0.0)
        right = -tails[..., 1] * ((1 - uniforms) / (1 - levels[-1])).log().clamp(max=0.0)
        median = parameters[..., 0]
        return median + temperature * (inside + left + right - median)

    def _scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        return torch.cat(
            (parameters[..., :1] * log_scale.exp(), parameters[..., 1:] + log_scale), dim=-1
        )

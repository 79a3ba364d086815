"""The head of strokes: bivariate Gaussians, and a state of the pen.

Graves 2013, Generating Sequences With Recurrent Neural Networks, section 4; the three states of the
pen are those of Ha and Eck 2018, A Neural Representation of Sketch Drawings.
"""

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from msgspec import Meta
from torch import Tensor, nn

from rhapsode.heads.contract import (
    FARTHEST,
    GREEDY_BELOW,
    HEADS,
    LOWEST,
    TINY,
    DensityHead,
    Features,
    LeastScale,
    bounded,
)

PENS = 3
_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
_MOST_CORRELATED = 0.99
_LOG_DEVIATION_RANGE = (-30.0, 30.0)
# Distances in deviations beyond it are not told apart: their squares overflow float32.
_FARTHEST_Z = 1e14
_HALVINGS = 60


@dataclass(frozen=True)
class StrokesConfig:
    """Settings of `pen.v1`."""

    feature_size: Features
    """Number of input features, H."""
    target_size: Annotated[int, Meta(ge=3, le=3)] = 3
    """Numbers of one observation: dx, dy and the state of the pen."""
    components: Annotated[int, Meta(ge=1, le=1 << 10)] = 20
    """Number of mixture components."""
    least_scale: LeastScale = 1e-4
    """Minimum standard deviation of a component, in units of the targets. [default in training: the
    standard deviation of rounding to the grid]"""
    by_pen: bool = True
    """Let the weights of the components depend on the state of the pen after the move."""


class _Parts(NamedTuple):
    """Parameters of the distribution: pen (..., 3), weights (..., 3, M), the others (..., M)."""

    pen: Tensor
    weights: Tensor
    mean_x: Tensor
    mean_y: Tensor
    log_x: Tensor
    log_y: Tensor
    correlation: Tensor


@HEADS.register("pen.v1")
class Strokes(DensityHead):
    """A state of the pen, and a mixture of bivariate Gaussians.

    The parameters are the logits of the pen, the logits of the weights, for each state of the pen
    where they depend on it, the means, the logarithms of the deviations, and the correlations,
    which tanh limits to 0.99.

    A draw takes three uniforms: the first two invert the normals, the third chooses the state of
    the pen by the cumulative probabilities, and the component by its remainder. At temperature t,
    logits are divided by t and variances multiplied by t (Ha and Eck 2018); 0 is the mean of the
    heaviest component of the likeliest state.
    """

    Config = StrokesConfig

    def __init__(self, config: StrokesConfig) -> None:
        super().__init__()
        self.target_size = config.target_size
        self.components = config.components
        self.least_scale = config.least_scale
        self.by_pen = config.by_pen
        self._weights = config.components * (PENS if config.by_pen else 1)
        self.width = PENS + self._weights + 5 * config.components
        self.weight = nn.Parameter(torch.empty(self.width, config.feature_size))
        self.bias = nn.Parameter(torch.zeros(self.width))
        bound = config.feature_size**-0.5
        nn.init.uniform_(self.weight, -bound, bound)
        with torch.no_grad():
            # Components that begin at one place would differ by chance only.
            _, _, means, widths, _ = self._split(self.bias)
            angles = torch.arange(config.components) * 2.4
            radii = ((torch.arange(config.components) + 0.5) / config.components).sqrt()
            means.copy_(torch.cat((radii * angles.cos(), radii * angles.sin())))
            widths.copy_(torch.linspace(-3.0, 0.0, config.components).repeat(2))

    def forward(self, y_BTH: Tensor) -> Tensor:
        with torch.autocast(y_BTH.device.type, enabled=False):
            raw = nn.functional.linear(y_BTH.float(), self.weight.float(), self.bias.float())
            pen, weights, means, widths, correlations = self._split(raw)
            least = torch.full((), math.log(self.least_scale), device=raw.device)
            widths = torch.logaddexp(widths, least).clamp(*_LOG_DEVIATION_RANGE)
            correlations = _MOST_CORRELATED * correlations.tanh()
            return torch.cat((pen, weights, means, widths, correlations), dim=-1)

    def log_prob(
        self, parameters: Tensor, targets: Tensor, log_jacobian_BT: Tensor | None = None
    ) -> Tensor:
        """Log-probability (nats) of targets, (B, T) float32.

        Arguments:
            parameters: (B, T, P).
            targets: (B, T, 3); where a number is missing (NaN), the rest is scored; where dx or dy
                is missing, the move is.
            log_jacobian_BT: added as it is.
        """
        parts = self._parts(bounded(parameters).float())
        x, y, pen = self._columns(parameters, targets).float().unbind(-1)
        moved, known = ~(x.isnan() | y.isnan()), ~pen.isnan()
        x, y = (torch.where(moved, each, 0.0).clamp(-FARTHEST, FARTHEST) for each in (x, y))
        component = _log_normal(parts, x[..., None], y[..., None])
        state = torch.where(known, pen, 0.0).clamp(0, PENS - 1).long()[..., None]
        log_pen = parts.pen.log_softmax(-1)
        own = log_pen.gather(-1, state)[..., 0]
        if self.by_pen:
            place = state[..., None].expand(*state.shape, self.components)
            weights = parts.weights.gather(-2, place)[..., 0, :]
        else:
            weights = parts.weights[..., 0, :]
        move = torch.logsumexp(weights.log_softmax(-1) + component, dim=-1)
        # Of all states of the pen together; whether it is needed would have to be read from a GPU.
        every = torch.logsumexp(
            log_pen[..., None] + parts.weights.log_softmax(-1) + component[..., None, :],
            dim=(-2, -1),
        )
        total = torch.where(moved, torch.where(known, move, every), 0.0)
        total = total + torch.where(known, own, 0.0)
        log_prob_BT = total.clamp(min=LOWEST).detach() + (total - total.detach())
        return log_prob_BT if log_jacobian_BT is None else log_prob_BT + log_jacobian_BT

    def sample(self, parameters: Tensor, uniforms_B: Tensor, temperature: float = 1.0) -> Tensor:
        """Draw one move per row, (B, 3) float64, by inversion.

        Arguments:
            parameters: (B, P).
            uniforms_B: in [0, 1), (B, 3).
            temperature: of logits and variances.

        Raises:
            ValueError: a negative temperature.
        """
        if temperature < 0:
            raise ValueError(f"temperature {temperature} is negative")
        parts = self._parts(parameters.detach().double())
        first, second, third = self._columns(parameters, uniforms_B).double().unbind(-1)
        if temperature < GREEDY_BELOW:
            state = parts.pen.argmax(-1)
            component = _of_pen(parts.weights, state).argmax(-1)[:, None]
            x, y = (each.gather(-1, component)[:, 0] for each in (parts.mean_x, parts.mean_y))
            return torch.stack((x, y, state.double()), dim=-1)
        state, rest = _choose(parts.pen / temperature, third)
        component, _ = _choose(_of_pen(parts.weights, state) / temperature, rest)
        mean_x, mean_y, log_x, log_y, correlation = (
            each.gather(-1, component[:, None])[:, 0] for each in parts[2:]
        )
        first, second = (
            torch.special.ndtri(each.clamp(TINY, 1 - 2 * TINY)) for each in (first, second)
        )
        width = math.sqrt(temperature)
        across = correlation * first + (1 - correlation.square()).sqrt() * second
        return torch.stack(
            (
                mean_x + width * log_x.exp() * first,
                mean_y + width * log_y.exp() * across,
                state.double(),
            ),
            dim=-1,
        )

    def quantile(self, parameters: Tensor, level: float | Tensor) -> Tensor:
        """Quantiles (..., 3) of dx, dy and pen, each by itself."""
        parts = self._parts(parameters.detach().double())
        levels = torch.as_tensor(level, dtype=torch.float64, device=parameters.device)
        levels = levels.expand(*parameters.shape[:-1], self.target_size).clamp(TINY, 1 - 2 * TINY)
        pen = parts.pen.softmax(-1)
        weights = (pen[..., None] * parts.weights.softmax(-1)).sum(-2)
        x, y = (
            _mixture_quantile(weights, mean, log_width.exp(), levels[..., place])
            for place, (mean, log_width) in enumerate(
                ((parts.mean_x, parts.log_x), (parts.mean_y, parts.log_y))
            )
        )
        below = pen.cumsum(-1)[..., :-1] < levels[..., 2:]
        return torch.stack((x, y, below.sum(-1).double()), dim=-1)

    def scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        """Parameters of scaled moves; the state of the pen has no scale."""
        pen, weights, means, widths, correlations = self._split(parameters)
        each = log_scale[..., :2].repeat_interleave(self.components, dim=-1)
        return torch.cat((pen, weights, means * each.exp(), widths + each, correlations), dim=-1)

    def biased(self, parameters: Tensor, bias: float) -> Tensor:
        """Parameters of a distribution that prefers likely moves (Graves 2013, section 5.4).

        Deviations are multiplied by exp(-bias), logits of the weights by 1 + bias.
        """
        pen, weights, means, widths, correlations = self._split(parameters)
        return torch.cat((pen, weights * (1 + bias), means, widths - bias, correlations), dim=-1)

    def _split(self, parameters: Tensor) -> tuple[Tensor, ...]:
        """Logits of the pen and of the weights, means, log deviations, correlations."""
        two = 2 * self.components
        return torch.split(parameters, [PENS, self._weights, two, two, self.components], dim=-1)

    def _parts(self, parameters: Tensor) -> _Parts:
        pen, weights, means, widths, correlation = self._split(parameters)
        weights = weights.view(*weights.shape[:-1], -1, self.components)
        weights = weights.expand(*weights.shape[:-2], PENS, self.components)
        widths = widths.clamp(*_LOG_DEVIATION_RANGE)
        correlation = correlation.clamp(-_MOST_CORRELATED, _MOST_CORRELATED)
        (mean_x, mean_y), (log_x, log_y) = means.chunk(2, -1), widths.chunk(2, -1)
        return _Parts(pen, weights, mean_x, mean_y, log_x, log_y, correlation)


def _log_normal(parts: _Parts, x: Tensor, y: Tensor) -> Tensor:
    """Log-density (..., M) of each component at (x, y)."""
    across, along = ((x - parts.mean_x), (y - parts.mean_y))
    across, along = (
        (each * (-log_width).exp()).clamp(-_FARTHEST_Z, _FARTHEST_Z)
        for each, log_width in ((across, parts.log_x), (along, parts.log_y))
    )
    free = 1 - parts.correlation.square()
    # A sum of squares: nothing cancels out, however strong the correlation.
    squares = across.square() + (along - parts.correlation * across).square() / free
    return -0.5 * (squares + free.log()) - parts.log_x - parts.log_y - 2 * _HALF_LOG_TAU


def _of_pen(weights: Tensor, state: Tensor) -> Tensor:
    """Logits (B, M) of the weights for a state of the pen (B,)."""
    place = state[:, None, None].expand(-1, 1, weights.shape[-1])
    return weights.gather(-2, place)[:, 0]


def _choose(logits: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """Choose an entry of each row by a uniform; also the remainder of the uniform.

    The remainder is uniform again, and independent of the choice.
    """
    weights = logits.softmax(-1)
    total = weights.cumsum(-1)
    point = uniforms[:, None] * total[:, -1:]
    entry = torch.searchsorted(total.contiguous(), point, right=True)
    entry = entry.clamp(max=logits.shape[-1] - 1)
    weight = weights.gather(-1, entry)
    rest = (point - (total.gather(-1, entry) - weight)) / weight.clamp(min=TINY)
    return entry[:, 0], rest[:, 0].clamp(0.0, 1 - 2 * TINY)


def _mixture_quantile(weights: Tensor, means: Tensor, scale: Tensor, levels: Tensor) -> Tensor:
    """Quantiles (...) of mixtures of Gaussians (..., M), by halving."""
    ends = means + scale * torch.special.ndtri(levels)[..., None]
    low, high = ends.amin(-1), ends.amax(-1)
    for _ in range(_HALVINGS):
        middle = torch.lerp(low, high, 0.5)
        reached = (weights * torch.special.ndtr((middle[..., None] - means) / scale)).sum(-1)
        low = torch.where(reached < levels, middle, low)
        high = torch.where(reached < levels, high, middle)
    return torch.lerp(low, high, 0.5)

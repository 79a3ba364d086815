"""The contract of a head, and the base of heads over numbers.

A head maps features to a distribution over the next element. Heads over numbers have in common an
affine map to parameters, bounded gradients and draws by inversion. Their parameters are (B, T, P)
with P = K x the head's own number for one target. A width is kept as its logarithm and a location
as it is, so that `scaled` takes a distribution over scaled values to the data's own units exactly.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from msgspec import Meta
from torch import Tensor, nn

from rhapsode.config import Registry

GREEDY_BELOW = 1e-5
"""Temperatures below it choose the likeliest element."""


class Head(nn.Module, ABC):
    """Map of features to a distribution, with its density and draws.

    A log-probability is always in the data's own units: heads over scaled values add
    `log_jacobian_BT`.
    """

    Config: ClassVar[type[Any]]
    width: int
    """Numbers that describe the distribution at one position."""

    @abstractmethod
    def forward(self, y_BTH: Tensor) -> Tensor:
        """Parameters of the distribution at every position, (B, T, ...)."""

    @abstractmethod
    def log_prob(
        self, parameters: Tensor, targets: Tensor, log_jacobian_BT: Tensor | None = None
    ) -> Tensor:
        """Log-probability (nats) of the targets, (B, T) float32."""

    def loss(
        self, parameters: Tensor, targets: Tensor, log_jacobian_BT: Tensor | None = None
    ) -> Tensor:
        """The training loss, (B, T) float32: by default the negative log-probability."""
        return -self.log_prob(parameters, targets, log_jacobian_BT)

    def log_prob_after(
        self, y_BTH: Tensor, targets: Tensor, evidence_BTV: Tensor | None = None
    ) -> Tensor | None:
        """Log-probability (nats) of the targets after features, (B, T) float32.

        Where it is cheaper than `log_prob` of `forward`, and equal to it; else None.

        Arguments:
            y_BTH: the features.
            targets: ids or values.
            evidence_BTV: added to the logits; None: nothing.
        """
        return None

    @abstractmethod
    def sample(self, parameters: Tensor, uniforms_B: Tensor, temperature: float = 1.0) -> Tensor:
        """Draw one element per row from parameters (B, ...).

        Draws invert uniforms in [0, 1).
        """


HEADS: Registry[type[Head]] = Registry("head")

Features = Annotated[int, Meta(ge=1, le=1 << 20)]
Targets = Annotated[int, Meta(ge=1, le=1 << 12)]
LeastScale = Annotated[float, Meta(gt=0.0, le=1.0)]


@dataclass(frozen=True)
class DensityConfig:
    """Settings of heads over numbers."""

    feature_size: Features
    """Number of input features, H."""
    target_size: Targets = 1
    """Numbers of one observation, K."""
    least_tail: Annotated[float, Meta(ge=0.0, lt=0.5)] = 0.0
    """Draws lie between the quantile of this level and that of 1 minus it. [default in training:
    0.0005]"""


# Limits beyond which float32 overflows where the training loop adds up and clips.
FARTHEST = 1e35
STEEPEST = 1e6
LOWEST = -1e30
LOG_WIDEST = 100.0
TINY = 2.0**-54
# Buffers that stay in a core's cache, and that malloc reuses without asking the system.
ROWS_AT_ONCE = 8192
NUMBERS_AT_ONCE = 1 << 18


def constant(values: Sequence[float]) -> Tensor:
    """Settings as a float64 tensor on the CPU, whatever the default device.

    It is not a buffer, which a network built on the meta device and filled from a file would lose.
    """
    return torch.tensor(values, dtype=torch.float64, device="cpu")


def bounded(parameters: Tensor) -> Tensor:
    """The same values, with gradients of at most `STEEPEST` and never NaN."""
    if not parameters.requires_grad:
        return parameters
    parameters = parameters.view_as(parameters)
    parameters.register_hook(  # type: ignore[no-untyped-call]
        lambda slope: slope.nan_to_num(0.0, STEEPEST, -STEEPEST).clamp(-STEEPEST, STEEPEST)
    )
    return parameters


def log_softplus(x: Tensor, floor: float = 0.0) -> Tensor:
    """log(softplus(x) + floor).

    Without a floor it is accurate also where softplus underflows.
    """
    if floor:
        return (nn.functional.softplus(x) + floor).log()
    # Below -20 softplus(x) is exp(x) to float64's last digit but one.
    return torch.where(x < -20.0, x, nn.functional.softplus(x.clamp(min=-20.0)).log())


class DensityHead(Head):
    """A distribution over K numbers.

    Values are computed in float64; a target that is NaN is missing and adds nothing; parameters of
    any size and targets up to 1e35 give finite log-probabilities (at least -1e30) and finite
    gradients (at most 1e6 a parameter).
    """

    counts: ClassVar[bool] = False
    """True if targets are in the data's own units, unscaled."""
    whole: ClassVar[bool] = True
    """True if such targets are whole numbers."""
    target_size: int
    """Numbers of one observation, K."""

    def start_linear(self, weight_KF: Tensor, bias_K: Tensor, log_width_K: Tensor) -> bool:
        """Initialise every distribution around a linear function of the last features.

        Arguments:
            weight_KF: weights of the last F features, for each target.
            bias_K: added to it.
            log_width_K: natural logarithm of the standard deviation around it.

        Returns:
            True if this head can begin so; otherwise nothing was changed.
        """
        return False

    @abstractmethod
    def quantile(self, parameters: Tensor, level: float | Tensor) -> Tensor:
        """Quantiles (..., K) of parameters (..., P), float64.

        Arguments:
            parameters: of any leading shape.
            level: in (0, 1); a number, or a tensor that broadcasts against (..., K).
        """

    @abstractmethod
    def scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        """Parameters (..., P) of the distribution of exp(log_scale) times the values.

        Arguments:
            parameters: (..., P).
            log_scale: (..., K), or (...) where K is 1: natural logarithm of each target's scale.
        """

    def _columns(self, parameters: Tensor, values: Tensor) -> Tensor:
        """Values with the K of the targets as their last axis."""
        if values.ndim == parameters.ndim - 1 and self.target_size == 1:
            return values[..., None]
        if values.ndim != parameters.ndim or values.shape[-1] != self.target_size:
            raise ValueError(
                f"values of shape {tuple(values.shape)} for {self.target_size} targets a position"
            )
        return values


class AlikeHead(DensityHead):
    """Distributions of one shape over K numbers.

    They are independent of one another given the features.
    """

    places: slice | None = None
    """Raw outputs of a target that are locations in its own units; None without any."""
    width_share: ClassVar[float | None] = None
    """Ratio of the width, a target's second raw output, to the standard deviation; None without a
    width."""

    def __init__(self, config: DensityConfig, each: int) -> None:
        super().__init__()
        self.target_size = config.target_size
        self.least_tail = max(config.least_tail, TINY)
        self.width = config.target_size * each
        self.weight = nn.Parameter(torch.empty(self.width, config.feature_size))
        self.bias = nn.Parameter(torch.zeros(self.width))
        bound = config.feature_size**-0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def start_linear(self, weight_KF: Tensor, bias_K: Tensor, log_width_K: Tensor) -> bool:
        if self.places is None:
            return False
        with torch.no_grad():
            weight = self.weight.view(self.target_size, -1, self.weight.shape[1])
            bias = self.bias.view(self.target_size, -1)
            weight[:, :, -weight_KF.shape[1] :] = 0.0
            weight[:, self.places, -weight_KF.shape[1] :] = weight_KF[:, None]
            bias[:, self.places] += bias_K[:, None]
            if self.width_share is not None:
                width = log_width_K.exp().clamp(1e-3, 1e3)
                # The inverse of softplus.
                bias[:, 1] = (self.width_share * width).expm1().log()
        return True

    def forward(self, y_BTH: Tensor) -> Tensor:
        with torch.autocast(y_BTH.device.type, enabled=False):
            raw = nn.functional.linear(y_BTH.float(), self.weight.float(), self.bias.float())
            return self._link(self._split(raw)).flatten(-2)

    def log_prob(
        self, parameters: Tensor, targets: Tensor, log_jacobian_BT: Tensor | None = None
    ) -> Tensor:
        """Log-probability (nats) of targets, (B, T) float32.

        Arguments:
            parameters: (B, T, P).
            targets: (B, T, K), or (B, T) where K is 1, in the units of the parameters; NaN where
                missing.
            log_jacobian_BT: added as it is.
        """
        x, known = self._known(parameters, targets)
        each = self._log_density(self._split(bounded(parameters).double()), x)
        total = torch.where(known, each, 0.0).sum(-1)
        # No lower than float32 can add up; the gradient is that of the unclamped value.
        log_prob_BT = (total.clamp(min=LOWEST).detach() + (total - total.detach())).float()
        return log_prob_BT if log_jacobian_BT is None else log_prob_BT + log_jacobian_BT

    def sample(self, parameters: Tensor, uniforms_B: Tensor, temperature: float = 1.0) -> Tensor:
        """Draw one observation per row, (B, K) float64, from parameters (B, P).

        Arguments:
            parameters: (B, P).
            uniforms_B: in [0, 1): (B, K), one lane for each target, or (B,) where K is 1.
            temperature: 1 is the distribution itself; the head defines the effect of others.

        Raises:
            ValueError: a negative temperature.
        """
        if temperature < 0:
            raise ValueError(f"temperature {temperature} is negative")
        # 1 - TINY is 1 in float64.
        highest = 1 - max(self.least_tail, 2 * TINY)
        uniforms = self._columns(parameters, uniforms_B).double().clamp(self.least_tail, highest)
        uniforms = uniforms.contiguous()
        drawn = torch.empty_like(uniforms)
        rows = max(1, min(ROWS_AT_ONCE, NUMBERS_AT_ONCE // self.width))
        for start in range(0, len(drawn), rows):
            some = slice(start, start + rows)
            split = self._split(parameters[some].detach().double())
            drawn[some] = self._draw(split, uniforms[some], temperature)
        return drawn

    def quantile(self, parameters: Tensor, level: float | Tensor) -> Tensor:
        split = self._split(parameters.detach().double())
        levels = torch.as_tensor(level, dtype=torch.float64, device=split.device)
        levels = levels.expand(split.shape[:-1]).clamp(TINY, 1 - 2 * TINY).contiguous()
        return self._quantile(split, levels)

    def scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        log_scale = self._columns(parameters, log_scale)[..., None]
        return self._scaled(self._split(parameters), log_scale).flatten(-2)

    def _split(self, parameters: Tensor) -> Tensor:
        return parameters.view(*parameters.shape[:-1], self.target_size, -1)

    def _known(self, parameters: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Targets (..., K) as finite float64, and flags of known ones."""
        x = self._columns(parameters, targets).double()
        known = ~x.isnan()
        return torch.where(known, x, 0.0).clamp(-FARTHEST, FARTHEST), known

    @abstractmethod
    def _link(self, raw: Tensor) -> Tensor:
        """Raw outputs to parameters, (..., K, each)."""

    @abstractmethod
    def _log_density(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log-density of x (..., K) under parameters (..., K, each), float64."""

    def _quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        """Quantiles (..., K) at levels (..., K)."""
        return self._draw(parameters, levels, 1.0)

    @abstractmethod
    def _draw(self, parameters: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        """Draws (..., K) by inversion of uniforms (..., K)."""

    @abstractmethod
    def _scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        """Parameters (..., K, each) of values times exp(log_scale), (..., K, 1)."""

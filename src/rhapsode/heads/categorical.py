"""Softmax heads: elements of a vocabulary, or categories beside numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from msgspec import Meta
from torch import Tensor, nn

from rhapsode.config import from_mapping
from rhapsode.errors import SettingsError
from rhapsode.heads.contract import (
    GREEDY_BELOW,
    HEADS,
    TINY,
    DensityHead,
    Features,
    Head,
    Targets,
    bounded,
)


class SoftmaxHead(Head):
    """Base of heads whose parameters are logits of elements."""

    def log_prob(
        self, parameters: Tensor, targets: Tensor, log_jacobian_BT: Tensor | None = None
    ) -> Tensor:
        flat = nn.functional.cross_entropy(
            parameters.flatten(0, 1).float(), targets.flatten(), reduction="none"
        )
        log_prob_BT = -flat.view_as(targets)
        return log_prob_BT if log_jacobian_BT is None else log_prob_BT + log_jacobian_BT

    def sample(self, parameters: Tensor, uniforms_B: Tensor, temperature: float = 1.0) -> Tensor:
        """Draw ids (B,) from logits (B, V).

        A temperature below 1e-5 takes the likeliest id, the lowest on ties.

        Raises:
            ValueError: a negative temperature.
        """
        return drawn_ids(parameters, uniforms_B, temperature)


@dataclass(frozen=True)
class CategoricalConfig:
    """Settings of `categorical.v1`."""

    feature_size: Annotated[int, Meta(ge=1, le=1 << 20)]
    """Number of input features, H."""
    vocab_size: Annotated[int, Meta(ge=1, le=1 << 31)]
    """Number of elements, V."""
    bias: bool = True
    """Add a bias for each element."""
    tied: bool = False
    """Use the weights of the input table, which is as wide as the features (Press and Wolf
    2017)."""


@HEADS.register("categorical.v1")
class Categorical(SoftmaxHead):
    """Logits by an affine map, probabilities by their softmax."""

    Config = CategoricalConfig

    def __init__(self, config: CategoricalConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.vocab_size
        self.weight = nn.Parameter(torch.empty(config.vocab_size, config.feature_size))
        self.bias = nn.Parameter(torch.empty(config.vocab_size)) if config.bias else None
        bound = config.feature_size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, y_BTH: Tensor) -> Tensor:
        return nn.functional.linear(y_BTH, self.weight, self.bias)


def drawn_ids(logits_BV: Tensor, uniforms_B: Tensor, temperature: float) -> Tensor:
    """Draw ids (B,) from logits; see `SoftmaxHead.sample`."""
    if temperature < 0:
        raise ValueError(f"temperature {temperature} is negative")
    if temperature < GREEDY_BELOW:
        return logits_BV.argmax(dim=-1)
    logits_BV = logits_BV.double() / temperature
    total_BV = (logits_BV - logits_BV.amax(-1, keepdim=True)).exp().cumsum(-1)
    point_B1 = uniforms_B.double()[:, None] * total_BV[:, -1:]
    return torch.searchsorted(total_BV, point_B1, right=True).clamp_(max=total_BV.shape[1] - 1)[
        :, 0
    ]


@dataclass(frozen=True)
class JointConfig:
    """Settings of `joint.v1`."""

    feature_size: Features
    """Number of input features, H."""
    target_size: Targets = 2
    """Numbers of one observation, K, including the categorical ones."""
    kinds: Annotated[tuple[Annotated[int, Meta(ge=2, le=1 << 16)], ...], Meta(min_length=1)] = (2,)
    """Number of categories of each categorical number, which follow the others: 0, 1, ... below
    this."""
    numbers: str = "gaussian.v1"
    """Head of the other numbers."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of that head."""


@HEADS.register("joint.v1")
class Joint(DensityHead):
    """Numbers by a head of their own, categories by softmax.

    They are independent given the features. The temperature applies to both.
    """

    Config = JointConfig

    def __init__(self, config: JointConfig) -> None:
        super().__init__()
        measured = config.target_size - len(config.kinds)
        entry = HEADS.get(config.numbers)
        if measured < 1 or not issubclass(entry, DensityHead) or entry.counts:
            raise SettingsError(
                "a head of numbers and kinds needs numbers and a density over them", where="[head]"
            )
        own = {**config.settings, "feature_size": config.feature_size, "target_size": measured}
        self.numbers = entry(from_mapping(entry.Config, own, where="[head] settings"))
        self.logits = nn.Linear(config.feature_size, sum(config.kinds))
        self.target_size = config.target_size
        self._kinds = config.kinds
        self.width = self.numbers.width + sum(config.kinds)

    def forward(self, y_BTH: Tensor) -> Tensor:
        with torch.autocast(y_BTH.device.type, enabled=False):
            weight, bias = self.logits.weight.float(), self.logits.bias.float()
            logits = nn.functional.linear(y_BTH.float(), weight, bias)
        return torch.cat((self.numbers(y_BTH), logits), dim=-1)

    def log_prob(
        self, parameters: Tensor, targets: Tensor, log_jacobian_BT: Tensor | None = None
    ) -> Tensor:
        numbers, logits = self._parts(parameters)
        targets = self._columns(parameters, targets)
        measured = self.numbers.target_size
        total_BT = self.numbers.log_prob(numbers, targets[..., :measured])
        for own, x in zip(logits, targets[..., measured:].unbind(-1), strict=True):
            known = ~x.isnan()
            kind = x.nan_to_num(0.0).clamp(0, own.shape[-1] - 1).long()
            each = bounded(own).double().log_softmax(-1).gather(-1, kind[..., None])[..., 0]
            total_BT = total_BT + torch.where(known, each, 0.0).float()
        return total_BT if log_jacobian_BT is None else total_BT + log_jacobian_BT

    def sample(self, parameters: Tensor, uniforms_B: Tensor, temperature: float = 1.0) -> Tensor:
        """Draw one observation per row, (B, K) float64, by inversion.

        Each number has its own lane of uniforms.

        Raises:
            ValueError: a negative temperature.
        """
        if temperature < 0:
            raise ValueError(f"temperature {temperature} is negative")
        numbers, logits = self._parts(parameters.detach())
        uniforms = self._columns(parameters, uniforms_B)
        measured = self.numbers.target_size
        drawn = self.numbers.sample(numbers, uniforms[..., :measured], temperature)
        lanes = zip(logits, uniforms[..., measured:].unbind(-1), strict=True)
        kinds = [drawn_ids(own, lane, temperature).double()[..., None] for own, lane in lanes]
        return torch.cat((drawn, *kinds), dim=-1)

    def quantile(self, parameters: Tensor, level: float | Tensor) -> Tensor:
        numbers, logits = self._parts(parameters.detach())
        levels = torch.as_tensor(level, dtype=torch.float64, device=parameters.device)
        levels = levels.expand(*parameters.shape[:-1], self.target_size).clamp(TINY, 1 - 2 * TINY)
        measured = self.numbers.target_size
        quantiles = [self.numbers.quantile(numbers, levels[..., :measured])]
        for own, lane in zip(logits, levels[..., measured:].unbind(-1), strict=True):
            below = own.double().softmax(-1).cumsum(-1)[..., :-1] < lane[..., None]
            quantiles.append(below.sum(-1, keepdim=True).double())
        return torch.cat(quantiles, dim=-1)

    def scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        """Parameters of scaled numbers; categories have no scale."""
        numbers, logits = self._parts(parameters)
        own = self._columns(parameters, log_scale)[..., : self.numbers.target_size]
        return torch.cat((self.numbers.scaled(numbers, own), *logits), dim=-1)

    def _parts(self, parameters: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        numbers, *logits = torch.split(parameters, [self.numbers.width, *self._kinds], dim=-1)
        return numbers, tuple(logits)

"""A softmax over the vocabulary."""

from dataclasses import dataclass
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional

from rhapsode.heads.contract import HEADS, Head

GREEDY_BELOW = 1e-5


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
    """Use the weights of the input table, which is as wide as the features (Press and Wolf 2017)."""


@HEADS.register("categorical.v1")
class Categorical(Head):
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
        return functional.linear(y_BTH, self.weight, self.bias)

    def log_prob(
        self, parameters: Tensor, targets: Tensor, log_jacobian_BT: Tensor | None = None
    ) -> Tensor:
        flat = functional.cross_entropy(
            parameters.flatten(0, 1).float(), targets.flatten(), reduction="none"
        )
        log_prob_BT = -flat.view_as(targets)
        return log_prob_BT if log_jacobian_BT is None else log_prob_BT + log_jacobian_BT

    def sample(self, parameters: Tensor, uniforms_B: Tensor, temperature: float = 1.0) -> Tensor:
        """Ids (B,) from logits (B, V); a temperature under 1e-5 takes the likeliest, lowest id on ties.

        Raises:
            ValueError: a negative temperature.
        """
        return drawn_ids(parameters, uniforms_B, temperature)


def drawn_ids(logits_BV: Tensor, uniforms_B: Tensor, temperature: float) -> Tensor:
    """Ids (B,) from logits; see `Categorical.sample`."""
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

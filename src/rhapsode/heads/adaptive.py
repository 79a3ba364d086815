"""Softmax over a large vocabulary whose rare elements have narrow weights."""

from dataclasses import dataclass
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor, nn

from rhapsode.errors import SettingsError
from rhapsode.heads.categorical import SoftmaxHead
from rhapsode.heads.contract import HEADS, Features

# Rows of rare targets are filled up to a multiple of it: kernels are made for each number of rows.
ROWS_IN_STEPS = 32


@dataclass(frozen=True)
class AdaptiveConfig:
    """Settings of `adaptive.v1`."""

    feature_size: Features
    """Number of input features, H."""
    vocab_size: Annotated[int, Meta(ge=1, le=1 << 31)]
    """Number of elements, V."""
    shortlist: Annotated[int, Meta(ge=1, le=1 << 31)]
    """Number of frequent elements, those with the lowest ids."""
    tail_size: Annotated[int, Meta(ge=1, le=1 << 20)]
    """Width of the weights of the other elements."""
    bias: bool = True
    """Add a bias for each element."""
    tied: bool = False
    """Use the weights of the input table `adaptive_table.v1` (Baevski and Auli 2019)."""


@HEADS.register("adaptive.v1")
class Adaptive(SoftmaxHead):
    """Adaptive softmax with one tail (Grave et al. 2017).

    A softmax over the shortlist and the tail as a whole, times a softmax over the elements of the
    tail. The logits are those of one exact softmax over all elements. On a CPU, training and
    scoring compute the second softmax only before targets in the tail.

    Probabilities are exact in any order of the ids; time is saved where they are ordered by
    frequency.
    """

    Config = AdaptiveConfig

    def __init__(self, config: AdaptiveConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.vocab_size
        rare = config.vocab_size - config.shortlist
        if rare < 1:
            raise SettingsError(
                f"a shortlist of {config.shortlist} leaves none of {config.vocab_size} elements",
                where="[network] shortlist",
            )
        size, narrow = config.feature_size, config.tail_size
        self.weight = nn.Parameter(torch.empty(config.shortlist, size))
        self.tail_weight = nn.Parameter(torch.empty(rare, narrow))
        # Maps features to those of the tail.
        self.project = nn.Parameter(torch.empty(narrow, size))
        # The logit of the tail as a whole.
        self.whole_weight = nn.Parameter(torch.empty(1, size))
        self.whole_bias = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.empty(config.shortlist)) if config.bias else None
        self.tail_bias = nn.Parameter(torch.empty(rare)) if config.bias else None
        bounds = {
            "weight": size**-0.5,
            "tail_weight": narrow**-0.5,
            "project": (3 / size) ** 0.5,  # projected features are as large as features
            "whole_weight": size**-0.5,
            "bias": size**-0.5,
            "tail_bias": narrow**-0.5,
        }
        for name, parameter in self.named_parameters():
            if name in bounds:
                nn.init.uniform_(parameter, -bounds[name], bounds[name])

    def forward(self, y_BTH: Tensor) -> Tensor:
        first = self._first(y_BTH)
        short = self.config.shortlist
        # Normalised in float32, whatever the features are.
        tail = self._tail(y_BTH).float().log_softmax(-1) + first[..., short:].float()
        return torch.cat((first[..., :short], tail.to(first.dtype)), dim=-1)

    def log_prob_after(
        self, y_BTH: Tensor, targets: Tensor, evidence_BTV: Tensor | None = None
    ) -> Tensor | None:
        """Log-probability (nats) of the targets; evidence is for shortlist and whole tail."""
        if not y_BTH.is_cpu and evidence_BTV is None:
            return None  # a GPU would wait for the number of rare targets
        short, targets_N = self.config.shortlist, targets.flatten()
        first = self._first(y_BTH).float()
        if evidence_BTV is not None:
            first = first + evidence_BTV
        log_prob_N = -nn.functional.cross_entropy(
            first.flatten(0, 1), targets_N.clamp(max=short), reduction="none"
        )
        rare_R = (targets_N >= short).nonzero()[:, 0]
        count = len(rare_R)
        # At least one row, so that every weight has a gradient.
        rows_R = nn.functional.pad(rare_R, (0, ROWS_IN_STEPS - count % ROWS_IN_STEPS))
        tail = self._tail(y_BTH.flatten(0, 1).index_select(0, rows_R)).float()
        within_R = -nn.functional.cross_entropy(
            tail, (targets_N[rows_R] - short).clamp(min=0), reduction="none"
        )
        return log_prob_N.index_add(0, rare_R, within_R[:count]).view_as(targets)

    def _first(self, y_BTH: Tensor) -> Tensor:
        """Logits of the shortlist and of the tail as a whole."""
        weight = torch.cat((self.weight, self.whole_weight))
        whole_bias = self.whole_bias
        bias = whole_bias.new_zeros(len(self.weight)) if self.bias is None else self.bias
        return nn.functional.linear(y_BTH, weight, torch.cat((bias, whole_bias)))

    def _tail(self, y: Tensor) -> Tensor:
        """Logits of the rare elements, given that it is one of them."""
        narrow = nn.functional.linear(y, self.project)
        return nn.functional.linear(narrow, self.tail_weight, self.tail_bias)

"""A leaky sum of its inputs: settings and plan defaults. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from rhapsode.models.families import Family, FamilyPlan, PlanRequest, embedding_width


@dataclass(frozen=True)
class LeakyConfig:
    """Settings of `leaky.v1`."""

    input_size: Annotated[int, Meta(ge=1, le=1 << 20)]
    """Features coming in."""
    hidden_size: Annotated[int, Meta(ge=1, le=1 << 16)] = 32
    """Units."""
    dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    """Share of the outputs dropped in training."""


class LeakyFamily(Family):
    """Units that forget at a rate of their own."""

    Config = LeakyConfig
    network = "tests.models.leaky.network:Leaky"
    default_window = 32

    @classmethod
    def plan(cls, request: PlanRequest) -> FamilyPlan:
        size = request.hidden_size // 4
        network = {
            "embedding_size": embedding_width(request.vocab_size),
            "hidden_size": size,
            "dropout": 0.0,
        }
        return FamilyPlan(network, 5e-3, f"{size} leaky units")

    @classmethod
    def inner_cost(cls, hidden_size: int) -> int:
        return hidden_size * 16

"""The temporal convolutional network: settings, plan defaults, engine form. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from rhapsode.config import SeenContext
from rhapsode.models.families import (
    EngineForm,
    Family,
    FamilyPlan,
    PlanRequest,
    embedding_width,
)


@dataclass(frozen=True)
class TCNConfig:
    """Settings of `tcn.v1`."""

    input_size: Annotated[int, Meta(ge=1, le=1 << 20)]
    """Number of input features."""
    hidden_size: Annotated[int, Meta(ge=1, le=1 << 16)] = 256
    """Number of channels."""
    num_layers: Annotated[int, Meta(ge=1, le=20)] = 6
    """Number of residual blocks of two convolutions; each block doubles the dilation of the
    previous one."""
    kernel_size: Annotated[int, Meta(ge=2, le=64)] = 3
    """Kernel size of a convolution."""
    dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    """Dropout of channels after each convolution, with the same mask at all steps of a window."""


class TCNFamily(Family):
    """Causal convolutions of growing dilation."""

    Config = TCNConfig
    network = "rhapsode.models.tcn.network:TCN"
    training_speed = 0.8
    default_window = 128

    @classmethod
    def plan(cls, request: PlanRequest) -> FamilyPlan:
        # Above 768 units, estimated for GPUs: half as many channels.
        channels = 128 if request.hidden_size <= 384 else max(192, request.hidden_size // 4)
        network = {
            "embedding_size": embedding_width(request.vocab_size),
            "hidden_size": channels,
            "num_layers": 5,
            "dropout": round(request.dropout / 2, 2),
        }
        return FamilyPlan(network, 2e-3, f"5 blocks of {channels} channels")

    @classmethod
    def inner_cost(cls, hidden_size: int) -> int:
        return 12 * 3 * (hidden_size // 2) ** 2

    @classmethod
    def engine_form(cls, settings: Mapping[str, Any], context: SeenContext) -> EngineForm:
        names = ("hidden_size", "num_layers", "kernel_size")
        return EngineForm("convolution", "tcn", {name: settings[name] for name in names})

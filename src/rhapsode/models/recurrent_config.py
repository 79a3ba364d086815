"""Recurrent families: settings and plan defaults that they share. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from rhapsode.config import SeenContext
from rhapsode.models.families import EngineForm, Family, FamilyPlan, PlanRequest, embedding_width


@dataclass(frozen=True)
class RecurrentConfig:
    """Settings of a recurrent family."""

    input_size: Annotated[int, Meta(ge=1, le=1 << 20)]
    """Number of input features."""
    hidden_size: Annotated[int, Meta(ge=1, le=1 << 16)] = 512
    """Units of each layer."""
    num_layers: Annotated[int, Meta(ge=1, le=64)] = 1
    """Number of stacked layers."""
    dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    """Dropout of each layer's outputs, with the same mask at all steps of a window (locked
    dropout)."""


@dataclass(frozen=True)
class GatedConfig(RecurrentConfig):
    """Settings of a recurrent family with gates: `lstm.v1`, `lstm_skip.v1` and `gru.v1`."""

    chrono: Annotated[int, Meta(ge=0, le=1 << 20)] = 0
    """Longest memory of the gates at initialisation, in positions (chrono initialisation); 0 uses
    the initialisation of torch.nn."""
    chrono_share: Annotated[float, Meta(ge=0.0, le=1.0)] = 1.0
    """Fraction of the units with chrono initialisation; the others are initialised as in
    torch.nn."""

    @property
    def remembering(self) -> int:
        """Units of a layer that start with open memory."""
        return round(self.hidden_size * self.chrono_share) if self.chrono > 1 else 0


class RecurrentFamily(Family):
    """A family of recurrent layers.

    A subclass defines the number of matrix products per element, and the engine's cell.
    """

    sequential = True
    cell: ClassVar[str | None] = None
    """The engine's cell; None if the engine has no form of it."""
    products: ClassVar[int]
    """Matrix products with inputs and past values per element: one for each gate."""

    @classmethod
    def plan(cls, request: PlanRequest) -> FamilyPlan:
        size = request.hidden_size
        network = {
            "embedding_size": embedding_width(request.vocab_size),
            "hidden_size": size,
            "num_layers": 1,
            "dropout": request.dropout,
        }
        return FamilyPlan(network, cls.learning_rate(size), f"{size} units")

    @classmethod
    def learning_rate(cls, hidden_size: int) -> float:
        """Learning rate for a hidden size."""
        return 4e-3 if hidden_size <= 384 else 3e-3

    @classmethod
    def inner_cost(cls, hidden_size: int) -> int:
        return cls.products * hidden_size * (hidden_size + 64)

    @classmethod
    def series_settings(cls, recurrent: Mapping[str, Any], window: int) -> dict[str, Any]:
        return dict(recurrent)

    @classmethod
    def engine_form(cls, settings: Mapping[str, Any], context: SeenContext) -> EngineForm | None:
        if cls.cell is None:
            return None
        # The cell of a plain layer is its activation function.
        cell = settings.get("nonlinearity", cls.cell)
        sizes = {name: settings[name] for name in ("hidden_size", "num_layers")}
        return EngineForm("recurrent", cell, sizes)

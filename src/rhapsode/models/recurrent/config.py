"""Recurrent families: settings, plan defaults, engine forms. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from rhapsode.config import SeenContext
from rhapsode.models.families import (
    LARGE_VOCABULARY,
    EngineForm,
    Family,
    FamilyPlan,
    PlanRequest,
    embedding_width,
)


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
class RNNConfig(RecurrentConfig):
    """Settings of `rnn.v1`."""

    nonlinearity: Literal["tanh", "relu"] = "tanh"
    """Activation function."""


@dataclass(frozen=True)
class GatedConfig(RecurrentConfig):
    """Settings of a recurrent family with gates: `lstm.v1`, `lstm_skip.v1` and `gru.v1`."""

    chrono: Annotated[int, Meta(ge=0, le=1 << 20)] = 0
    """Number of positions that memory can span at initialisation (chrono initialisation); 0
    initialises as torch.nn does."""
    chrono_share: Annotated[float, Meta(ge=0.0, le=1.0)] = 1.0
    """Fraction of the units with chrono initialisation; the others are initialised as in
    torch.nn."""

    @property
    def remembering(self) -> int:
        """Units of a layer that start with open memory."""
        return round(self.hidden_size * self.chrono_share) if self.chrono > 1 else 0


@dataclass(frozen=True)
class AWDLSTMConfig(GatedConfig):
    """Settings of `awd_lstm.v1`."""

    weight_dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.2
    """Dropout of the hidden-to-hidden weights in training, with the same mask for all rows and
    steps of a window."""


class RecurrentFamily(Family):
    """A family of recurrent layers.

    A subclass says how many products of its size an element costs, and which cell the engine runs.
    """

    cell: ClassVar[str | None] = None
    """The engine's cell; None where the engine has no form of it."""
    products: ClassVar[int]
    """Products of inputs and past by hidden units that an element costs: one a gate."""

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
        """The learning rate for so many units."""
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


class RNNFamily(RecurrentFamily):
    """The plain recurrent layer."""

    Config = RNNConfig
    network = "rhapsode.models.recurrent.network:RNN"
    cell = "tanh"
    products = 1
    training_rate = 0.45

    @classmethod
    def learning_rate(cls, hidden_size: int) -> float:
        """Lower than with gates."""
        return 1e-3


class GRUFamily(RecurrentFamily):
    """The gated recurrent unit."""

    Config = GatedConfig
    network = "rhapsode.models.recurrent.network:GRU"
    cell = "gru"
    products = 3
    training_rate = 0.45
    remembers_documents = True


class LSTMFamily(RecurrentFamily):
    """Long short-term memory."""

    Config = GatedConfig
    network = "rhapsode.models.recurrent.network:LSTM"
    cell: ClassVar[str | None] = "lstm"
    products = 4
    training_rate = 1.0
    averages = True
    remembers_documents = True

    @classmethod
    def plan(cls, request: PlanRequest) -> FamilyPlan:
        """One layer; with a large vocabulary one table for input and output."""
        plan, size = super().plan(request), request.hidden_size
        if request.vocab_size <= LARGE_VOCABULARY or cls.sees_inputs:
            return plan
        tied = {
            "embedding_size": size,
            "tied": True,
            "input_dropout": round(request.dropout / 2, 2),
        }
        network = {**plan.network, **tied}
        return FamilyPlan(network, 4e-3, f"{size} units, one table for input and output")

    @classmethod
    def learning_rate(cls, hidden_size: int) -> float:
        """On a line through the best rates at 256 to 768 units."""
        return round(min(8e-3, 2.3 / hidden_size), 4)


class AWDLSTMFamily(LSTMFamily):
    """The LSTM whose hidden-to-hidden weights are dropped in training; afterwards it is an LSTM."""

    Config = AWDLSTMConfig
    network = "rhapsode.models.recurrent.network:AWDLSTM"


class SkipLSTMFamily(LSTMFamily):
    """The LSTM beside a straight line; its features are wider than any table, and it has no engine form."""

    network = "rhapsode.models.recurrent.network:SkipLSTM"
    sees_inputs = True
    cell = None

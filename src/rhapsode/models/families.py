"""Families of models by name, without loading torch."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from rhapsode.config import Registry, SeenContext

if TYPE_CHECKING:
    from rhapsode.models.contract import SequenceModel  # loads torch

# Vocabulary size from which the table is the larger part of a network, and saves twice where it is
# also the head.
LARGE_VOCABULARY = 6000


@dataclass(frozen=True)
class PlanRequest:
    """Sizes that a family fits its settings to.

    Arguments:
        hidden_size: units of a recurrent network of the wanted size.
        vocab_size: V.
        window: steps that one update reads.
        dropout: fraction to drop.
    """

    hidden_size: int
    vocab_size: int
    window: int
    dropout: float


@dataclass(frozen=True)
class FamilyPlan:
    """Settings of a family, and the reason.

    Arguments:
        network: settings of the input module, the head and the family.
        learning_rate: learning rate of its training.
        reason: the choice in words.
    """

    network: Mapping[str, Any]
    learning_rate: float
    reason: str


@dataclass(frozen=True)
class EngineForm:
    """Kernel, cell and sizes by which the compiled engine runs a network.

    Arguments:
        kernel: "recurrent", "attention" or "convolution".
        cell: which of the kernel's cells.
        numbers: sizes for the kernel.
    """

    kernel: str
    cell: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


class Family(ABC):
    """Base of model families, known without loading their networks.

    A family has settings, plan defaults, cost, engine form and the place of its network. A new
    family is a subclass in `models/<name>/config.py`, entered in `models/__init__`, and a network
    beside it.
    """

    Config: ClassVar[type[Any]]
    """The frozen dataclass of its settings."""
    network: ClassVar[str]
    """The place of its network, "module:class". Loading it loads torch."""
    training_speed: ClassVar[float] = 0.6
    """Multiply-adds per second in training, relative to an LSTM."""
    sequential: ClassVar[bool] = False
    """True if training computes the positions of a window one after another."""
    averages: ClassVar[bool] = False
    """True if its weights are averaged over the end of a run."""
    remembers_documents: ClassVar[bool] = False
    """True if it has gates that chrono initialisation opens over a document."""
    default_window: ClassVar[int] = 64
    """Steps of an update in a carried context."""
    sees_inputs: ClassVar[bool] = False
    """True if its features contain its inputs: a head can begin as a linear autoregression."""
    head_bias: ClassVar[bool] = True
    """True if its head has a bias."""
    embedding_std: ClassVar[float | None] = None
    """Standard deviation of a new table; None for the table's own default."""

    @classmethod
    @abstractmethod
    def plan(cls, request: PlanRequest) -> FamilyPlan:
        """Settings of about the wanted size."""

    @classmethod
    @abstractmethod
    def inner_cost(cls, hidden_size: int) -> int:
        """Multiply-adds of one element between the input and the head.

        The network has about the size of a recurrent one of `hidden_size` units.
        """

    @classmethod
    def series_settings(cls, recurrent: Mapping[str, Any], window: int) -> dict[str, Any]:
        """Settings for values, of about the size of a recurrent network.

        Arguments:
            recurrent: settings of the recurrent network.
            window: steps that one update reads.
        """
        request = PlanRequest(recurrent["hidden_size"], 2, window, recurrent["dropout"])
        return dict(cls.plan(request).network)

    @classmethod
    def fixed_window(cls, settings: Mapping[str, Any]) -> int | None:
        """Length of the only possible context; None if it is unlimited.

        Arguments:
            settings: of the network, as far as they were chosen.
        """
        return None

    @classmethod
    def engine_form(cls, settings: Mapping[str, Any], context: SeenContext) -> EngineForm | None:
        """The engine's form of a network; None where it has none.

        Arguments:
            settings: of the family, complete.
            context: what the model sees of the past.
        """
        return None

    @classmethod
    def load(cls) -> type[SequenceModel]:
        """The class of its networks. Loads torch."""
        module, _, name = cls.network.partition(":")
        network: type[SequenceModel] = getattr(importlib.import_module(module), name)
        return network


FAMILIES: Registry[type[Family]] = Registry("model")


def embedding_width(vocab_size: int) -> int:
    """Width of a table for a vocabulary."""
    return 64 if vocab_size <= 512 else 128 if vocab_size <= 8000 else 256

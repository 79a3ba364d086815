"""The plain recurrent network: settings, plan defaults, engine form. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rhapsode.config import SeenContext
from rhapsode.models.families import EngineForm
from rhapsode.models.recurrent_config import RecurrentConfig, RecurrentFamily


@dataclass(frozen=True)
class RNNConfig(RecurrentConfig):
    """Settings of `rnn.v1`."""

    nonlinearity: Literal["tanh", "relu"] = "tanh"
    """Activation function."""


class RNNFamily(RecurrentFamily):
    """The plain recurrent layer."""

    name = "rnn.v1"
    Config = RNNConfig
    network = "rhapsode.models.rnn.network:RNN"
    products = 1
    training_rate = 0.45

    @classmethod
    def learning_rate(cls, hidden_size: int) -> float:
        """Lower than with gates."""
        return 1e-3

    @classmethod
    def engine_form(cls, settings: Mapping[str, Any], context: SeenContext) -> EngineForm:
        sizes = {name: settings[name] for name in ("hidden_size", "num_layers")}
        return EngineForm("recurrent", settings["nonlinearity"], sizes)

"""The plain recurrent layer: settings and plan defaults. No torch."""

from dataclasses import dataclass
from typing import Literal

from rhapsode.models.recurrent_config import RecurrentConfig, RecurrentFamily


@dataclass(frozen=True)
class RNNConfig(RecurrentConfig):
    """Settings of `rnn.v1`."""

    nonlinearity: Literal["tanh", "relu"] = "tanh"
    """Activation function."""


class RNNFamily(RecurrentFamily):
    """The plain recurrent layer."""

    Config = RNNConfig
    network = "rhapsode.models.rnn.network:RNN"
    cell = "tanh"
    products = 1
    training_speed = 0.45

    @classmethod
    def learning_rate(cls, hidden_size: int) -> float:
        """Learning rate, lower than with gates."""
        return 1e-3

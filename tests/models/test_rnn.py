"""The plain recurrent layer: the contracts of a model and of a recurrent family."""

from typing import ClassVar

from torch import nn

from rhapsode.models.rnn.config import RNNConfig
from rhapsode.models.rnn.network import RNN
from tests.models.recurrent_contract import RecurrentContract


class TestRNN(RecurrentContract):
    family = RNN
    theirs = nn.RNN
    their_settings = ("nonlinearity",)
    configurations: ClassVar = {
        "tanh, one layer": RNNConfig(input_size=4, hidden_size=5),
        "relu, two layers": RNNConfig(
            input_size=3, hidden_size=8, num_layers=2, nonlinearity="relu"
        ),
    }

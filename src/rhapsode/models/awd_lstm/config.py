"""The weight-dropped LSTM: settings and plan defaults. No torch."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from rhapsode.models.lstm.config import LSTMFamily
from rhapsode.models.recurrent_config import GatedConfig


@dataclass(frozen=True)
class AWDLSTMConfig(GatedConfig):
    """Settings of `awd_lstm.v1`."""

    weight_dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.2
    """Dropout of the hidden-to-hidden weights in training, with the same mask for all rows and
    steps of a window."""


class AWDLSTMFamily(LSTMFamily):
    """The LSTM with dropout of hidden-to-hidden weights in training.

    After training it is a plain LSTM.
    """

    Config = AWDLSTMConfig
    network = "rhapsode.models.awd_lstm.network:AWDLSTM"

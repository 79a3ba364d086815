"""The weight-dropped LSTM: settings and plan defaults. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from rhapsode.models.lstm.config import LSTMConfig, LSTMFamily


@dataclass(frozen=True)
class AWDLSTMConfig(LSTMConfig):
    """Settings of `awd_lstm.v1`."""

    weight_dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.2
    """Dropout of the hidden-to-hidden weights in training, with the same mask for all rows and
    steps of a window."""


class AWDLSTMFamily(LSTMFamily):
    """The LSTM whose hidden-to-hidden weights are dropped in training; afterwards it is an LSTM."""

    name = "awd_lstm.v1"
    Config = AWDLSTMConfig
    network = "rhapsode.models.awd_lstm.network:AWDLSTM"

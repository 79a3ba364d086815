"""The LSTM whose head sees its inputs: settings and plan defaults. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from rhapsode.models.lstm.config import LSTMConfig, LSTMFamily


@dataclass(frozen=True)
class SkipLSTMConfig(LSTMConfig):
    """Settings of `lstm_skip.v1`."""


class SkipLSTMFamily(LSTMFamily):
    """The LSTM beside a straight line; its features are wider than any table, and it has no engine form."""

    name = "lstm_skip.v1"
    Config = SkipLSTMConfig
    network = "rhapsode.models.skip_lstm.network:SkipLSTM"
    sees_inputs = True
    engine_runs = False

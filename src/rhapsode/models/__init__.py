"""Sequence models behind one contract: features in, features out, state carried explicitly.

Knows nothing of vocabularies, distributions or training. The families by name are here without torch; their networks, the
input modules and the contract load it when they are asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rhapsode.models.families import (
    FAMILIES,
    EngineForm,
    Family,
    FamilyPlan,
    PlanRequest,
)

if TYPE_CHECKING:
    from rhapsode.models.awd_lstm.config import AWDLSTMConfig
    from rhapsode.models.awd_lstm.network import AWDLSTM
    from rhapsode.models.conditioners import CONDITIONERS, Conditioned, Conditioner
    from rhapsode.models.contract import SequenceModel, State
    from rhapsode.models.gru.config import GRUConfig
    from rhapsode.models.gru.network import GRU
    from rhapsode.models.inputs import INPUTS, InputModule
    from rhapsode.models.lstm.config import LSTMConfig
    from rhapsode.models.lstm.network import LSTM, LSTMState
    from rhapsode.models.rnn.config import RNNConfig
    from rhapsode.models.rnn.network import RNN, HiddenState
    from rhapsode.models.skip_lstm.config import SkipLSTMConfig
    from rhapsode.models.skip_lstm.network import SkipLSTM
    from rhapsode.models.tcn.config import TCNConfig
    from rhapsode.models.tcn.network import TCN, TCNState
    from rhapsode.models.transformer.config import TransformerConfig
    from rhapsode.models.transformer.network import Transformer, TransformerState
    from rhapsode.models.transformer_classic.config import TransformerClassicConfig
    from rhapsode.models.transformer_classic.network import (
        TransformerClassic,
        TransformerClassicState,
    )

__all__ = [
    "AWDLSTM",
    "CONDITIONERS",
    "FAMILIES",
    "GRU",
    "INPUTS",
    "LSTM",
    "RNN",
    "TCN",
    "AWDLSTMConfig",
    "Conditioned",
    "Conditioner",
    "EngineForm",
    "Family",
    "FamilyPlan",
    "GRUConfig",
    "HiddenState",
    "InputModule",
    "LSTMConfig",
    "LSTMState",
    "PlanRequest",
    "RNNConfig",
    "SequenceModel",
    "SkipLSTM",
    "SkipLSTMConfig",
    "State",
    "TCNConfig",
    "TCNState",
    "Transformer",
    "TransformerClassic",
    "TransformerClassicConfig",
    "TransformerClassicState",
    "TransformerConfig",
    "TransformerState",
]

# The order is that of the help.
for _name, _place in (
    ("lstm.v1", "lstm.config:LSTMFamily"),
    ("awd_lstm.v1", "awd_lstm.config:AWDLSTMFamily"),
    ("lstm_skip.v1", "skip_lstm.config:SkipLSTMFamily"),
    ("gru.v1", "gru.config:GRUFamily"),
    ("rnn.v1", "rnn.config:RNNFamily"),
    ("tcn.v1", "tcn.config:TCNFamily"),
    ("transformer.v1", "transformer.config:TransformerFamily"),
    ("transformer_classic.v1", "transformer_classic.config:TransformerClassicFamily"),
):
    FAMILIES.register_at(_name, f"{__name__}.{_place}")

_PLACES = {
    "AWDLSTMConfig": "awd_lstm.config",
    "GRUConfig": "gru.config",
    "LSTMConfig": "lstm.config",
    "RNNConfig": "rnn.config",
    "SkipLSTMConfig": "skip_lstm.config",
    "TCNConfig": "tcn.config",
    "TransformerConfig": "transformer.config",
    "TransformerClassicConfig": "transformer_classic.config",
    "AWDLSTM": "awd_lstm.network",
    "CONDITIONERS": "conditioners",
    "Conditioned": "conditioners",
    "Conditioner": "conditioners",
    "GRU": "gru.network",
    "HiddenState": "rnn.network",
    "INPUTS": "inputs",
    "InputModule": "inputs",
    "LSTM": "lstm.network",
    "LSTMState": "lstm.network",
    "RNN": "rnn.network",
    "SequenceModel": "contract",
    "SkipLSTM": "skip_lstm.network",
    "State": "contract",
    "TCN": "tcn.network",
    "TCNState": "tcn.network",
    "Transformer": "transformer.network",
    "TransformerClassic": "transformer_classic.network",
    "TransformerClassicState": "transformer_classic.network",
    "TransformerState": "transformer.network",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for, and torch with a network."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)

"""Sequence models behind one contract: features in, features out, state carried explicitly.

Knows nothing of vocabularies, distributions or training. Loads torch.
"""

from rhapsode.models.awd_lstm.network import AWDLSTM, AWDLSTMConfig
from rhapsode.models.contract import MODELS, SequenceModel, State
from rhapsode.models.gru.network import GRU, GRUConfig
from rhapsode.models.inputs import INPUTS, InputModule
from rhapsode.models.lstm.network import LSTM, LSTMConfig, LSTMState
from rhapsode.models.rnn.network import RNN, HiddenState, RNNConfig
from rhapsode.models.skip_lstm.network import SkipLSTM, SkipLSTMConfig
from rhapsode.models.tcn.network import TCN, TCNConfig, TCNState
from rhapsode.models.transformer.network import Transformer, TransformerConfig, TransformerState
from rhapsode.models.transformer_classic.network import (
    TransformerClassic,
    TransformerClassicConfig,
    TransformerClassicState,
)

__all__ = [
    "AWDLSTM",
    "GRU",
    "INPUTS",
    "LSTM",
    "MODELS",
    "RNN",
    "TCN",
    "AWDLSTMConfig",
    "GRUConfig",
    "HiddenState",
    "InputModule",
    "LSTMConfig",
    "LSTMState",
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

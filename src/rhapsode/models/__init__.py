"""Sequence models behind one contract: features in, features out, state carried explicitly.

Knows nothing of vocabularies, distributions or training. Loads torch.
"""

from rhapsode.models.contract import MODELS, SequenceModel, State
from rhapsode.models.inputs import INPUTS, InputModule
from rhapsode.models.lstm import LSTM, LSTMConfig, LSTMState
from rhapsode.models.transformer import Transformer, TransformerConfig, TransformerState

__all__ = [
    "INPUTS",
    "LSTM",
    "MODELS",
    "InputModule",
    "LSTMConfig",
    "LSTMState",
    "SequenceModel",
    "State",
    "Transformer",
    "TransformerConfig",
    "TransformerState",
]

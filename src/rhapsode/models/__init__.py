"""Sequence models with one contract: features in, features out, explicit state.

Independent of vocabularies, distributions and training. The families are listed here without torch;
their networks, the input modules and the contract load torch on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rhapsode.late import late_names
from rhapsode.models.families import FAMILIES

if TYPE_CHECKING:
    from rhapsode.models.contract import SequenceModel, State
    from rhapsode.models.inputs import CONDITIONERS, INPUTS, Conditioned, InputModule

__all__ = [
    "CONDITIONERS",
    "FAMILIES",
    "INPUTS",
    "Conditioned",
    "InputModule",
    "SequenceModel",
    "State",
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
    "CONDITIONERS": ".inputs",
    "Conditioned": ".inputs",
    "INPUTS": ".inputs",
    "InputModule": ".inputs",
    "SequenceModel": ".contract",
    "State": ".contract",
}

# Networks, input modules and contracts load torch.
__getattr__ = late_names(__name__, _PLACES)

"""Documents to elements and back: contracts. No torch.

Encoders of text are in `rhapsode.encoding.text`, those of series in `rhapsode.encoding.series`.
"""

import importlib
import pkgutil

from rhapsode.encoding.automata import ContextsTable, GrammarTable
from rhapsode.encoding.contract import (
    ENCODERS,
    END_ID,
    UNKNOWN_ID,
    CountingEncoder,
    Encoder,
    IncrementalDecoder,
    JoiningDecoder,
    encoder_from_mapping,
)
from rhapsode.encoding.state_machine import Contexts, FiniteContexts, FiniteGrammar, Grammar

__all__ = [
    "ENCODERS",
    "END_ID",
    "UNKNOWN_ID",
    "Contexts",
    "ContextsTable",
    "CountingEncoder",
    "Encoder",
    "FiniteContexts",
    "FiniteGrammar",
    "Grammar",
    "GrammarTable",
    "IncrementalDecoder",
    "JoiningDecoder",
    "encoder_from_mapping",
]

# A kind of encoder is a folder here, whose encoders are then known by name.
for _module in pkgutil.iter_modules(__path__):
    if _module.ispkg:
        importlib.import_module(f"{__name__}.{_module.name}")

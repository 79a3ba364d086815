"""Documents to elements and back: contracts. No torch.

Encoders of text are in `rhapsode.encoding.text`, those of series in `rhapsode.encoding.series`.
"""

from rhapsode.encoding.contexts import Contexts, ContextsTable, FiniteContexts
from rhapsode.encoding.contract import (
    ENCODERS,
    END_ID,
    UNKNOWN_ID,
    CountingEncoder,
    Encoder,
    IncrementalDecoder,
    encoder_from_mapping,
)
from rhapsode.encoding.grammar import FiniteGrammar, Grammar, GrammarTable

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
    "encoder_from_mapping",
]

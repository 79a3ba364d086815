"""What counting alone knows of a corpus: how often what follows what, and where.

Knows elements as ids from 0 up: nothing of text, encoders or networks. No torch. Importing this room loads the
compiler (numba), so that commands which need none of it import it late.
"""

from rhapsode.counts.ngram import (
    SMOOTHINGS,
    NGramModel,
    NGramState,
    Smoothing,
    Tried,
    best_ngram,
)
from rhapsode.counts.trie import MOST_NODES, MOST_ORDER, Trie

__all__ = [
    "MOST_NODES",
    "MOST_ORDER",
    "NGramModel",
    "NGramState",
    "SMOOTHINGS",
    "Smoothing",
    "Tried",
    "Trie",
    "best_ngram",
]

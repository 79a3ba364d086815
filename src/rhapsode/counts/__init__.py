"""Statistics of a corpus by counting alone: how often what follows what, and where.

Knows elements as ids from 0 up: nothing of text, encoders or networks. No torch. What it holds
loads the compiler (numba), so that commands which need none of it import it late; each of its
halves, sequences counted and suffixes in order, is loaded when it is asked for.
"""

from typing import TYPE_CHECKING

from rhapsode.late import late_names

if TYPE_CHECKING:
    from rhapsode.counts.ngram import SMOOTHINGS, NGramModel, NGramState, Smoothing
    from rhapsode.counts.ngram_choice import Tried, best_ngram
    from rhapsode.counts.suffix import Span, SuffixIndex
    from rhapsode.counts.trie import MOST_NODES, MOST_ORDER, Trie

__all__ = [
    "MOST_NODES",
    "MOST_ORDER",
    "NGramModel",
    "NGramState",
    "SMOOTHINGS",
    "Smoothing",
    "Span",
    "SuffixIndex",
    "Trie",
    "Tried",
    "best_ngram",
]

_PLACES = {
    **dict.fromkeys(("SMOOTHINGS", "NGramModel", "NGramState", "Smoothing"), ".ngram"),
    **dict.fromkeys(("Tried", "best_ngram"), ".ngram_choice"),
    **dict.fromkeys(("Span", "SuffixIndex"), ".suffix"),
    **dict.fromkeys(("MOST_NODES", "MOST_ORDER", "Trie"), ".trie"),
}

__getattr__ = late_names(__name__, _PLACES)

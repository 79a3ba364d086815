"""N-gram counts and suffix indexes of a corpus.

Works on element ids from 0 up; text, encoders and networks are elsewhere. No torch. Its modules
load the compiler (numba), so commands that need none of them import this package late. N-grams and
suffixes are loaded separately, on first use.
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

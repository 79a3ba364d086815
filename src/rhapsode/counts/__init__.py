"""What counting alone knows of a corpus: how often what follows what, and where.

Knows elements as ids from 0 up: nothing of text, encoders or networks. No torch. Importing this room loads the
compiler (numba), so that commands which need none of it import it late.
"""

from rhapsode.counts.ngram import SMOOTHINGS, NGramModel, NGramState, Smoothing
from rhapsode.counts.ngram_choice import Tried, best_ngram
from rhapsode.counts.suffix import Span, SuffixIndex
from rhapsode.counts.text_index import Copied, Passage, Place, TextIndex
from rhapsode.counts.trie import MOST_NODES, MOST_ORDER, Trie

__all__ = [
    "Copied",
    "MOST_NODES",
    "MOST_ORDER",
    "NGramModel",
    "NGramState",
    "Passage",
    "Place",
    "SMOOTHINGS",
    "Smoothing",
    "Span",
    "SuffixIndex",
    "TextIndex",
    "Trie",
    "Tried",
    "best_ngram",
]

"""What counting alone knows of a corpus: how often what follows what, and where.

Knows elements as ids from 0 up: nothing of text, encoders or networks. No torch. What it holds loads the
compiler (numba), so that commands which need none of it import it late; each of its halves, sequences counted and
suffixes in order, is loaded when it is asked for.
"""

from typing import TYPE_CHECKING, Any

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

_HOMES = {
    **dict.fromkeys(("SMOOTHINGS", "NGramModel", "NGramState", "Smoothing"), "ngram"),
    **dict.fromkeys(("Tried", "best_ngram"), "ngram_choice"),
    **dict.fromkeys(("Span", "SuffixIndex"), "suffix"),
    **dict.fromkeys(("MOST_NODES", "MOST_ORDER", "Trie"), "trie"),
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'rhapsode.counts' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"rhapsode.counts.{home}"), name)

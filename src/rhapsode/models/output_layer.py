"""The planned output layer: a full or an adaptive softmax. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Elements from which an adaptive softmax is faster to train with.
LEAST_VOCABULARY = 2000
# Largest fraction of elements of the text that may lie in the tail. There are more where ids are
# not ordered by frequency, or all are about equally frequent.
MOST_RARE = 0.35
DEFAULT_TAIL = 64


@dataclass(frozen=True)
class OutputLayer:
    """Sizes of an output layer, and its cost.

    Arguments:
        vocab_size: V.
        shortlist: elements with weights of full width; V for all.
        tail_size: width of the other weights.
        rare: fraction of the elements of the text that are in the tail.
    """

    vocab_size: int
    shortlist: int
    tail_size: int = DEFAULT_TAIL
    rare: float = 0.0

    @classmethod
    def full(cls, vocab_size: int) -> "OutputLayer":
        """A layer in which all weights have full width."""
        return cls(vocab_size, vocab_size)

    @property
    def settings(self) -> Mapping[str, int]:
        """Settings of `[network]`; none for a full layer."""
        if self.shortlist >= self.vocab_size:
            return {}
        return {"shortlist": self.shortlist, "tail_size": self.tail_size}

    @property
    def reason(self) -> str | None:
        """The choice in words; None for a full layer."""
        if not self.settings:
            return None
        return (
            f"adaptive output layer: full width for {self.shortlist:,} of {self.vocab_size:,} "
            f"elements, {self.tail_size} for the others, {self.rare:.1%} of the text"
        )

    def cost(self, hidden_size: int) -> float:
        """Multiply-adds of one element, on average."""
        tail = self.tail_size * (hidden_size + self.vocab_size - self.shortlist)
        return hidden_size * self.shortlist + self.rare * tail


def plan_output_layer(
    counts_V: NDArray[np.int64], asked: Mapping[str, Any], *, accelerated: bool
) -> OutputLayer:
    """The output layer for a corpus.

    Arguments:
        counts_V: occurrences of each element in the training split.
        asked: settings of `[network]` that were set; a shortlist of 0 is a full layer.
        accelerated: True for training on a GPU, where large products cost little and the rare
            targets of a batch would have to be waited for.
    """
    vocab_size, narrow = len(counts_V), asked.get("tail_size", DEFAULT_TAIL)
    short = asked.get("shortlist")
    chosen = type(short) is not int
    if chosen:
        suits = vocab_size >= LEAST_VOCABULARY and not accelerated
        short = shortlist_of(vocab_size) if suits else 0
    if not isinstance(short, int) or not 0 < short < vocab_size or type(narrow) is not int:
        return OutputLayer.full(vocab_size)
    rare = float(counts_V[short:].sum() / max(1, counts_V.sum()))
    if chosen and rare > MOST_RARE:
        return OutputLayer.full(vocab_size)
    return OutputLayer(vocab_size, short, narrow, rare)


def shortlist_of(vocab_size: int) -> int:
    """Elements with full width: a tenth, 1,024 at least."""
    return max(1024, vocab_size // 10)

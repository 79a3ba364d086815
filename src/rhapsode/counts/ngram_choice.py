"""Choice of the order and smoothing of an n-gram model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.counts.chunks import Elements
from rhapsode.counts.mixing.word_contexts import WordContexts
from rhapsode.counts.ngram import SMOOTHINGS, NGramModel, Smoothing
from rhapsode.counts.trie import MOST_NODES, MOST_ORDER, learn_trie
from rhapsode.errors import DataError


@dataclass(frozen=True)
class Tried:
    """A candidate model and its validation loss.

    Arguments:
        order: its order.
        smoothing: its smoothing.
        loss: nats per element of the validation slice.
    """

    order: int
    smoothing: Smoothing
    loss: float


def best_ngram(
    train_N: Elements,
    validation_N: Elements,
    vocab_size: int,
    *,
    most_order: int = MOST_ORDER,
    smoothings: Sequence[Smoothing] = SMOOTHINGS,
    starts: Elements | None = None,
    validation_starts: Elements | None = None,
    opening: int | None = None,
    most_nodes: int = MOST_NODES,
    letter_V: NDArray[np.int64] | None = None,
) -> tuple[NGramModel, list[Tried]]:
    """Choose the order and smoothing with the lowest validation loss.

    The corpus is counted once.

    Arguments:
        train_N: ids to count.
        validation_N: ids that the choice is based on; they are read without the text before them.
        vocab_size: V.
        most_order: the highest order tried, up to 8.
        smoothings: smoothings to try.
        starts: where documents with a history of their own begin in `train_N`. None: one text.
        validation_starts: the same for `validation_N`.
        opening: an element read before every document, as for `NGramModel.learn`.
        most_nodes: maximum number of sequences to keep.
        letter_V: letters of the elements, for contexts of words that mixtures use; None: no words.

    Returns:
        The model with the lowest loss (of equals, the one of the lowest order), and all candidates.

    Raises:
        DataError: the validation slice is empty, or there are too many elements to count.
        ValueError: an element, start, order or size is out of range.
    """
    if not len(validation_N):
        raise DataError(
            "the validation slice is empty: no n-gram model can be selected",
            hint="give more text",
        )
    trie = learn_trie(
        train_N,
        vocab_size,
        order=most_order,
        starts=starts,
        opening=opening,
        most_nodes=most_nodes,
    )
    tried = [
        Tried(
            order,
            smoothing,
            NGramModel(trie, order, smoothing).loss(validation_N, validation_starts),
        )
        for order in range(1, trie.order + 1)
        for smoothing in smoothings
    ]
    best = min(tried, key=lambda one: one.loss)
    words = None if letter_V is None else WordContexts.learn(train_N, letter_V, starts=starts)
    return NGramModel(trie, best.order, best.smoothing, words), tried

"""The choice of an n-gram model: order and smoothing, by validation data."""

from collections.abc import Sequence
from dataclasses import dataclass

from rhapsode.counts.chunks import Elements
from rhapsode.counts.ngram import SMOOTHINGS, NGramModel, Smoothing
from rhapsode.counts.trie import MOST_NODES, learn_trie
from rhapsode.errors import DataError


@dataclass(frozen=True)
class Tried:
    """A model that was considered.

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
    most_order: int = 6,
    smoothings: Sequence[Smoothing] = SMOOTHINGS,
    starts: Elements | None = None,
    validation_starts: Elements | None = None,
    opening: int | None = None,
    most_nodes: int = MOST_NODES,
) -> tuple[NGramModel, list[Tried]]:
    """Count once, and choose order and smoothing by the loss on a validation slice.

    Arguments:
        train_N: ids that are counted.
        validation_N: ids that the choice is made by; the slice is read without what stands before
            it.
        vocab_size: V.
        most_order: the highest order tried, up to 8.
        smoothings: those tried.
        starts: where documents with a history of their own begin in `train_N`. None: one text.
        validation_starts: the same for `validation_N`.
        opening: an element that every document is read behind, as for `NGramModel.learn`.
        most_nodes: how many sequences are kept at most.

    Returns:
        The model with the least loss, of several the one of the lowest order, and all that were
        tried.

    Raises:
        DataError: there is nothing to choose by, or too much to count.
        ValueError: an element, start, order or size is out of range.
    """
    if not len(validation_N):
        raise DataError(
            "the validation slice is empty: no n-gram model can be chosen by it",
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
    return NGramModel(trie, best.order, best.smoothing), tried

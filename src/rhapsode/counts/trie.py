"""Counts of all short sequences of a corpus in a trie.

Counting sorts packed keys. Probabilities are in `rhapsode.counts.ngram`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rhapsode.counts import ngram_counting as kernels
from rhapsode.counts.chunks import Elements, chunks, first_places
from rhapsode.errors import DataError

MOST_ORDER = 8
# Nodes kept by default: about 30 bytes each, with the probabilities of one model.
MOST_NODES = 16_000_000

# Keys sorted at a time.
_KEYS = 1 << 24

# Bits of a key: room for a node and at least one element.
_KEY_BITS = 63


@dataclass(frozen=True)
class Trie:
    """All sequences of up to `order` elements that occur, in flat arrays.

    Nodes are numbered level by level, each level in the order of its sequences: 0 the empty
    sequence, then every element of the vocabulary, whether it occurs or not, then the pairs that
    occur, and so on.

    Arguments:
        vocab_size: V.
        order: elements of the longest sequences kept.
        elements: N, how many elements were counted.
        documents: number of separate texts.
        asked: the requested order; `order` is lower where memory did not suffice.
        opening: the element read before every document; None: no such element.
        once: how many sequences of the last level occur once and were left out to save memory.
        begin_L: the first node of each level from 0 up to `order`, and the number of nodes M.
        first_M: the first child of each node that is not of the last level, and M; int32.
        element_M: the last element of each node, int32.
        count_M: how often it occurs, openings included, int32.
        ending_M: number of sequences of one more element that end with it, plus the number of
            documents that begin with it, where nothing else can precede it; int32, for all levels
            but the last. An opening by itself does not count.
        suffix_M: the node of the sequence without its first element, int32.
    """

    vocab_size: int
    order: int
    elements: int
    documents: int
    asked: int
    opening: int | None
    once: int
    begin_L: tuple[int, ...]
    first_M: NDArray[np.int32]
    element_M: NDArray[np.int32]
    count_M: NDArray[np.int32]
    ending_M: NDArray[np.int32]
    suffix_M: NDArray[np.int32]

    def __len__(self) -> int:
        """M, the number of nodes."""
        return self.begin_L[-1]

    @property
    def occurrences_V(self) -> NDArray[np.int64]:
        """Occurrences of each element, openings not counted."""
        count_V = self.count_M[1 : 1 + self.vocab_size].astype(np.int64)
        if self.opening is not None:
            count_V[self.opening] -= self.documents
        return count_V


def learn_trie(
    elements_N: Elements,
    vocab_size: int,
    *,
    order: int,
    starts: Elements | None = None,
    opening: int | None = None,
    most_nodes: int = MOST_NODES,
) -> Trie:
    """Count all sequences of up to `order` elements.

    Several levels at once are read from one sorted array of 64-bit keys: a known node, and as many
    of the elements after it as fit. Deeper levels take another round.

    Arguments:
        elements_N: ids from 0 up to `vocab_size - 1`, of any integer type; may be mapped from disk.
        vocab_size: V.
        order: elements of the longest sequences, from 1 up to 8.
        starts: where documents begin; no sequence runs across a start. None: one text.
        opening: an element read before every document without being counted. None: no such element.
        most_nodes: maximum number of nodes besides those of the vocabulary. If the text has more,
            sequences of the deepest level that occur once are left out; if that does not suffice,
            the whole level is.

    Raises:
        DataError: the text has more than 2,147,483,647 elements.
        ValueError: an element, start, order or size is out of range.
    """
    if not 1 <= order <= MOST_ORDER:
        raise ValueError(f"the order must lie from 1 up to {MOST_ORDER}")
    if not 1 <= vocab_size < 2**31 or not 0 <= most_nodes < 2**31 - vocab_size - 1:
        raise ValueError("the size of the vocabulary, or the number of nodes, does not fit")
    if opening is not None and not 0 <= opening < vocab_size:
        raise ValueError(f"the opening must be an id from 0 up to {vocab_size - 1}")
    starts_N = first_places(len(elements_N), starts)
    if len(elements_N) + len(starts_N) >= 2**31:
        raise DataError(
            f"{len(elements_N):,} elements are too many to count: at most {2**31 - 1:,}",
            hint="count a part of them",
        )
    growing = _Growing(elements_N, starts_N, vocab_size, order, opening)
    while growing.order < order and growing.whole:
        growing.grow(most_nodes + 1 + vocab_size)
    growing.count_endings()
    return Trie(
        vocab_size=vocab_size,
        order=growing.order,
        elements=len(elements_N),
        documents=len(starts_N),
        asked=order,
        opening=opening,
        once=growing.once,
        begin_L=tuple(growing.begin_L),
        first_M=growing.first_M,
        element_M=growing.element_M,
        count_M=growing.count_M,
        ending_M=growing.ending_M,
        suffix_M=growing.suffix_M,
    )


@dataclass
class _Level:
    """Nodes of a level under construction, as parts in order."""

    elements: list[NDArray[np.int32]] = field(default_factory=list)
    counts: list[NDArray[np.int32]] = field(default_factory=list)
    children: list[NDArray[np.int32]] = field(default_factory=list)
    nodes: int = 0

    def add(
        self,
        element_M: NDArray[np.int32],
        count_M: NDArray[np.int32],
        children_M: NDArray[np.int32],
    ) -> None:
        self.elements.append(element_M)
        self.counts.append(count_M)
        self.children.append(children_M)
        self.nodes += len(element_M)


class _Growing:
    """A trie under construction, with `order` complete levels.

    `whole` becomes false when a level has to be cut.
    """

    def __init__(
        self,
        elements_N: Elements,
        starts_N: NDArray[np.int64],
        vocab_size: int,
        order: int,
        opening: int | None,
    ) -> None:
        self.chunks = partial(chunks, elements_N, starts_N, vocab_size, opening=opening)
        self.asked = order
        # Documents' first elements are counted by themselves, openings are not.
        self.least = 1 if opening is None else 2
        self.read = len(elements_N) + (len(starts_N) if opening is not None else 0)
        self.bits = vocab_size.bit_length()  # of an element plus one
        self.order = 1
        self.whole = True
        self.once = 0
        self.begin_L = [0, 1, 1 + vocab_size]
        count_V = np.zeros(vocab_size, dtype=np.int64)
        for chunk in self.chunks():
            count_V += np.bincount(chunk.text_T, minlength=vocab_size)
        self.first_M = np.array((1, 1 + vocab_size), dtype=np.int32)
        self.element_M = np.arange(-1, vocab_size, dtype=np.int32)
        self.element_M[0] = 0
        self.count_M = np.concatenate(((self.read,), count_V)).astype(np.int32)
        self.suffix_M = np.zeros(1 + vocab_size, dtype=np.int32)
        self.ending_M = np.zeros(1, dtype=np.int32)

    def ranges(self) -> Iterator[tuple[int, int, int]]:
        """Ranges of the last level's nodes, with their numbers of occurrences.

        Each range is small enough to be sorted at once.
        """
        begin, end = self.begin_L[-2:]
        if self.read <= _KEYS:
            yield begin, end, self.read
            return
        count_M = np.cumsum(self.count_M[begin:end], dtype=np.int64)
        low = done = 0
        while low < len(count_M):
            high = max(low + 1, int(np.searchsorted(count_M, done + _KEYS, side="right")))
            yield begin + low, begin + high, int(count_M[high - 1]) - done
            low, done = high, int(count_M[high - 1])

    def keys(self, low: int, high: int, size: int, digits: int) -> NDArray[np.int64]:
        """Ordered keys of some nodes' occurrences and the `digits` elements after them."""
        keys_N = np.empty(size, dtype=np.int64)
        filled = 0
        for chunk in self.chunks(reach=self.order + digits):
            filled = kernels.gather_keys(
                chunk.text_T,
                chunk.size,
                chunk.stops_N,
                self.order,
                low,
                high,
                self.first_M,
                self.element_M,
                self.suffix_M,
                self.bits,
                digits,
                keys_N,
                filled,
            )
        keys_N = keys_N[:filled]
        keys_N.sort()
        return keys_N

    def grow(self, most: int) -> None:
        """Add the levels of one round of keys.

        If they exceed `most` nodes in all, the next level is cut.
        """
        begin, end = self.begin_L[-2:]
        digits = min(self.asked - self.order, (_KEY_BITS - (end - begin).bit_length()) // self.bits)
        first_M = np.zeros(end - begin, dtype=np.int32)
        levels = [_Level() for _ in range(digits)]
        for low, high, size in self.ranges():
            keys_N = self.keys(low, high, size, digits)
            nodes_L = kernels.count_nodes(keys_N, self.bits, digits)
            known_L = [level.nodes for level in levels]
            totals_L = end + np.cumsum(nodes_L[: len(levels)] + known_L)
            del levels[np.count_nonzero(totals_L <= most) :]
            if not levels:
                break
            children_M = first_M[low - begin : high - begin]
            for d, level in enumerate(levels):
                above_M, children_M = children_M, np.zeros(nodes_L[d], dtype=np.int32)
                element_M, count_M = np.empty_like(children_M), np.empty_like(children_M)
                kernels.fill_level(
                    keys_N, self.bits, digits - d - 1, d == 0, element_M, count_M, above_M
                )
                level.add(element_M, count_M, children_M)
            del keys_N, element_M, count_M, children_M, above_M
        if levels:
            self.join(first_M, levels)
        if len(levels) < digits:
            self.whole = False
            self.cut(most)

    def join(self, first_M: NDArray[np.int32], levels: list[_Level]) -> None:
        """Append new levels.

        `first_M` counts the children of each node of the last known level.
        """
        children_M = [np.ones(1, dtype=np.int32), np.diff(self.first_M), first_M]
        children_M += [part for level in levels[:-1] for part in level.children]
        elements, counts = [self.element_M], [self.count_M]
        for level in levels:
            elements += level.elements
            counts += level.counts
            self.begin_L.append(self.begin_L[-1] + level.nodes)
        self.element_M = np.concatenate(elements)
        self.count_M = np.concatenate(counts)
        self.first_M = np.concatenate(children_M)
        np.cumsum(self.first_M, out=self.first_M)
        self.suffix_M = np.append(
            self.suffix_M, np.zeros(self.begin_L[-1] - len(self.suffix_M), dtype=np.int32)
        )
        for begin, end in pairwise(self.begin_L[self.order : -1]):
            kernels.link_level(self.first_M, self.element_M, self.suffix_M, begin, end)
        self.order = len(self.begin_L) - 2

    def cut(self, most: int) -> None:
        """Add one level without the sequences that occur once.

        The level is left out if there would be more than `most` nodes.
        """
        begin, end = self.begin_L[-2:]
        first_M = np.zeros(end - begin, dtype=np.int32)
        ending_M = np.zeros(end, dtype=np.int32)
        level = _Level()
        once = 0
        for low, high, size in self.ranges():
            keys_N = self.keys(low, high, size, 1)
            element_M = np.empty(len(keys_N) // 2, dtype=np.int32)
            count_M = np.empty_like(element_M)
            children_M = first_M[low - begin : high - begin]
            made, few = kernels.keep_repeated(
                keys_N,
                self.bits,
                low,
                self.first_M,
                self.element_M,
                self.suffix_M,
                ending_M,
                element_M,
                count_M,
                children_M,
            )
            level.add(element_M[:made].copy(), count_M[:made].copy(), children_M)
            once += few
            if end + level.nodes > most:
                return
        self.join(first_M, [level])
        self.once = once
        self.ending_M = ending_M

    def count_endings(self) -> None:
        """Count the elements and openings before each node.

        Nodes of the last level are left out.
        """
        levels = self.order - 1
        ending_M = np.zeros(self.begin_L[self.order], dtype=np.int32)
        complete = self.order + 1
        if self.once:
            # The level that was cut has been counted before it was cut.
            complete = self.order
            begin = self.begin_L[levels]
            ending_M[begin:] = self.ending_M[begin:]
        if complete > 2:
            kernels.count_endings(self.suffix_M, self.begin_L[2], self.begin_L[complete], ending_M)
        for chunk in self.chunks(reach=levels):
            kernels.count_openings(
                chunk.text_T,
                chunk.starts_N,
                chunk.stops_N,
                self.least,
                levels,
                self.first_M,
                self.element_M,
                ending_M,
            )
        self.ending_M = ending_M

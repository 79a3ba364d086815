"""Interpolated n-gram models over counts.

Works on ids and counts. Models of several orders and smoothings share one trie and are cheap to
make, so that both can be chosen on validation data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from rhapsode.counts import ngram_lookup as kernels
from rhapsode.counts.chunks import Elements, as_ids, chunks, first_places
from rhapsode.counts.mixing.word_contexts import WordContexts
from rhapsode.counts.ngram_file import AGAIN, check_trie, read_counts, trie_arrays, write_counts
from rhapsode.counts.trie import MOST_NODES, Trie, learn_trie
from rhapsode.errors import BundleError

Smoothing = Literal["kneser_ney", "absolute"]
SMOOTHINGS: tuple[Smoothing, ...] = get_args(Smoothing)

Scores = NDArray[np.float32]

_WORDS = "words."


@dataclass(frozen=True)
class NGramState:
    """State of rows: the longest known history of each.

    Arguments:
        node_B: nodes of the trie, int32; 0 where nothing known was read.
    """

    node_B: NDArray[np.int32]

    def select(self, rows_R: NDArray[np.int64]) -> NGramState:
        """The state of some rows, in that order."""
        return NGramState(self.node_B[rows_R])

    def fork(self) -> NGramState:
        """The state itself, which is never changed in place."""
        return self


class NGramModel:
    """Interpolated n-gram model over a trie of counts.

    Every element has a probability above 0.

    With `c` the count of an element after a history of k - 1 elements, `C` the sum of these counts
    over all elements, and h' the history without its first element,

        p_k(w | h) = (c(h w) - D_k(c)) / C(h) + rest(h) p_{k-1}(w | h'),    p_0(w) = 1 / V,

    where `rest` is the discounted fraction. An unseen history leaves it all to the shorter one.

    `kneser_ney` is modified Kneser-Ney: three discounts for each k, for counts of 1, 2, and 3 or
    more. Below the highest order, a sequence is counted once for every different element that it
    follows, and once for every document that it opens, since nothing else can precede it
    there. Chen and Goodman, "An empirical study of smoothing techniques for language modeling",
    Computer Speech and Language 13, 1999.

    `absolute` subtracts one discount n1 / (n1 + 2 n2) for each k from the counts. Ney, Essen
    and Kneser, "On structuring probabilistic dependences in stochastic language modelling",
    Computer Speech and Language 8, 1994.

    If the counts of counts give no discount between 0 and the count it applies to, the discount of
    the count below is used; 1/2 for a count of 1.

    Arguments:
        trie: the counts.
        order: elements of a history plus the element after it, from 1 up to the trie's order.
        smoothing: "kneser_ney" or "absolute".
        words: counts after contexts of words, which only mixtures use; None: there are none.

    Raises:
        ValueError: the order is out of range, or the smoothing unknown.
    """

    def __init__(
        self, trie: Trie, order: int, smoothing: Smoothing, words: WordContexts | None = None
    ) -> None:
        if not 1 <= order <= trie.order:
            raise ValueError(f"the order must lie from 1 up to {trie.order}")
        if smoothing not in SMOOTHINGS:
            raise ValueError(f"the smoothing must be one of {', '.join(SMOOTHINGS)}")
        self.trie = trie
        self.order = order
        self.smoothing = smoothing
        self.words = words
        self.discounts_L = np.zeros((order, 3))
        self.arrays = (
            trie.first_M,
            trie.element_M,
            trie.suffix_M,
            np.zeros(trie.begin_L[order + 1]),
            np.zeros(trie.begin_L[order]),
        )
        """Arrays for compiled code: the trie's (int32), probabilities and rests (float64)."""
        for level in range(1, order + 1):
            self._smooth(level)

    def _smooth(self, level: int) -> None:
        """Compute the probabilities of one level's sequences."""
        trie = self.trie
        by_endings = self.smoothing == "kneser_ney" and level < self.order
        used_M = trie.ending_M if by_endings else trie.count_M
        whole = level < trie.order or not trie.once
        if level == 1 and trie.opening is not None and not by_endings:
            used_M = used_M[: 1 + trie.vocab_size].copy()
            used_M[1 + trie.opening] -= trie.documents
        above, begin, end = trie.begin_L[level - 1 : level + 2]
        counts_4 = [int(np.count_nonzero(used_M[begin:end] == count)) for count in (1, 2, 3, 4)]
        if not whole:
            counts_4[0] += trie.once
        discount_3 = _discounts(counts_4, self.smoothing)
        self.discounts_L[level - 1] = discount_3
        kernels.smooth_level(
            trie.first_M,
            trie.suffix_M,
            used_M,
            trie.count_M,
            above,
            begin,
            np.concatenate(((0.0,), discount_3)),
            whole,
            1 / trie.vocab_size,
            *self.arrays[3:],
        )

    @classmethod
    def learn(
        cls,
        elements_N: Elements,
        vocab_size: int,
        *,
        order: int = 5,
        smoothing: Smoothing = "kneser_ney",
        starts: Elements | None = None,
        opening: int | None = None,
        most_nodes: int = MOST_NODES,
    ) -> NGramModel:
        """Count a corpus.

        Arguments:
            elements_N: ids from 0 up to `vocab_size - 1`, of any integer type; may be mapped from
                disk.
            vocab_size: V.
            order: elements of a history plus the element after it, from 1 up to 8. The model's
                order is lower where memory did not suffice.
            smoothing: "kneser_ney" or "absolute".
            starts: where documents with a history of their own begin. None: one text.
            opening: an element read before every document, or before the one text: end-of-sequence
                where a network reads it first, too. It serves as history and is not counted. None:
                no such element.
            most_nodes: maximum number of sequences to keep, about 30 bytes each.

        Raises:
            DataError: the text has more than 2,147,483,647 elements.
            ValueError: an element, start, order or size is out of range.
        """
        trie = learn_trie(
            elements_N,
            vocab_size,
            order=order,
            starts=starts,
            opening=opening,
            most_nodes=most_nodes,
        )
        return cls(trie, trie.order, smoothing)

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.trie.vocab_size

    def view(self, order: int, smoothing: Smoothing) -> NGramModel:
        """The model of another order and smoothing over the same counts.

        Raises:
            ValueError: the trie does not go that deep, or the smoothing is unknown.
        """
        return NGramModel(self.trie, order, smoothing, self.words)

    def log_prob(self, elements_N: Elements, starts: Elements | None = None) -> NDArray[np.float64]:
        """Log-probabilities of elements, given those before them.

        A model that was learnt with an opening reads it here, too, without scoring it.

        Arguments:
            elements_N: ids of any integer type.
            starts: where documents begin, which are read without history. None: one text.

        Returns:
            Natural logarithms, (N,).

        Raises:
            ValueError: an element or start is out of range.
        """
        log_prob_N = np.empty(len(elements_N))
        starts_N = first_places(len(elements_N), starts)
        opening = self.trie.opening
        node = done = 0
        for chunk in chunks(elements_N, starts_N, self.vocab_size, opening=opening):
            part_T = np.empty(chunk.size)
            node = kernels.score_text(*self.arrays, chunk.text_T, chunk.starts_N, node, part_T)
            if opening is not None:
                part_T = np.delete(part_T, chunk.starts_N)
            log_prob_N[done : done + len(part_T)] = part_T
            done += len(part_T)
        return log_prob_N

    def loss(self, elements_N: Elements, starts: Elements | None = None) -> float:
        """Mean negative log-probability of a text, in nats per element.

        Raises:
            ValueError: an element or start is out of range, or there is no element.
        """
        if not len(elements_N):
            raise ValueError("an empty sequence has no loss")
        return -float(self.log_prob(elements_N, starts).mean())

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the counts, the order and the smoothing."""
        trie = self.trie
        sizes = (trie.vocab_size, trie.order, trie.documents, trie.once, *trie.begin_L, self.order)
        choices = [*map(int, sizes), trie.opening, self.smoothing]
        digest = hashlib.sha256(json.dumps(choices).encode())
        words = {} if self.words is None else self.words.to_arrays()
        tables = (trie.first_M, trie.element_M, trie.count_M, trie.ending_M)
        for array in (*tables, *words.values()):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:32]

    def start(self, rows: int) -> NGramState:
        """State of rows that have read nothing."""
        return NGramState(np.zeros(rows, dtype=np.int32))

    def advance(self, elements_BT: Elements, state: NGramState) -> NGramState:
        """State after reading elements.

        Arguments:
            elements_BT: ids of any integer type.
            state: of B rows.

        Raises:
            ValueError: an element is out of range.
        """
        node_B = state.node_B.copy()
        kernels.read_rows(*self.arrays, as_ids(elements_BT, self.vocab_size), node_B)
        return NGramState(node_B)

    def distribution(self, state: NGramState) -> NDArray[np.float64]:
        """Probabilities of the next element after B rows, (B, V)."""
        share_BV = np.empty((len(state.node_B), self.vocab_size))
        kernels.spread_rows(*self.arrays, state.node_B, share_BV)
        return share_BV

    def score(
        self,
        elements_BT: Elements,
        targets_BT: Elements,
        state: NGramState,
        *,
        scored_BT: NDArray[np.bool_] | None = None,
        reset_BT: NDArray[np.bool_] | None = None,
        allowed_BTV: NDArray[np.bool_] | None = None,
    ) -> tuple[Scores, NGramState]:
        """Log-probabilities of targets after elements.

        Arguments:
            elements_BT: ids that are read, of any integer type.
            targets_BT: ids scored after each of them.
            state: of B rows.
            scored_BT: False where the target is not scored and gets 0. None: all are scored.
            reset_BT: True where a row is reset before it reads the element. None: nowhere.
            allowed_BTV: elements that may follow each element, including every scored target. None:
                all.

        Returns:
            Natural logarithms (B, T), and the state after the elements.

        Raises:
            ValueError: an element or target is out of range.
        """
        ids_BT = as_ids(elements_BT, self.vocab_size)
        node_B = state.node_B.copy()
        log_prob_BT = np.empty(ids_BT.shape, dtype=np.float32)
        kernels.score_rows(
            *self.arrays,
            ids_BT,
            as_ids(targets_BT, self.vocab_size),
            _flags(scored_BT, ids_BT.shape, missing=True),
            _flags(reset_BT, ids_BT.shape, missing=False),
            node_B,
            *_restriction(allowed_BTV),
            log_prob_BT,
        )
        return log_prob_BT, NGramState(node_B)

    def examine(
        self,
        elements_BT: Elements,
        targets_BT: Elements,
        state: NGramState,
        *,
        reset_BT: NDArray[np.bool_] | None = None,
        allowed_BTV: NDArray[np.bool_] | None = None,
    ) -> tuple[tuple[Scores, NDArray[np.int64], Scores, Scores], NGramState]:
        """Describe the distribution after each element, over the whole vocabulary.

        Arguments:
            elements_BT: ids that are read, of any integer type.
            targets_BT: ids scored after each of them.
            state: of B rows.
            reset_BT: True where a row is reset before it reads the element. None: nowhere.
            allowed_BTV: elements that may follow each element; a target that may not gets 0. None:
                all.

        Returns:
            The log-probability of the target, the likeliest element, its log-probability and the
            entropy, in nats, all (B, T); and the state after the elements.

        Raises:
            ValueError: an element or target is out of range.
        """
        ids_BT = as_ids(elements_BT, self.vocab_size)
        node_B = state.node_B.copy()
        log_prob_BT, top_log_prob_BT, entropy_BT = (
            np.empty(ids_BT.shape, dtype=np.float32) for _ in range(3)
        )
        top_BT = np.empty(ids_BT.shape, dtype=np.int64)
        kernels.examine_rows(
            *self.arrays,
            ids_BT,
            as_ids(targets_BT, self.vocab_size),
            _flags(reset_BT, ids_BT.shape, missing=False),
            node_B,
            *_restriction(allowed_BTV),
            np.empty(self.vocab_size),
            log_prob_BT,
            top_BT,
            top_log_prob_BT,
            entropy_BT,
        )
        return (log_prob_BT, top_BT, top_log_prob_BT, entropy_BT), NGramState(node_B)

    def save(self, path: Path) -> None:
        """Write the counts, order and smoothing to a file, atomically.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        write_counts(path, *self.to_arrays())

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Numbers and arrays from which `from_arrays` rebuilds the model."""
        numbers, arrays = trie_arrays(self.trie)
        if self.words is not None:
            own = self.words.to_arrays()
            arrays |= {f"{_WORDS}{name}": array for name, array in own.items()}
        return {**numbers, "chosen": [self.order, self.smoothing]}, arrays

    @classmethod
    def from_arrays(cls, numbers: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild a model from the numbers and arrays of `to_arrays`.

        Raises:
            BundleError: they do not fit together, or cannot be those of a text.
        """
        try:
            order, smoothing = numbers["chosen"]
            if type(order) is not int or type(smoothing) is not str:
                raise ValueError("order or smoothing are of another type")
            trie = check_trie(numbers, arrays)
            own = {name[len(_WORDS) :]: arrays[name] for name in arrays if name.startswith(_WORDS)}
            words = WordContexts.from_arrays(own, trie.vocab_size) if own else None
            return cls(trie, order, smoothing, words)  # type: ignore[arg-type]  # checked there
        except (KeyError, TypeError, ValueError) as problem:
            raise BundleError(f"its n-gram counts are damaged ({problem})") from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a model file that `save` wrote.

        Raises:
            BundleError: it is missing, truncated, of another kind or version, or its counts cannot
                be those of a text.
        """
        try:
            return cls.from_arrays(*read_counts(path))
        except BundleError as problem:
            raise BundleError(problem.what, where=str(path), hint=problem.hint or AGAIN) from None


def _flags(
    flags_BT: NDArray[np.bool_] | None, shape: tuple[int, ...], *, missing: bool
) -> NDArray[np.bool_]:
    """Flags as a boolean array; all `missing` if there are none."""
    if flags_BT is None:
        return np.full(shape, missing)
    return np.array(np.broadcast_to(flags_BT, shape), dtype=bool, order="C")


def _restriction(allowed_BTV: NDArray[np.bool_] | None) -> tuple[bool, NDArray[np.bool_]]:
    """Flag and mask of a restricted distribution, for compiled code."""
    if allowed_BTV is None:
        return False, np.ones((1, 1, 1), np.bool_)
    return True, np.ascontiguousarray(allowed_BTV)


def _discounts(counts_4: Sequence[int], smoothing: Smoothing) -> list[float]:
    """Discounts of counts of 1, 2, and 3 or more.

    They are Ney's, equal for all counts, or those of Chen and Goodman.
    """
    once, twice = counts_4[:2]
    first = once / (once + 2 * twice) if once and twice else 0.5
    discounts = [first] * 3
    if smoothing == "absolute":
        return discounts
    for k in (2, 3):
        here, more = counts_4[k - 1], counts_4[k]
        discount = k - (k + 1) * first * more / here if here else 0.0
        discounts[k - 1] = discount if 0 < discount < k else discounts[k - 2]
    return discounts

"""Counts of elements after contexts of words.

A context is what is there of the current word, or that together with the word before it. Where
elements are words, it is one that begins the document. Where they have heights, it is what stands
some measures before, and the steps to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.counts.chunks import Elements, as_ids, first_places
from rhapsode.counts.mixing import ngram_evidence as kernels
from rhapsode.counts.mixing.ngram_measures import (
    HIGH,
    MEASURE_KINDS,
    PERIODS,
    STEP_CONTEXTS,
    WORDS,
    measure_weights,
    step_keys,
)
from rhapsode.counts.mixing.triggers import learn_triggers
from rhapsode.counts.ngram_file import packed, unpacked

# Pairs of a context and an element that are kept at most; contexts seen once go first.
MOST_PAIRS = 4_000_000
# The kind of context that is a word at the beginning of a document, and the first of those of
# steps.
TRIGGER, STEP = 2, 3
_SMALL = ("size_K", "which_K", "element_J", "count_J")


@dataclass(frozen=True)
class WordContexts:
    """Elements after contexts of words, in flat arrays.

    Arguments:
        letter_V: the letter of each element, alike for both of its cases; 0 for what ends a word;
            -1 for what names a place in a measure, -2 for what begins one; 2 ** 32 plus its height
            for what has one; for words -16 less the id of their most frequent form in either case.
        key_K: hash of each context, ascending, int64.
        size_K: number of different elements after it, int32.
        which_K: 0 for a part of a word, 1 for one together with the word before it, 2 for a word
            that begins a document, 3 and more for steps; int32.
        element_J: these elements, context after context, int32.
        count_J: how often each follows; the evidence for it after a word that begins a document,
            in hundredths of a nat; int32.
        measure_F: weights of elements some measures before in training, by kind; empty without
            measures.
    """

    letter_V: NDArray[np.int64]
    key_K: NDArray[np.int64]
    size_K: NDArray[np.int32]
    which_K: NDArray[np.int32]
    element_J: NDArray[np.int32]
    count_J: NDArray[np.int32]
    measure_F: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def learn(
        cls,
        elements_N: Elements,
        letter_V: NDArray[np.int64],
        *,
        starts: Elements | None = None,
    ) -> WordContexts:
        """Count a corpus.

        Arguments:
            elements_N: ids of any integer type.
            letter_V: as in the arguments of the class.
            starts: where documents begin. None: one text.

        Raises:
            ValueError: an element or start is out of range.
        """
        ids_N = as_ids(elements_N, len(letter_V))
        starts_N = first_places(len(ids_N), starts)
        measure_F = measure_weights(ids_N, starts_N, letter_V)
        if letter_V[0] <= kernels.SAID and starts is not None:
            return cls._of_beginnings(ids_N, starts_N, letter_V)
        kinds = range(WORDS) if ((letter_V > 0) & (letter_V < HIGH)).any() else ()
        parts = [_counted(ids_N, _word_keys(ids_N, starts_N, letter_V, kind)) for kind in kinds]
        key_NS = step_keys(ids_N, starts_N, letter_V, -1)
        for key_N in key_NS.T:
            often_N = _occurs_again(key_N)
            parts.append(_counted(ids_N[often_N], key_N[often_N]))
        which = [*kinds, *range(STEP, STEP + key_NS.shape[1])]
        if not which:
            none = np.zeros(0, np.int32)
            return cls(letter_V, np.zeros(0, np.int64), none, none, none, none, measure_F)
        key_K, size_K, element_J, count_J = map(np.concatenate, zip(*parts, strict=True))
        which_K = np.repeat(np.array(which, np.int32), [len(part[0]) for part in parts])
        least = 1
        while len(element_J) > MOST_PAIRS:
            least += 1
            total_K = np.add.reduceat(count_J, np.cumsum(size_K) - size_K)
            kept_K = total_K >= least
            kept_J = np.repeat(kept_K, size_K)
            key_K, size_K, which_K = key_K[kept_K], size_K[kept_K], which_K[kept_K]
            element_J, count_J = element_J[kept_J], count_J[kept_J]
        order_K = np.argsort(key_K, kind="stable")
        order_J = _taken(size_K, order_K)
        return cls(
            letter_V, key_K[order_K], size_K[order_K], which_K[order_K], element_J[order_J],
            count_J[order_J], measure_F,
        )  # fmt: skip

    @classmethod
    def _of_beginnings(
        cls, ids_N: NDArray[np.int32], starts_N: NDArray[np.int64], letter_V: NDArray[np.int64]
    ) -> WordContexts:
        form_K, size_K, element_J, evidence_J = learn_triggers(ids_N, starts_N, letter_V)
        key_K = np.array([kernels.trigger_key(form) for form in form_K.tolist()], dtype=np.int64)
        order_K = np.argsort(key_K)
        order_J = _taken(size_K, order_K)
        which_K = np.full(len(key_K), TRIGGER, np.int32)
        return cls(
            letter_V, key_K[order_K], size_K[order_K], which_K, element_J[order_J],
            evidence_J[order_J],
        )  # fmt: skip

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays from which `from_arrays` rebuilds the counts."""
        arrays: dict[str, NDArray[Any]] = {"letter_V": self.letter_V, "key_K": self.key_K}
        for name in _SMALL:
            arrays |= packed(name, getattr(self, name))
        return arrays | ({"measure_F": self.measure_F} if len(self.measure_F) else {})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], vocab_size: int) -> WordContexts:
        """Check arrays, which compiled code follows blindly.

        Raises:
            ValueError: they do not fit together.
        """
        for name in ("letter_V", "key_K"):
            if name not in arrays or arrays[name].dtype != np.int64 or arrays[name].ndim != 1:
                raise ValueError(f"the array {name!r} is missing or of another type")
        large = {name: np.ascontiguousarray(arrays[name]) for name in ("letter_V", "key_K")}
        size_K, which_K, element_J, count_J = (unpacked(arrays, name) for name in _SMALL)
        measure_F = arrays.get("measure_F", np.zeros(0))
        kinds = MEASURE_KINDS * len(PERIODS)
        if measure_F.dtype != np.float64 or measure_F.shape not in {(0,), (kinds,)}:
            raise ValueError("its weights of measures are of another type")
        found = cls(
            large["letter_V"], large["key_K"], size_K, which_K, element_J, count_J, measure_F
        )
        pairs = len(found.element_J)
        fits = (
            len(found.letter_V) == vocab_size
            and _are_letters(found.letter_V)
            and bool(np.isfinite(measure_F).all())
            and len(found.key_K) == len(found.size_K) == len(found.which_K)
            and bool(np.isin(found.which_K, _kinds(found.letter_V)).all())
            and bool((found.size_K[found.which_K == TRIGGER] <= kernels.MOST_TRIGGERED).all())
            and len(found.count_J) == pairs == int(found.size_K.sum(dtype=np.int64))
            and bool((found.size_K > 0).all())
            and bool((found.count_J > 0).all())
            and _in_order(found.key_K, found.which_K)
            and (not len(found.key_K) or 0 <= found.key_K[0] <= found.key_K[-1] < 1 << 62)
            and (not pairs or 0 <= found.element_J.min() <= found.element_J.max() < vocab_size)
            and _ascend(_in_context(found.size_K) * vocab_size + found.element_J)
        )
        if not fits:
            raise ValueError("its contexts of words do not fit together")
        return found


def _kinds(letter_V: NDArray[np.int64]) -> tuple[int, ...]:
    """Kinds of contexts among such letters."""
    if letter_V[0] <= kernels.SAID:
        return (TRIGGER,)
    return (*range(WORDS), *range(STEP, STEP + STEP_CONTEXTS))


def _are_letters(letter_V: NDArray[np.int64]) -> bool:
    """True for letters and marks, or for words that stand for their forms."""
    if letter_V[0] > kernels.SAID:
        return bool((letter_V > kernels.SAID).all())
    form_V = kernels.SAID - letter_V
    if not ((form_V >= 0) & (form_V < len(form_V))).all():
        return False
    return bool((form_V[form_V] == form_V).all())


def _taken(size_K: NDArray[np.int32], order_K: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the elements of contexts in another order."""
    first_K = np.cumsum(size_K) - size_K
    length_K = size_K[order_K]
    begin_K = first_K[order_K] - (np.cumsum(length_K) - length_K)
    found_J: NDArray[np.int64] = np.arange(size_K.sum()) + np.repeat(begin_K, length_K)
    return found_J


def _ascend(values_N: NDArray[Any]) -> bool:
    return bool((values_N[1:] > values_N[:-1]).all())


def _in_order(key_K: NDArray[np.int64], which_K: NDArray[np.int32]) -> bool:
    """True if keys ascend; of equal ones, their kinds."""
    equal_K = key_K[1:] == key_K[:-1]
    more_K = which_K[1:] > which_K[:-1]
    return bool(((key_K[1:] > key_K[:-1]) | (equal_K & more_K)).all())


def _in_context(size_K: NDArray[np.int32]) -> NDArray[np.int64]:
    """Index of the context of each element."""
    return np.repeat(np.arange(len(size_K)), size_K)


def _word_keys(
    ids_N: NDArray[np.int32], starts_N: NDArray[np.int64], letter_V: NDArray[np.int64], which: int
) -> NDArray[np.int64]:
    """Keys of a kind of contexts of words before every element."""
    key_N = np.empty(len(ids_N), np.int64)
    kernels.word_keys(ids_N, starts_N, letter_V, which, key_N)
    return key_N


def _occurs_again(key_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of keys from 0 up that occur more than once."""
    sorted_N = np.sort(key_N)
    twice = np.unique(sorted_N[1:][sorted_N[1:] == sorted_N[:-1]])
    twice = twice[twice >= 0]
    if not len(twice):
        return np.zeros(0, np.int64)
    place_N = np.minimum(np.searchsorted(twice, key_N), len(twice) - 1)
    return np.flatnonzero(twice[place_N] == key_N)


def _counted(ids_N: NDArray[np.int32], key_N: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
    """Keys, sizes, elements and counts of one kind of context, in the order of its keys.

    Arguments:
        ids_N: elements.
        key_N: of the context before each of them.
    """
    order_N = np.lexsort((ids_N, key_N))
    key_N, ids_N = key_N[order_N], ids_N[order_N]
    new_N = np.ones(len(ids_N), np.bool_)
    new_N[1:] = key_N[1:] != key_N[:-1]
    pair_J = np.flatnonzero(new_N | np.append(True, ids_N[1:] != ids_N[:-1]))
    count_J = np.diff(np.append(pair_J, len(ids_N))).astype(np.int32)
    first_K = np.searchsorted(pair_J, np.flatnonzero(new_N))
    size_K = np.diff(np.append(first_K, len(pair_J))).astype(np.int32)
    return key_N[new_N], size_K, ids_N[pair_J], count_J

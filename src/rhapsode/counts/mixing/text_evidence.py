"""Evidence of counts along their own text, each place left out.

A network that is trained beside counts learns what they do not know. In the text that was counted
every context predicts its own continuation too well, so that each place is taken out of the counts
before they predict it (leave-one-out: Ney, Essen and Kneser, "On structuring probabilistic
dependences in stochastic language modelling", 1994).
"""

# ruff: noqa: PLR0917  # compiled code is called by position

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.compiling import compiled
from rhapsode.counts.chunks import Elements, as_ids, first_places
from rhapsode.counts.mixing.experts import Experts
from rhapsode.counts.mixing.ngram_evidence import (
    DISCOUNT,
    KINDS,
    LEAD,
    SAID,
    kind_of,
    next_node,
    word_keys,
)
from rhapsode.counts.mixing.ngram_measures import STEP_CONTEXTS, WORDS, places_before, step_keys
from rhapsode.counts.mixing.word_contexts import STEP
from rhapsode.counts.ngram import NGramModel

# Compiled into the cached code of this module: when they change, this file must change, too.
from rhapsode.counts.ngram_counting import find_child

# Weights of order 0, of every context, and of those of steps beside a network in training.
ORDER_0_WEIGHT, CONTEXT_WEIGHT, STEP_WEIGHT = 0.3, 0.3, 0.1
# Elements of the longest contexts. With longer ones, or with contexts of two words, the network
# learnt less of what holds elsewhere.
LONGEST = 4
# Contexts with up to so many followers are smoothed anew where a place is left out.
FEW = 8


@compiled
def mark_places(
    first_M: Any, element_M: Any, suffix_M: Any, kind_M: Any,
    elements_T: Any, starts_N: Any, opening: int, node_T: Any,
) -> None:  # fmt: skip
    """Write the longest known context before every element."""
    node = start = 0
    for t in range(len(elements_T)):
        if start < len(starts_N) and starts_N[start] == t:
            start += 1
            node = 0
            if opening >= 0:
                node = next_node(first_M, element_M, suffix_M, kind_M, node, opening)
        node_T[t] = node
        node = next_node(first_M, element_M, suffix_M, kind_M, node, elements_T[t])


@compiled
def weigh_tails(
    first_M: Any, element_M: Any, used_M: Any, discount_L4: Any, begin: int, end: int, length: int,
    short: int, kept_M: Any, taken_M: Any,
) -> None:  # fmt: skip
    """Write the discounted counts of rare followers, and all discounts, of contexts."""
    for node in range(begin, end):
        kept = taken = 0.0
        for child in range(first_M[node], first_M[node + 1]):
            discount = discount_L4[length, min(used_M[child], 3)]
            taken += discount
            if element_M[child] >= short:
                kept += used_M[child] - discount
        kept_M[node], taken_M[node] = kept, taken


@compiled
def evidence_of_tail(kept: float, taken: float, below: float) -> float:
    """Evidence for the rare elements as one.

    `below` is their share of the text: that of a shorter context is not looked up.
    """
    return math.log(1 + max(kept, 0.0) / max(taken * below, 1e-30))


@compiled
def add_left_out(
    first_M: Any, element_M: Any, evidence_M: Any, used_M: Any, count_M: Any, discount_L4: Any,
    kept_M: Any, taken_M: Any, below: float, short: int,
    node: int, kind: int, target: int, weight_F: Any, z_V: Any,
) -> bool:  # fmt: skip
    """Add the evidence of a context without one place.

    Returns true if the target never follows the context elsewhere.
    """
    length = (kind - LEAD) // KINDS + 1
    begin, end = first_M[node], first_M[node + 1]
    own = find_child(first_M, element_M, node, target)
    used = used_M[own] if own >= 0 else 1
    followers = end - begin - (own >= 0 and count_M[own] <= 1)
    count = count_M[node] - 1
    if followers > 0 and count > 0:
        before = discount_L4[length, min(used, 3)]
        after = discount_L4[length, min(used - 1, 3)]
        # Shorter contexts get less if there are fewer followers.
        ratio = 1.0
        if end - begin <= FEW:
            taken = 0.0
            for child in range(begin, end):
                taken += discount_L4[length, min(used_M[child], 3)]
            if taken - before + after > 0:
                ratio = taken / (taken - before + after)
        weight = weight_F[LEAD + KINDS * (length - 1) + kind_of(count, followers)]
        for child in range(begin, end):
            if element_M[child] >= short:  # they are in order
                break
            value = float(evidence_M[child])
            if child == own:
                if used <= 1:
                    continue
                share = ratio * (used - 1 - after) / (used - before)
                value = math.log1p((math.exp(value) - 1) * share)
            elif ratio != 1.0:
                value = math.log1p((math.exp(value) - 1) * ratio)
            z_V[element_M[child]] += np.float32(weight * value)
        if short < len(z_V):
            kept, taken = float(kept_M[node]), float(taken_M[node])
            if own >= 0:
                taken += after - before
                if target >= short:
                    kept += max(used - 1 - after, 0.0) - (used - before)
            z_V[short] += np.float32(weight * evidence_of_tail(kept, taken, below))
    return bool(used <= 1)


@compiled
def add_word(
    first_K: Any, element_J: Any, count_J: Any, lead_K: Any, k: int, target: int, left_out: int,
    share_V: Any, below: float, short: int, weight_F: Any, z_V: Any,
) -> None:  # fmt: skip
    """Add the evidence of a context of words without one place."""
    total = followers = 0
    kept = 0.0
    for j in range(first_K[k], first_K[k + 1]):
        count = count_J[j] - (left_out if element_J[j] == target else 0)
        total += count
        followers += count > 0
    if total > 0:
        weight = weight_F[lead_K[k] + kind_of(total, followers)]
        for j in range(first_K[k], first_K[k + 1]):
            element = element_J[j]
            count = count_J[j] - (left_out if element == target else 0)
            if count > 0 and element >= short:
                kept += count - DISCOUNT
            elif count > 0:
                rest = DISCOUNT * followers * share_V[element]
                value = math.log(1 + (count - DISCOUNT) / max(rest, 1e-30))
                z_V[element] += np.float32(weight * value)
        if short < len(z_V):
            z_V[short] += np.float32(weight * evidence_of_tail(kept, DISCOUNT * followers, below))


@compiled
def evidence_at(
    first_M: Any, element_M: Any, suffix_M: Any, evidence_M: Any, kind_M: Any,
    used_M: Any, count_M: Any, discount_L4: Any, kept_M: Any, taken_M: Any,
    first_K: Any, element_J: Any, count_J: Any, lead_K: Any, share_V: Any, prior_V: Any,
    below: float, short: int,
    elements_T: Any, node_T: Any, row_TW: Any, before_TP: Any, kind_TP: Any, measure_F: Any,
    weight_F: Any, left_out: int, position_P: Any, z_PV: Any,
) -> None:  # fmt: skip
    """Write the evidence at some places; 0 outside of the text."""
    for p in range(len(position_P)):
        t = position_P[p]
        z_V = z_PV[p]
        if t < 0 or t >= len(elements_T):
            z_V[:] = 0
            continue
        target = elements_T[t]
        for v in range(short):
            z_V[v] = np.float32(weight_F[1]) * prior_V[v]
        if short < len(z_V):
            z_V[short] = np.float32(weight_F[1] * math.log(max(below, 1e-30)))
        node, less = node_T[t], left_out > 0
        while node > 0:
            if less:
                less = add_left_out(
                    first_M, element_M, evidence_M, used_M, count_M, discount_L4,
                    kept_M, taken_M, below, short, node, kind_M[node], target, weight_F, z_V,
                )  # fmt: skip
            else:
                weight = np.float32(weight_F[kind_M[node]])
                for child in range(first_M[node], first_M[node + 1]):
                    if element_M[child] >= short:
                        break
                    z_V[element_M[child]] += weight * evidence_M[child]
                if short < len(z_V):
                    value = evidence_of_tail(kept_M[node], taken_M[node], below)
                    z_V[short] += np.float32(weight * value)
            node = suffix_M[node]
        for w in range(row_TW.shape[1]):
            if row_TW[t, w] >= 0:
                add_word(
                    first_K, element_J, count_J, lead_K, row_TW[t, w], target, left_out,
                    share_V, below, short, weight_F, z_V,
                )  # fmt: skip
        for k in range(before_TP.shape[1]):
            element = before_TP[t, k]
            if 0 <= element < short:
                value = math.log(1 + 1 / share_V[element])
                z_V[element] += np.float32(measure_F[kind_TP[t, k]] * value)


class TextEvidence:
    """Evidence of counts before every element of their own text.

    Arguments:
        ngram: counts of the text.
        elements_N: the text.
        starts: where documents begin; None: one text.
        longest: elements of the longest contexts; None: all of the counts.
        weight_F: weights of order 0 and of kinds of contexts; None: those of training. Elements
            some measures before, and steps from there, always have those of training.
        leave_out: whether each place is taken out of the counts that predict it.
        width: number of values at a position; with fewer than there are elements, those with the
            highest ids are taken as one, which stands last. None: all elements.
    """

    def __init__(
        self,
        ngram: NGramModel,
        elements_N: Elements,
        starts: Elements | None = None,
        *,
        longest: int | None = LONGEST,
        weight_F: NDArray[np.float64] | None = None,
        leave_out: bool = True,
        width: int | None = None,
    ) -> None:
        trie = ngram.trie
        order = trie.order if longest is None else min(trie.order, longest + 1)
        experts = Experts(ngram, window=order - 1)
        if weight_F is None:
            weight_F = training_weights(experts)
        self.vocab_size = experts.vocab_size
        model = ngram.view(order, "kneser_ney")
        ids_N = as_ids(elements_N, self.vocab_size)
        starts_N = first_places(len(ids_N), starts)
        first_M, element_M, suffix_M, evidence_M, kind_M = experts.tables[:5]
        node_T = np.empty(len(ids_N), np.int32)
        opening = -1 if trie.opening is None else trie.opening
        mark: Any = mark_places
        mark(first_M, element_M, suffix_M, kind_M, ids_N, starts_N, opening, node_T)
        discount_L4 = np.zeros((order, 4))
        discount_L4[:, 1:] = model.discounts_L
        last, end = trie.begin_L[order : order + 2]
        used_M = np.concatenate((trie.ending_M[:last], trie.count_M[last:end]))
        share_V = np.exp(experts.prior_V.astype(np.float64))
        self.width = width or self.vocab_size
        short, kept_M, taken_M = self.vocab_size, *np.zeros((2, 0), np.float32)
        if self.width < self.vocab_size:
            short = self.width - 1
            kept_M, taken_M = np.zeros((2, trie.begin_L[order]), np.float32)
            weigh: Any = weigh_tails
            for length in range(1, order):
                begin, end = trie.begin_L[length : length + 2]
                weigh(
                    first_M, element_M, used_M, discount_L4, begin, end, length,
                    short, kept_M, taken_M,
                )  # fmt: skip
        self._tables = (
            first_M, element_M, suffix_M, evidence_M, kind_M, used_M, trie.count_M, discount_L4,
            kept_M, taken_M, *self._words(ngram, experts),
            share_V, experts.prior_V, float(share_V[short:].sum()), short,
            ids_N, node_T, _rows(ngram, ids_N, starts_N, opening),
            *_measure_places(ngram, ids_N, starts_N, opening),
            np.append(weight_F, np.full(KINDS * STEP_CONTEXTS, STEP_WEIGHT)), int(leave_out),
        )  # fmt: skip

    @staticmethod
    def _words(ngram: NGramModel, experts: Experts) -> tuple[NDArray[Any], ...]:
        words = ngram.words
        if words is None or words.letter_V[0] <= SAID:
            none = np.zeros(0, np.int32)
            return np.zeros(1, np.int32), none, none, np.zeros(0, np.int64)
        first_K = np.append(0, np.cumsum(words.size_K)).astype(np.int32)
        which_K = words.which_K.astype(np.int64)
        lead_K = experts.lead + KINDS * (which_K - np.where(which_K < STEP, WORDS, STEP))
        return first_K, words.element_J, words.count_J, lead_K

    def __call__(self, positions_BT: NDArray[np.int64]) -> NDArray[np.float32]:
        """Values to add to a network's logits before the elements at some positions.

        Their shape is (B, T, width).
        """
        z_PV = np.empty((positions_BT.size, self.width), np.float32)
        write: Any = evidence_at
        write(*self._tables, np.ascontiguousarray(positions_BT).ravel(), z_PV)
        return z_PV.reshape(*positions_BT.shape, self.width)


def training_weights(experts: Experts) -> NDArray[np.float64]:
    """Weights of counts beside a network in training, whose own is 1."""
    weight_F = np.zeros(experts.lead)
    words = experts.lead - KINDS * WORDS
    weight_F[LEAD : min(words, LEAD + KINDS * LONGEST)] = CONTEXT_WEIGHT
    weight_F[words : words + KINDS] = CONTEXT_WEIGHT
    weight_F[0], weight_F[1] = 1.0, ORDER_0_WEIGHT
    return weight_F


def _measure_places(
    ngram: NGramModel, ids_N: NDArray[np.int32], starts_N: NDArray[np.int64], opening: int
) -> tuple[NDArray[Any], ...]:
    """Elements some measures before every element, their kinds, and weights of these.

    There are none in texts without documents of their own.
    """
    words = ngram.words
    if words is None or opening < 0 or not len(words.measure_F):
        return np.empty((len(ids_N), 0), np.int32), np.empty((len(ids_N), 0), np.int16), np.zeros(0)
    return *places_before(ids_N, starts_N, words.letter_V, opening), words.measure_F


def _rows(
    ngram: NGramModel, ids_N: NDArray[np.int32], starts_N: NDArray[np.int64], opening: int
) -> NDArray[np.int32]:
    """Rows of the contexts of words and steps before every element, (N, W).

    -1 where a context is unknown. There are no steps in texts without documents of their own.
    """
    words = ngram.words
    if words is None or not len(words.key_K) or words.letter_V[0] <= SAID:
        return np.empty((len(ids_N), 0), np.int32)
    columns = []
    if (words.which_K < WORDS).any():
        key_N = np.empty(len(ids_N), np.int64)
        word_keys(ids_N, starts_N, words.letter_V, 0, key_N)
        columns.append(key_N)
    if opening >= 0 and (words.which_K >= STEP).any():
        columns += list(step_keys(ids_N, starts_N, words.letter_V, opening).T)
    row_NW = np.full((len(ids_N), len(columns)), -1, np.int32)
    for column, key_N in enumerate(columns):
        row_N = np.minimum(np.searchsorted(words.key_K, key_N), len(words.key_K) - 1)
        row_NW[:, column] = np.where(words.key_K[row_N] == key_N, row_N, -1)
    return row_NW

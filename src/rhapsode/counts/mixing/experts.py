"""Counts as experts, mixed into the distribution of a network.

Every known context of the next element is an expert: the last 1 to 7 elements, what is there of a
word, contexts among the elements that were read, the element at the same place some measures
before, the steps from there, and the words that begin the document. The mixture is log-linear,

    log p(y) = w_network log p_network(y) + w_0 log p_0(y) + sum_c w_c e_c(y) - log Z,

where p_0 are relative frequencies, and the evidence e_c(y) of a context c is how much likelier it
makes y than the next shorter context does, in nats; 0 where y never followed c. A weight belongs to
a kind of context: its length, how often it was seen and how many elements followed it.

Log-linear interpolation: Klakow, "Log-linear interpolation of language models", ICSLP 1998; weights
chosen by contexts: Mahoney, "Adaptive weighing of context models for lossless data compression",
2005.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.compiling import cores
from rhapsode.counts.chunks import Elements, as_ids
from rhapsode.counts.mixing import ngram_evidence as kernels
from rhapsode.counts.mixing.ngram_measures import (
    HIGH,
    MOST_REMEMBERED,
    STEP_CONTEXTS,
    WIDTH,
    WORDS,
)
from rhapsode.counts.mixing.triggers import PARTS
from rhapsode.counts.mixing.word_contexts import STEP, WordContexts
from rhapsode.counts.ngram import NGramModel

Scores = NDArray[np.float32]

# Elements read that are remembered: of a document, and where counts adapt.
OF_DOCUMENT, ADAPTING = MOST_REMEMBERED, 1 << 14
# Numbers of distributions from which a thread of its own pays.
LEAST_WORK = 1 << 18
# Step of the weights along the gradient of an element's log-probability, where they adapt.
RATE = 0.002


@dataclass(frozen=True)
class ExpertState:
    """State of rows: their contexts.

    Arguments:
        node_B: place of each row in the n-gram trie, int32.
        word_BW: hashes of the word so far and of the word before it, and the state of measures or
            the words that began the document, int64.
        recent_BN: elements read, a ring; without columns none are remembered.
        head_BLS: the last place after each context of elements read, by length and hash.
        before_BLN: the place before each place.
        read_B: number of elements remembered, int64.
        weight_BF: weights that adapt, one row each; None: those of the mixture.
    """

    node_B: NDArray[np.int32]
    word_BW: NDArray[np.int64]
    recent_BN: NDArray[np.int32]
    head_BLS: NDArray[np.int32]
    before_BLN: NDArray[np.int32]
    read_B: NDArray[np.int64]
    weight_BF: NDArray[np.float64] | None = None

    def arrays(self) -> tuple[Any, ...]:
        """All but the weights, as compiled code takes them."""
        return (
            self.node_B, self.word_BW, self.recent_BN, self.head_BLS, self.before_BLN, self.read_B
        )  # fmt: skip

    def select(self, rows_R: NDArray[np.int64]) -> ExpertState:
        """The state of some rows, in that order."""
        weight_BF = None if self.weight_BF is None else self.weight_BF[rows_R]
        node, words, recent, head, before, read = (array[rows_R] for array in self.arrays())
        return ExpertState(node, words, recent, head, before, read, weight_BF)

    def fork(self) -> ExpertState:
        """A copy."""
        return self.select(np.arange(len(self.node_B)))

    @classmethod
    def join(cls, states: Sequence[ExpertState]) -> ExpertState:
        """The rows of several states, in order."""
        weights = [state.weight_BF for state in states if state.weight_BF is not None]
        columns = zip(*(state.arrays() for state in states), strict=True)
        node, words, recent, head, before, read = map(np.concatenate, columns)
        weight_BF = np.concatenate(weights) if weights else None
        return cls(node, words, recent, head, before, read, weight_BF)


class Experts:
    """Counts whose evidence is added to the logits of a network.

    Arguments:
        ngram: the counts; all orders of its trie are used.
        weight_F: the weights, see `weight_names`; None: not fitted yet.
        window: number of last elements that count; 0 for all.
        remember: whether elements read are contexts, too.
        keep: whether they are kept from one document to the next, and weights adapt.

    Raises:
        ValueError: there are more or fewer weights.
    """

    def __init__(
        self,
        ngram: NGramModel,
        weight_F: NDArray[np.float64] | None = None,
        *,
        window: int = 0,
        remember: bool = False,
        keep: bool = False,
    ) -> None:
        trie = ngram.trie
        order = min(trie.order, window + 1) if window else trie.order
        model = ngram.view(order, "kneser_ney")
        self.vocab_size = trie.vocab_size
        self.opening = trie.opening
        self.remember, self.keep = remember, keep
        self.lead = kernels.LEAD + kernels.KINDS * (order - 1 + WORDS)
        first_M, element_M, suffix_M, share_M, rest_M = model.arrays
        evidence_M = np.zeros(len(share_M), np.float32)
        kind_M = np.zeros(len(rest_M), np.int16)
        for level in range(1, order):
            begin, end = trie.begin_L[level : level + 2]
            kernels.weigh_level(
                first_M, suffix_M, trie.count_M, share_M, rest_M, begin, end,
                kernels.LEAD + kernels.KINDS * (level - 1), evidence_M, kind_M,
            )  # fmt: skip
        share_V = share_M[1 : 1 + self.vocab_size]
        words = None if window else ngram.words
        self.measure_F = np.zeros(0) if words is None else words.measure_F
        """Weights of elements some measures before, as training has them."""
        self.steps = 0
        """Number of weights of contexts of steps."""
        if words is not None and (words.which_K >= STEP).any():
            self.steps = kernels.KINDS * STEP_CONTEXTS
        no_letters = np.zeros(self.vocab_size, np.int64)
        self.letter_V = no_letters if words is None else words.letter_V
        contexts = self._contexts(words, share_V, order)
        self.tables = (first_M, element_M, suffix_M, evidence_M, kind_M, *contexts)
        """Arrays for compiled code, in the order in which it takes them."""
        self.prior_V = np.log(share_V).astype(np.float32)
        needed = self.size if remember else self.lead
        self.weight_F = np.zeros(needed) if weight_F is None else weight_F
        if len(self.weight_F) not in {needed, self.size}:
            raise ValueError(f"{needed} weights are needed, not {len(self.weight_F)}")

    def _contexts(
        self, words: WordContexts | None, share_V: NDArray[np.float64], order: int
    ) -> tuple[NDArray[Any], ...]:
        """The table of contexts of words; it is empty without them."""
        if words is None:
            none = np.zeros(0, np.int32)
            return (
                np.zeros(2, np.int32), np.zeros(0, np.int64), np.zeros(1, np.int32), none,
                np.zeros(0, np.float32), np.zeros(0, np.int16),
            )  # fmt: skip
        first_K = np.append(0, np.cumsum(words.size_K)).astype(np.int32)
        evidence_J = np.empty(len(words.element_J), np.float32)
        kind_K = np.zeros(len(words.key_K), np.int16)
        if words.letter_V[0] <= kernels.SAID:
            evidence_J[:] = words.count_J / PARTS
        else:
            which_K = words.which_K.astype(np.int64)
            lead_K = np.where(
                which_K < STEP,
                kernels.LEAD + kernels.KINDS * (order - 1 + which_K),
                self.measures.stop + kernels.KINDS * (which_K - STEP),
            )
            kernels.weigh_contexts(
                first_K, words.element_J, words.count_J, share_V, lead_K, evidence_J, kind_K
            )
        bits = max(1, len(words.key_K).bit_length())
        edges = np.arange((1 << bits) + 1, dtype=np.int64) << (62 - bits)
        bucket_B = np.searchsorted(words.key_K, edges).astype(np.int32)
        return bucket_B, words.key_K, first_K, words.element_J, evidence_J, kind_K

    @property
    def remembered(self) -> int:
        """Number of elements read that are remembered."""
        return 0 if not self.remember else ADAPTING if self.keep else OF_DOCUMENT

    @property
    def size(self) -> int:
        """Number of weights, with those of elements read."""
        key_K: Any = self.tables[kernels.KEYS]
        said = 0 if not self.has_words else 3 if len(key_K) else 2
        return int(self.measures.stop) + self.steps + kernels.KINDS * said

    @property
    def measures(self) -> slice:
        """Which weights are those of elements some measures before."""
        begin = self.lead + kernels.KINDS * kernels.LENGTHS
        return slice(begin, begin + len(self.measure_F))

    @property
    def has_words(self) -> bool:
        """True if elements are words or parts of words."""
        return bool(self.letter_V[0] <= kernels.SAID)

    @property
    def has_parts(self) -> bool:
        """True if there are contexts of parts of words."""
        key_K: Any = self.tables[kernels.KEYS]
        is_letter_V = (self.letter_V > 0) & (self.letter_V < HIGH)
        return len(key_K) > 0 and bool(is_letter_V.any())

    @property
    def measured(self) -> bool:
        """True if elements are divided into measures."""
        return len(self.measure_F) > 0

    @property
    def width(self) -> int:
        """Integers of the state of words and measures."""
        key_K: Any = self.tables[kernels.KEYS]
        if self.remember and self.has_words and len(key_K):
            return kernels.BEGUN_WIDTH
        return WIDTH if self.measured else WORDS

    def start(self, rows: int) -> ExpertState:
        """State of rows that have read nothing."""
        size = self.remembered
        chains = (rows, kernels.LENGTHS, size)
        weight_BF = np.tile(self.weight_F, (rows, 1)) if self.keep else None
        return ExpertState(
            np.zeros(rows, np.int32),
            np.zeros((rows, self.width), np.int64),
            np.zeros((rows, size), np.int32),
            np.full(chains, -1, np.int32),
            np.full(chains, -1, np.int32),
            np.zeros(rows, np.int64),
            weight_BF,
        )

    @property
    def compiled(self) -> tuple[Any, ...]:
        """Arrays and numbers for compiled code that writes."""
        return (*self.tables, self.letter_V, self.prior_V, self.lead)

    def read(self, elements_BT: Elements, rows_R: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        """State and weights of some rows, for compiled code that writes.

        Raises:
            ValueError: an element is out of range.
        """
        nothing = np.zeros((len(elements_BT), 0, self.vocab_size), np.float32)
        state = self.mix(elements_BT, self.start(len(elements_BT)), nothing)[1].select(rows_R)
        weight_BF = state.weight_BF
        if weight_BF is None:
            weight_BF = np.tile(self.weight_F, (len(rows_R), 1))
        return (*state.arrays(), weight_BF)

    def mix(
        self,
        elements_BT: Elements,
        state: ExpertState,
        logits_BUV: Scores,
        *,
        targets_BT: Elements | None = None,
        learn_BT: NDArray[np.bool_] | None = None,
        reset_BT: NDArray[np.bool_] | None = None,
    ) -> tuple[Scores, ExpertState]:
        """Read elements and mix a network's distributions after them.

        Arguments:
            elements_BT: ids that are read.
            state: before them; it is changed in place.
            logits_BUV: logits of the network after the last U of them; -inf for what may not
                follow.
            targets_BT: elements after each, from which weights learn if they adapt.
            learn_BT: where they learn; None: nowhere.
            reset_BT: True where a row begins a document with the element. None: nowhere.

        Returns:
            Log-probabilities of the mixture (B, U, V), and the state.

        Raises:
            ValueError: an element is out of range.
        """
        mixed_BUV = np.array(logits_BUV, dtype=np.float32, order="C")
        score_BT = np.empty((len(mixed_BUV), 0), np.float32)
        given: dict[str, Any] = {
            "targets_BT": targets_BT,
            "learn_BT": learn_BT,
            "reset_BT": reset_BT,
        }
        return mixed_BUV, self._mix(elements_BT, state, mixed_BUV, score_BT, **given)

    def score(
        self,
        elements_BT: Elements,
        state: ExpertState,
        log_prob_BTV: Scores,
        targets_BT: Elements,
        *,
        learn_BT: NDArray[np.bool_] | None = None,
        reset_BT: NDArray[np.bool_] | None = None,
    ) -> tuple[Scores, ExpertState]:
        """Read elements and score those after each.

        Rows are shared between the threads that the process may use.

        Arguments:
            elements_BT: ids that are read.
            state: before them; it is changed in place.
            log_prob_BTV: of a network, normalised; -inf for what may not follow.
            targets_BT: elements after each.
            learn_BT: where weights that adapt learn from them; None: nowhere.
            reset_BT: True where a row begins a document with the element. None: nowhere.

        Returns:
            Log-probabilities of the targets by the mixture (B, T), and the state.

        Raises:
            ValueError: an element is out of range.
        """
        score_BT = np.empty(np.shape(targets_BT), np.float32)
        z_BTV = np.ascontiguousarray(log_prob_BTV, dtype=np.float32)
        given: dict[str, Any] = {
            "targets_BT": targets_BT,
            "learn_BT": learn_BT,
            "reset_BT": reset_BT,
        }
        return score_BT, self._mix(elements_BT, state, z_BTV, score_BT, **given)

    def _mix(
        self,
        elements_BT: Elements,
        state: ExpertState,
        z_BUV: Scores,
        score_BT: Scores,
        *,
        targets_BT: Elements | None,
        learn_BT: NDArray[np.bool_] | None,
        reset_BT: NDArray[np.bool_] | None,
    ) -> ExpertState:
        ids_BT = as_ids(elements_BT, self.vocab_size)
        learns = learn_BT is not None and targets_BT is not None and state.weight_BF is not None
        none = np.zeros(ids_BT.shape, np.bool_)
        arrays = (
            *state.arrays(),
            self.weight_F[None] if state.weight_BF is None else state.weight_BF,
            ids_BT,
            ids_BT if targets_BT is None else as_ids(targets_BT, self.vocab_size),
            none if reset_BT is None else _flags(reset_BT, ids_BT.shape),
            _flags(learn_BT, ids_BT.shape) if learns else none,
        )
        mix_rows: Any = kernels.mix_rows

        def mix(rows: slice) -> None:
            own = (array if len(array) < len(ids_BT) else array[rows] for array in arrays)
            rate = RATE if learns else 0.0
            mix_rows(*self.compiled, *own, self.keep, rate, z_BUV[rows], score_BT[rows])

        parts = min(len(ids_BT), cores(), z_BUV.size // LEAST_WORK)
        if parts < 2:
            mix(slice(None))
            return state
        edges = [part * len(ids_BT) // parts for part in range(parts + 1)]
        with ThreadPoolExecutor(parts) as pool:
            list(pool.map(mix, map(slice, edges, edges[1:])))
        return state


def _flags(flags_BT: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.array(np.broadcast_to(flags_BT, shape), dtype=bool, order="C")

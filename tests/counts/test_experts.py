"""Experts of counts: the mixture is its formula, in any pieces and any company; its fit is the minimum of its loss."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rhapsode.bundle import log_softmax
from rhapsode.counts.mixing import expert_weights
from rhapsode.counts.mixing import ngram_evidence as kernels
from rhapsode.counts.mixing.expert_weights import HOLD, Evidence, fit_weights, fixed_weights
from rhapsode.counts.mixing.experts import OF_DOCUMENT, RATE, Experts, ExpertState
from rhapsode.counts.mixing.word_contexts import WordContexts
from rhapsode.counts.ngram import NGramModel
from tests.counts.ngram_reference import Reference, documents_of

PROVE = settings(derandomize=True, deadline=None, max_examples=40)
VOCABULARY = 6
# The elements 1 and 4 are one letter in two cases, 2 and 3 are letters, 0 and 5 end a word.
LETTERS = np.array([0, 7, 8, 9, 7, 0])
# The element 0 begins a measure, and 5 names a place in one.
MARKS = np.array([-2, 7, 8, 9, 7, -1])
# The same, and 1, 2 and 4 have heights.
HEIGHTS = {1: 4, 2: 5, 4: 9}
HIGH_MARKS = np.array([-2, (1 << 32) + 4, (1 << 32) + 5, 9, (1 << 32) + 9, -1])
# The elements 2 and 4 are one word in two cases.
FORMS = (0, 1, 2, 3, 2, 5)
TEXT = np.random.default_rng(0).integers(36, size=400) // 6 * np.tile([1, 0, 1, 1], 100)

Gram = tuple[int, ...]


@dataclass(frozen=True)
class Counted:
    """A text that was counted, and how."""

    elements: Sequence[int]
    starts: Sequence[int] | None = None
    order: int = 4
    opening: int | None = None
    words: bool = True
    window: int = 0
    remember: bool = False
    keep: bool = False
    measures: bool = False
    said: bool = False
    heights: bool = False

    @property
    def letter_V(self) -> NDArray[np.int64]:
        if self.said:
            return -16 - np.array(FORMS)
        if self.measures:
            return HIGH_MARKS if self.heights else MARKS
        return LETTERS

    def model(self) -> NGramModel:
        found = NGramModel.learn(
            np.array(self.elements, dtype=np.int64), VOCABULARY, order=self.order,
            starts=self.starts, opening=self.opening,
        )  # fmt: skip
        if not self.words:
            return found
        words = WordContexts.learn(np.array(self.elements), self.letter_V, starts=self.starts)
        return NGramModel(found.trie, found.order, found.smoothing, words)

    def experts(self, weight_F: NDArray[np.float64] | None = None) -> Experts:
        return Experts(
            self.model(), weight_F, window=self.window, remember=self.remember, keep=self.keep
        )


def uneven(experts: Experts, seed: int = 0) -> NDArray[np.float64]:
    """A weight of its own for every kind of context."""
    return np.random.default_rng(seed).uniform(0.1, 0.9, size=experts.size)


def logits_of(rows: int, time: int, seed: int = 0) -> NDArray[np.float32]:
    """Logits of a network that are not normalised."""
    random = np.random.default_rng(seed)
    return 2 * random.normal(size=(rows, time, VOCABULARY)).astype(np.float32) + 3


# The formula once more, slow and obvious


def kind_of(count: int, followers: int) -> int:
    often = (count >= 2) + (count >= 5)
    wide = (followers >= 2) + (followers >= 3) + (followers >= 6)
    return 4 * often + wide


def word_before(
    history: Gram, letter_V: NDArray[np.int64] = LETTERS
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The letters of the word so far, and of the word before it."""
    words: list[tuple[int, ...]] = [()]
    for element in history:
        if 0 < letter_V[element] < 1 << 32:
            words[-1] += (int(letter_V[element]),)
        elif words[-1]:
            words.append(())
    return words[-1], words[-2] if len(words) > 1 else ()


def last_height(history: Gram) -> int | None:
    """The last height that was read in the measures so far."""
    first = max(history.index(0) if 0 in history else 0, len(history) - 32)
    found = [HEIGHTS[element] for element in history[first:] if element in HEIGHTS]
    return found[-1] if found else None


def agreed(history: Gram, place: int, element: int, before: int) -> int:
    """Steps in a row that agree after an element, with those before it."""
    own, there = HEIGHTS.get(element), HEIGHTS.get(history[place])
    if own is None and there is None:
        return before
    last, begin = last_height(history), last_height(history[:place])
    if own is None or there is None or last is None or begin is None:
        return 0
    return min(before + 1, 3) if abs((own - last) - (there - begin)) <= 1 else 0


def place_before(history: Gram, period: int) -> tuple[int | None, int, int]:
    """The place that corresponds to the next one some measures before.

    With it, how many elements were equal there, and how many steps agreed.
    """
    begins: list[int] = []
    place, equal, steps = None, 0, 0
    for t, element in enumerate(history):
        same = place is not None and history[place] == element
        equal = equal + 1 if same else 0
        steps = 0 if place is None else agreed(history[:t], place, element, steps)
        if element == 0:
            begins.append(t + 1)
        begin = begins[-1 - period] if len(begins) > period else None
        if element == 0:
            place = begin
        elif same:
            place += 1
        elif element == 5:
            measure = () if begin is None else history[begin : begins[-period]]
            place = begin + measure.index(element) + 1 if element in measure else None
        elif place is not None and history[place] not in {0, 5}:
            place += 1
    return place, equal, steps


# Periods of contexts of steps, and whether they contain heights.
STEPS = [(period, high) for high in (True, False) for period in (1, 2, 4, 8)]


def step_context(history: Gram, period: int, high: bool) -> Any:
    """The context of steps of a period; None without one."""
    place, _, steps = place_before(history, period)
    if place is None:
        return None
    known = history[place], history.count(0) % 16
    if not high:
        return known
    return *known, steps, last_height(history), last_height(history[:place])


class Oracle:
    """The mixture in dictionaries, from a history alone."""

    def __init__(self, counted: Counted, weight_F: NDArray[np.float64]) -> None:
        self.counted, self.weight_F = counted, weight_F
        documents = documents_of(counted.elements, counted.starts)
        order = min(counted.order, counted.window + 1) if counted.window else counted.order
        smooth = Reference(documents, VOCABULARY, order, "kneser_ney", opening=counted.opening)
        self.smooth, self.order = smooth, order
        self.after: tuple[dict[Any, Counter[int]], ...] = ({}, {})
        has_letters = counted.words and not counted.said and not counted.window
        for document in documents if has_letters else ():
            for t, element in enumerate(document):
                so_far, before = word_before(document[:t], counted.letter_V)
                for found, key in zip(self.after, (so_far, (so_far, before)), strict=True):
                    found.setdefault(key, Counter())[element] += 1
        self.stepped: list[dict[Any, Counter[int]]] = [{} for _ in STEPS]
        has_heights = counted.measures and counted.heights
        for document in documents if has_letters and has_heights else ():
            for t, element in enumerate(document):
                for found, step in zip(self.stepped, STEPS, strict=True):
                    key = step_context(document[:t], *step)
                    if key is not None:
                        found.setdefault(key, Counter())[element] += 1
        self.prior_V = [smooth.probability((), element) for element in range(VOCABULARY)]
        self.lead = 2 + 12 * (order - 1 + 2)

    def evidence(
        self, history: Gram, memory: Gram, own_V: NDArray[Any]
    ) -> list[tuple[int, int, float]]:
        """Weight, element and nats of all that is known after a history.

        Arguments:
            history: since the last reset.
            memory: elements that are remembered.
            own_V: the network's log-probabilities.
        """
        found = []
        raw = self.smooth.raw
        for length in range(1, self.order):
            context = history[len(history) - length :]
            if len(history) < length or not any(raw[(*context, e)] for e in range(VOCABULARY)):
                continue
            followers = [e for e in range(VOCABULARY) if raw[(*context, e)]]
            rest = self.rest(context)
            kind = 2 + 12 * (length - 1) + kind_of(raw[context], len(followers))
            for element in followers:
                shorter = self.smooth.probability(context[1:], element)
                nats = math.log(self.smooth.probability(context, element) / (rest * shorter))
                found.append((kind, element, nats))
        so_far, before = word_before(history, self.counted.letter_V)
        for which, key in enumerate((so_far, (so_far, before))):
            counts = self.after[which].get(key)
            if counts:
                kind = 2 + 12 * (self.order - 1 + which) + kind_of(counts.total(), len(counts))
                for element, count in counts.items():
                    below = 0.5 * len(counts) * self.prior_V[element]
                    found.append((kind, element, math.log(1 + (count - 0.5) / below)))
        if not self.counted.remember:
            return found
        first = max(0, len(memory) - OF_DOCUMENT + 1)  # a ring forgets its oldest, too
        for length in range(1, 7):
            context = memory[len(memory) - length :]
            if len(memory) < length:
                break
            places = [
                t for t in range(first + length, len(memory)) if memory[t - length : t] == context
            ]
            counts = Counter(memory[t] for t in places[-64:])
            kind = self.lead + 12 * (length - 1) + kind_of(counts.total(), len(counts))
            for element, count in counts.items():
                below = 0.5 * len(counts) * math.exp(own_V[element])
                found.append((kind, element, math.log(1 + (count - 0.5) / below)))
        if self.counted.said and self.counted.words and not self.counted.window:
            found += self.said(memory, own_V)
        elif self.counted.measures and self.counted.words and not self.counted.window:
            found += self.before(history)
            steps = self.steps(history)
            found += [(self.lead + 12 * 6 + 320 + kind, *rest) for kind, *rest in steps]
        return found

    def said(self, memory: Gram, own_V: NDArray[Any]) -> list[tuple[int, int, float]]:
        """The same for the words that were said."""
        last = memory[-512:]
        late = len(last) >= 64
        early = {form for e in memory[:16][-512:] for form in (e, FORMS[e])}
        counts: Counter[int] = Counter()
        for element in last:
            if element > 1:
                counts.update({element, FORMS[element]})
        found = []
        for element, count in counts.items():
            below = 0.5 * len(counts) * math.exp(own_V[element])
            kind = self.lead + 12 * 6 + 4 * (min(count, 3) - 1) + 2 * (element in early) + late
            found.append((kind, element, math.log(1 + (count - 0.5) / below)))
        return found

    def before(self, history: Gram) -> list[tuple[int, int, float]]:
        """The same for the places some measures before."""
        found = []
        for number, period in enumerate((1, 2, 4, 8, 16)):
            place, equal, _ = place_before(history, period)
            if place is not None:
                element = history[place]
                often = sum(equal >= edge for edge in (1, 3, 12))
                measure = (history.count(0) - 1) % 16
                kind = self.lead + 12 * 6 + 64 * number + 4 * measure + often
                found.append((kind, element, math.log(1 + 1 / self.prior_V[element])))
        return found

    def steps(self, history: Gram, left_out: int | None = None) -> list[tuple[int, int, float]]:
        """The same for the steps from there; kinds are counted from 0.

        One occurrence of an element may be left out. Contexts that occurred once are not kept.
        """
        found = []
        for number, (step, after) in enumerate(zip(STEPS, self.stepped, strict=True)):
            counts = Counter(after.get(step_context(history, *step), {}))
            if counts.total() < 2:
                continue
            if left_out is not None:
                counts[left_out] -= 1
            counts = +counts
            kind = 12 * number + kind_of(counts.total(), len(counts))
            for element, count in counts.items():
                below = 0.5 * len(counts) * self.prior_V[element]
                found.append((kind, element, math.log(1 + (count - 0.5) / below)))
        return found

    def rest(self, context: Gram) -> float:
        """What a context leaves to the next shorter one."""
        smooth = self.smooth
        grams = [(*context, element) for element in range(VOCABULARY)]
        total = sum(smooth.used(gram) for gram in grams)
        return 1 - sum(smooth.discounted(gram) for gram in grams) / total

    def after_logits(
        self, history: Gram, memory: Gram, logits_V: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Log-probabilities of the mixture."""
        logits_V = logits_V.astype(np.float64)
        own_V = logits_V - np.logaddexp.reduce(logits_V)
        z_V = self.weight_F[0] * own_V + self.weight_F[1] * np.log(self.prior_V)
        for kind, element, nats in self.evidence(history, memory, own_V):
            z_V[element] += self.weight_F[kind] * nats
        mixed_V: NDArray[np.float64] = z_V - np.logaddexp.reduce(z_V)
        return mixed_V


ELEMENTS = st.integers(0, VOCABULARY - 1)
CASES = st.builds(
    Counted,
    elements=st.lists(ELEMENTS, min_size=1, max_size=60),
    starts=st.none() | st.just((0,)) | st.just((0, 1)),
    order=st.integers(1, 5),
    opening=st.none() | st.just(0),
    words=st.booleans(),
    window=st.sampled_from([0, 0, 1, 3]),
    remember=st.booleans(),
    keep=st.booleans(),
    measures=st.booleans(),
    said=st.booleans(),
    heights=st.booleans(),
)
PHRASE = (0, 5, 1, 2, 0, 5, 1, 3, 0, 5, 1, 2, 0, 4, 5, 1, 2, 5, 0, 5, 1, 3, 0, 1, 5, 2, 5, 0, 5, 1)

SOME = tuple(int(element) for element in TEXT[:60])


@PROVE
@given(
    case=CASES, read=st.lists(ELEMENTS, min_size=1, max_size=30), resets=st.sets(st.integers(0, 29))
)
@example(Counted(SOME, (0, 20, 41), 5, 0, remember=True), list(SOME[:30]), {0, 12})
@example(Counted(SOME, (0, 20, 41), 5, 0, remember=True, keep=True), list(SOME[:30]), {0, 12})
@example(Counted(SOME, window=2, words=False), list(SOME[:30]), set())
@example(Counted(SOME, (0, 20, 41), 3, 0, remember=True, said=True), list(SOME[:35]), {0, 1})
@example(
    Counted(SOME, (0, 20, 41), 3, 0, remember=True, measures=True),
    list(PHRASE),
    set(),
)
@example(
    Counted(3 * PHRASE, (0, 30, 60), 3, 0, remember=True, measures=True, heights=True),
    list(PHRASE),
    set(),
)
@example(
    Counted(3 * PHRASE, (0, 30, 60), 3, remember=True, keep=True, measures=True, heights=True),
    list(PHRASE),
    {12},
)
def test_the_mixture_is_its_formula(case: Counted, read: list[int], resets: set[int]) -> None:
    weight_F = uneven(case.experts())
    experts, oracle = case.experts(weight_F), Oracle(case, weight_F)
    logits_1UV = logits_of(1, len(read))
    reset_1T = np.isin(np.arange(len(read)), list(resets))[None]
    found_1UV, state = experts.mix(
        np.array([read]), experts.start(1), logits_1UV, reset_BT=reset_1T
    )
    start = kept = 0
    for t in range(len(read)):
        start = t if t in resets else start
        kept = kept if case.keep else start
        history, memory = tuple(read[start : t + 1]), tuple(read[kept : t + 1])
        wanted_V = oracle.after_logits(history, memory, logits_1UV[0, t])
        np.testing.assert_allclose(found_1UV[0, t], wanted_V, atol=1e-4)
    np.testing.assert_allclose(np.exp(found_1UV, dtype=np.float64).sum(axis=-1), 1, atol=1e-6)
    assert state.read_B[0] == len(read) - kept


def test_a_long_document_is_remembered_as_far_back_as_there_is_room() -> None:
    case = Counted(SOME, remember=True)
    weight_F = uneven(case.experts())
    experts, oracle = case.experts(weight_F), Oracle(case, weight_F)
    random = np.random.default_rng(5)
    read = tuple(random.integers(VOCABULARY, size=2 * OF_DOCUMENT + 100).tolist())
    for size in (OF_DOCUMENT - 1, OF_DOCUMENT, OF_DOCUMENT + 1, len(read)):
        logits_1UV = logits_of(1, 1, size)
        found_1UV, _ = experts.mix(np.array([read[:size]]), experts.start(1), logits_1UV)
        wanted_V = oracle.after_logits(read[:size], read[:size], logits_1UV[0, 0])
        np.testing.assert_allclose(found_1UV[0, 0], wanted_V, atol=1e-4)
    logits_1UV, told = logits_of(1, 1), set()
    for size in range(OF_DOCUMENT - 4, OF_DOCUMENT + 3):
        rare = (1, 2, *random.choice([0, 3, 4, 5], size=size - 3).tolist(), 1)
        found_1UV, _ = experts.mix(np.array([rare]), experts.start(1), logits_1UV)
        wanted_V = oracle.after_logits(rare, rare, logits_1UV[0, 0])
        np.testing.assert_allclose(found_1UV[0, 0], wanted_V, atol=1e-4)
        told.add(round(float(wanted_V[2]), 1))
    assert len(told) > 1  # only some remember what followed the first element


# Pieces and company

KINDS = {
    "orders": Counted(SOME, words=False),
    "words": Counted(SOME),
    "of documents": Counted(SOME, (0, 30), opening=0, remember=True),
    "adapting": Counted(SOME, (0, 30), opening=0, remember=True, keep=True),
    "window": Counted(SOME, window=2),
    "measures": Counted(SOME, (0, 30), opening=0, remember=True, measures=True),
    "steps": Counted(SOME, (0, 30), opening=0, remember=True, measures=True, heights=True),
}


def mixed_in(
    experts: Experts,
    ids_BT: NDArray[Any],
    state: ExpertState,
    cuts: Sequence[int] = (),
    **more: Any,
) -> tuple[NDArray[np.float32], ExpertState]:
    """The mixture after each element, read in pieces; adapting counts learn from what they read."""
    rows, time = ids_BT.shape
    asked = {
        "targets_BT": np.roll(ids_BT, -1, axis=1),
        "learn_BT": np.ones(ids_BT.shape, dtype=np.bool_),
        "reset_BT": np.random.default_rng(2).random(ids_BT.shape) < 0.15,
        "logits_BUV": logits_of(rows, time, 4),
        **more,
    }
    parts = []
    for start, end in zip([0, *cuts], [*cuts, time], strict=True):
        part = {name: array[:, start:end] for name, array in asked.items()}
        found_BUV, state = experts.mix(ids_BT[:, start:end], state, **part)
        parts.append(found_BUV)
    return np.concatenate(parts, axis=1), state


def same(one: ExpertState, other: ExpertState) -> None:
    for each, its in zip(
        (*one.arrays(), one.weight_BF), (*other.arrays(), other.weight_BF), strict=True
    ):
        np.testing.assert_array_equal(each, its)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_scores_are_those_of_the_mixture(
    kind: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rhapsode.counts.mixing.experts.LEAST_WORK", 1)
    monkeypatch.setattr("rhapsode.counts.mixing.experts.cores", lambda: threads)
    experts = KINDS[kind].experts()
    experts.weight_F = uneven(experts)
    ids_BT = np.random.default_rng(1).integers(VOCABULARY, size=(3, 24))
    log_prob_BTV = logits_of(3, 24, 4)
    log_prob_BTV -= np.log(np.exp(log_prob_BTV).sum(-1, keepdims=True))
    wanted_BTV, after = mixed_in(experts, ids_BT, experts.start(3), logits_BUV=log_prob_BTV)
    targets_BT = np.roll(ids_BT, -1, axis=1)
    kept_BTV = log_prob_BTV.copy()
    found_BT, state = experts.score(
        ids_BT,
        experts.start(3),
        log_prob_BTV,
        targets_BT,
        learn_BT=np.ones(ids_BT.shape, dtype=np.bool_),
        reset_BT=np.random.default_rng(2).random(ids_BT.shape) < 0.15,
    )
    np.testing.assert_array_equal(log_prob_BTV, kept_BTV)
    wanted_BT = np.take_along_axis(wanted_BTV, targets_BT[..., None], -1)[..., 0]
    np.testing.assert_allclose(found_BT, wanted_BT, atol=1e-4)
    for one, other in zip(state.arrays(), after.arrays(), strict=True):
        np.testing.assert_array_equal(one, other)
    if after.weight_BF is not None:
        assert state.weight_BF is not None
        np.testing.assert_allclose(state.weight_BF, after.weight_BF, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@PROVE
@given(cuts=st.sets(st.integers(1, 23)), seed=st.integers(0, 99))
@example(cuts=set(range(1, 24)), seed=0)
def test_pieces_of_any_size_are_the_whole(kind: str, cuts: set[int], seed: int) -> None:
    experts = KINDS[kind].experts()
    experts.weight_F = uneven(experts, seed)
    ids_BT = np.random.default_rng(seed).integers(VOCABULARY, size=(3, 24))
    wanted_BUV, whole = mixed_in(experts, ids_BT, experts.start(3))
    found_BUV, state = mixed_in(experts, ids_BT, experts.start(3), sorted(cuts))
    np.testing.assert_array_equal(found_BUV, wanted_BUV)
    same(state, whole)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_and_copies_go_on_as_if_they_were_alone(kind: str) -> None:
    experts = KINDS[kind].experts()
    experts.weight_F = uneven(experts)
    ids_BT = TEXT[:96].reshape(4, 24)
    before_BUV, state = mixed_in(experts, ids_BT, experts.start(4))
    rows_R = np.array([2, 0, 2, 3])
    more_RT, other_RT = TEXT[100:148].reshape(4, 12), TEXT[200:248].reshape(4, 12)
    reset_RT = np.zeros((4, 12), dtype=np.bool_)
    together_RUV, after = mixed_in(experts, more_RT, state.select(rows_R), reset_BT=reset_RT)
    kept, twin = state.fork(), state.fork()
    mixed_in(experts, other_RT, twin)
    same(state, kept)
    logits_BUV, logits_RUV = logits_of(4, 24, 4), logits_of(4, 12, 4)
    reset_BT = np.random.default_rng(2).random(ids_BT.shape) < 0.15
    ends = []
    for row, its in enumerate(rows_R):
        one, own = slice(row, row + 1), slice(its, its + 1)
        alone_1UV, alone = mixed_in(
            experts,
            ids_BT[own],
            experts.start(1),
            reset_BT=reset_BT[own],
            logits_BUV=logits_BUV[own],
        )
        np.testing.assert_array_equal(alone_1UV, before_BUV[own])
        same(alone, state.select(rows_R[one]))
        alone_1UV, alone = mixed_in(
            experts, more_RT[one], alone, reset_BT=reset_RT[one], logits_BUV=logits_RUV[one]
        )
        np.testing.assert_array_equal(alone_1UV, together_RUV[one])
        ends.append(alone)
    same(ExpertState.join(ends), after)
    assert len(np.unique(together_RUV[:, 0].round(4), axis=0)) > 1


# What is remembered


@pytest.mark.parametrize("keep", [False, True])
def test_documents_see_each_other_only_where_counts_adapt(keep: bool) -> None:
    experts = Counted(SOME, (0, 30), opening=0, remember=True, keep=keep).experts()
    experts.weight_F = uneven(experts)
    one_1T = np.array([[0, 3, 2, 3, 2, 3]])
    reset_1T = np.arange(6)[None] == 0
    alone_1UV, _ = mixed_in(experts, one_1T, experts.start(1), reset_BT=reset_1T)
    _, read = mixed_in(experts, np.array([[0, 2, 3, 1, 1, 2]]), experts.start(1), reset_BT=reset_1T)
    after_1UV, _ = mixed_in(experts, one_1T, read, reset_BT=reset_1T)
    assert np.array_equal(after_1UV, alone_1UV) != keep


def test_weights_follow_the_gradient_of_a_target_that_may_follow() -> None:
    case = Counted(SOME, remember=True, keep=True)
    weight_F = uneven(case.experts())
    experts = case.experts(weight_F)
    ids_1T, logits_1UV = np.array([SOME[:20]]), logits_of(1, 1, 3)
    logits_1UV[0, 0, 5] = -np.inf

    def log_prob(weight_F: NDArray[np.float64], target: int) -> float:
        exact = case.experts(weight_F)
        return float(exact.mix(ids_1T, exact.start(1), logits_1UV)[0][0, 0, target])

    for target in range(VOCABULARY):
        asked = {
            "targets_BT": np.full((1, 20), target),
            "learn_BT": np.arange(20)[None] == 19,
        }
        mixed_1UV, state = experts.mix(ids_1T, experts.start(1), logits_1UV, **asked)
        assert np.isneginf(mixed_1UV[0, 0, 5])
        assert state.weight_BF is not None
        step_F = (state.weight_BF[0] - weight_F) / RATE
        if target == 5:
            assert not step_F.any()
            continue
        moved = np.flatnonzero(step_F)
        assert len(moved) > 6
        for index in moved:
            wide_F = np.zeros(len(weight_F))
            wide_F[index] = 0.02
            slope = (
                log_prob(weight_F + wide_F, target) - log_prob(weight_F - wide_F, target)
            ) / 0.04
            assert step_F[index] == pytest.approx(slope, abs=2e-3)


@pytest.mark.parametrize("weight", [0.0, -0.5])
def test_what_may_not_follow_never_does(weight: float) -> None:
    experts = KINDS["of documents"].experts()
    experts.weight_F = uneven(experts)
    experts.weight_F[kernels.NETWORK] = weight
    logits_1UV = logits_of(1, 20)
    logits_1UV[..., 2] = -np.inf
    found_1UV, _ = experts.mix(np.array([SOME[:20]]), experts.start(1), logits_1UV)
    assert np.isneginf(found_1UV[..., 2]).all()
    np.testing.assert_allclose(np.exp(found_1UV, dtype=np.float64).sum(axis=-1), 1, atol=1e-6)


# Weights


def places_of(count: int) -> NDArray[np.int64]:
    """Some elements of the text, but for the first."""
    chosen = np.random.default_rng(0).choice(np.arange(1, len(TEXT)), size=count, replace=False)
    return np.sort(chosen)


def evidence_of(experts: Experts, starts: Sequence[int], places: int) -> Evidence:
    own_PV = log_softmax(logits_of(1, places, 6)[0])
    return Evidence(experts, TEXT, np.array(starts), places_of(places), own_PV.astype(np.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_evidence_of_a_text_is_that_of_a_mixture_that_reads_it(kind: str) -> None:
    experts = KINDS[kind].experts()
    experts.weight_F = uneven(experts)
    opening = experts.opening
    starts = (0,) if opening is None else (0, 150, 151, 333)
    evidence = evidence_of(experts, starts, 300)
    place_P = places_of(300)
    read, resets, before_T = [], [], np.zeros(len(TEXT), dtype=np.int64)
    for t, element in enumerate(TEXT):
        if opening is not None and t in starts:
            read.append(opening)
            resets.append(True)
        before_T[t] = len(read) - 1
        read.append(int(element))
        resets.append(False)
    logits_1TV = np.zeros((1, len(read), VOCABULARY), dtype=np.float32)
    logits_1TV[0, before_T[place_P]] = evidence.log_prob_PV
    reset_1T = np.array([resets])
    mixed_1TV, _ = experts.mix(np.array([read]), experts.start(1), logits_1TV, reset_BT=reset_1T)
    wanted_P = -mixed_1TV[0, before_T[place_P], TEXT[place_P]].astype(np.float64)
    for begin, end in ((0, 300), (0, 1), (7, 150)):
        loss, _ = evidence.loss(experts.weight_F, begin, end)
        assert loss == pytest.approx(wanted_P[begin:end].sum(), rel=1e-5)
    own_P = evidence.log_prob_PV[np.arange(300), TEXT[place_P]]
    assert evidence.network == pytest.approx(-own_P.mean(), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_the_loss_is_its_slope(kind: str) -> None:
    experts = KINDS[kind].experts()
    evidence = evidence_of(experts, (0, 150), 300)
    weight_F = uneven(experts, 3)
    size = len(weight_F) if experts.remember else experts.lead
    for begin, end in ((0, 300), (100, 180)):
        _, slope_F = evidence.loss(weight_F[:size], begin, end)
        for index in range(size):
            losses = []
            for step in (0.01, -0.01):
                moved_F = weight_F[:size].copy()
                moved_F[index] += step
                losses.append(evidence.loss(moved_F, begin, end)[0])
            slope = (losses[0] - losses[1]) / 0.02
            assert slope_F[index] == pytest.approx(slope, abs=0.03, rel=2e-3), index
        assert np.count_nonzero(slope_F) > 6


def test_evidence_without_room_is_of_the_first_places(monkeypatch: pytest.MonkeyPatch) -> None:
    experts = KINDS["of documents"].experts()
    whole = evidence_of(experts, (0, 150), 300)
    monkeypatch.setattr(expert_weights, "MOST_EVIDENCE", 4000)
    some = evidence_of(experts, (0, 150), 300)
    assert 10 < len(some) < len(whole) == 300
    weight_F = uneven(experts)
    wanted, wanted_F = whole.loss(weight_F, 0, len(some))
    found, found_F = some.loss(weight_F, 0, len(some))
    assert found == wanted
    np.testing.assert_array_equal(found_F, wanted_F)


def test_planted_weights_are_found_again() -> None:
    case = Counted(SOME, order=3, words=False)
    planted_F = np.full(case.experts().size, 0.2)
    planted_F[:2] = 1.3, -0.4
    experts = case.experts(planted_F)
    random = np.random.default_rng(1)
    size = 6000
    own_PV = log_softmax(random.normal(size=(size, VOCABULARY)).astype(np.float32))
    text, state = [0], experts.start(1)
    for own_V in own_PV.astype(np.float32):
        mixed_11V, state = experts.mix(np.array([text[-1:]]), state, own_V[None, None])
        share_V = np.exp(mixed_11V[0, 0], dtype=np.float64)
        text.append(int(random.choice(VOCABULARY, p=share_V / share_V.sum())))
    place_P = np.arange(1, size + 1)
    evidence = Evidence(experts, np.array(text), None, place_P, own_PV.astype(np.float32))
    weight_F = evidence.fit(experts.lead)

    def loss(weight_F: NDArray[np.float64], *part: int) -> float:
        return evidence.loss(weight_F[: experts.lead], *(part or (0, size)))[0] / size

    start_F = np.full(experts.lead, expert_weights.BEGIN)
    start_F[kernels.NETWORK] = expert_weights.NETWORK_BEGIN
    held = HOLD / 2 * float(((planted_F[: experts.lead] - start_F) ** 2).sum())
    assert loss(weight_F) < loss(planted_F) + held < loss(start_F)
    np.testing.assert_allclose(weight_F[:2], planted_F[:2], atol=0.12)
    fitted = fit_weights(experts, np.array(text), None, place_P, own_PV.astype(np.float32))
    np.testing.assert_allclose(fitted.weight_F, weight_F, atol=1e-6)
    assert (fitted.elements, fitted.network) == (size, pytest.approx(evidence.network))
    # Weights of the other half are a little worse, and far better than the network.
    assert loss(weight_F) < fitted.loss < loss(weight_F) + 0.02 < fitted.network


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_one_share_is_the_geometric_mixture_with_the_n_gram_model(share: float) -> None:
    case = Counted(SOME, (0, 30), opening=0, remember=True)
    experts = case.experts()
    experts.weight_F = fixed_weights(experts, share)
    model, ids_1T, logits_1UV = case.model(), np.array([SOME[:25]]), logits_of(1, 25)
    logits_1UV[0, :, 3] = -np.inf
    found_1UV, _ = experts.mix(ids_1T, experts.start(1), logits_1UV)
    state, rows = model.start(1), []
    for element in ids_1T[0]:
        state = model.advance(np.array([[element]]), state)
        rows.append(model.distribution(state))
    given_1UV = np.stack(rows, axis=1)
    wanted_1UV = np.log(given_1UV) * share + np.where(
        np.isneginf(logits_1UV), -np.inf, (1 - share) * np.maximum(logits_1UV, -1e4)
    )
    np.testing.assert_allclose(found_1UV, log_softmax(wanted_1UV), atol=1e-4)
    place_P = np.arange(1, 20)
    text_N = np.where(np.array(SOME[:20]) == 3, 1, SOME[:20])  # what may not follow is no target
    evidence = Evidence(experts, text_N, None, place_P, log_softmax(logits_1UV[0, :19]))
    loss, slope_F = evidence.loss(experts.weight_F, 0, 19)
    assert np.isfinite(loss)
    assert np.isfinite(slope_F).all()


@pytest.mark.parametrize("remember", [False, True])
def test_other_numbers_of_weights_are_refused(remember: bool) -> None:
    case = Counted(SOME, remember=remember)
    experts = case.experts()
    needed = experts.size if remember else experts.lead
    for size in {needed, experts.size}:
        case.experts(np.ones(size))
    for size in {0, 2, experts.lead - 1, experts.size - 1, experts.size + 1, experts.lead} - {
        needed
    }:
        with pytest.raises(ValueError, match=f"{needed} weights are needed, not {size}"):
            case.experts(np.ones(size))


def test_elements_out_of_range_are_refused() -> None:
    experts = KINDS["words"].experts()
    for wrong in (-1, VOCABULARY, 2**40):
        for read, target in ((wrong, 0), (0, wrong)):
            with pytest.raises(ValueError, match="elements must be ids"):
                experts.mix(
                    np.array([[read]]), experts.start(1), logits_of(1, 1),
                    targets_BT=np.array([[target]]),
                )  # fmt: skip

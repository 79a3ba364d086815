"""Evidence of counts along their own text: that of experts, and the same without the place itself."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rhapsode.counts.mixing.text_evidence import STEP_WEIGHT, TextEvidence
from tests.counts.ngram_reference import documents_of
from tests.counts.test_experts import (
    ELEMENTS,
    PHRASE,
    PROVE,
    SOME,
    VOCABULARY,
    Counted,
    Gram,
    Oracle,
    kind_of,
    uneven,
    word_before,
)

CASES = st.builds(
    Counted,
    elements=st.lists(ELEMENTS, min_size=1, max_size=60),
    starts=st.none() | st.just((0, 1)),
    order=st.integers(2, 5),
    opening=st.none() | st.just(0),
    words=st.booleans(),
    measures=st.booleans(),
    heights=st.booleans(),
)
UNIFORM_V = np.full(VOCABULARY, -math.log(VOCABULARY))


def evidence_of(case: Counted, *, leave_out: bool) -> tuple[NDArray[np.float32], Oracle]:
    """Evidence before every element, and an oracle with the same weights."""
    weight_F = uneven(case.experts())[: case.experts().lead]
    evidence = TextEvidence(
        case.model(),
        np.array(case.elements),
        case.starts,
        longest=None,
        weight_F=weight_F,
        leave_out=leave_out,
    )
    places_1N = np.arange(len(case.elements))[None]
    oracle = Oracle(case, weight_F)
    found_NV = evidence(places_1N)[0]
    if case.measures and case.words and case.opening is not None:
        measure_F = case.experts().measure_F
        for history, target, found_V in zip(histories(case), case.elements, found_NV, strict=True):
            for kind, element, nats in oracle.before(history):
                found_V[element] -= measure_F[kind - oracle.lead - 12 * 6] * nats
            for _, element, nats in oracle.steps(history, target if leave_out else None):
                found_V[element] -= STEP_WEIGHT * nats
    return found_NV, oracle


def histories(case: Counted) -> list[Gram]:
    """What stands before every element, since its document began."""
    opening = () if case.opening is None else (case.opening,)
    documents = documents_of(case.elements, case.starts)
    return [(*opening, *document[:t]) for document in documents for t in range(len(document))]


def left_out(oracle: Oracle, history: Gram, target: int) -> list[tuple[int, int, float]]:
    """Weight, element and nats after a history, one occurrence of the target taken away."""
    smooth, found = oracle.smooth, []
    less = True
    for length in range(min(len(history), oracle.order - 1), 0, -1):
        context = history[len(history) - length :]
        raw = Counter({e: smooth.raw[(*context, e)] for e in range(VOCABULARY)})
        used = Counter({e: smooth.used((*context, e)) for e in range(VOCABULARY)})
        total = smooth.raw[context] - less
        if less:
            raw[target] -= 1
            used[target] -= 1
            less = used[target] == 0
        followers = sum(count > 0 for count in raw.values())
        if not followers or not total:
            continue
        discounts = [0.0, *smooth.discounts[length + 1]]
        taken = sum(discounts[min(count, 3)] for count in used.values())
        kind = 2 + 12 * (length - 1) + kind_of(total, followers)
        for element, count in used.items():
            if count > 0:
                shorter = smooth.probability(context[1:], element)
                kept = count - discounts[min(count, 3)]
                found.append((kind, element, math.log(1 + kept / (taken * shorter))))
    word = word_before(history, oracle.counted.letter_V)[0]
    counts = Counter(oracle.after[0].get(word, {}))
    counts[target] -= 1
    counts = +counts
    if oracle.counted.words and counts:
        kind = 2 + 12 * (oracle.order - 1) + kind_of(counts.total(), len(counts))
        for element, count in counts.items():
            below = 0.5 * len(counts) * oracle.prior_V[element]
            found.append((kind, element, math.log(1 + (count - 0.5) / below)))
    return found


def tail_evidence(oracle: Oracle, history: Gram, target: int | None, short: int) -> float:
    """Evidence for all elements from a shortlist on, as one; a target is left out."""
    smooth, less = oracle.smooth, target is not None
    below = float(sum(oracle.prior_V[short:]))
    nats = oracle.weight_F[1] * math.log(below)
    for length in range(min(len(history), oracle.order - 1), 0, -1):
        context = history[len(history) - length :]
        raw = Counter({e: smooth.raw[(*context, e)] for e in range(VOCABULARY)})
        used = Counter({e: smooth.used((*context, e)) for e in range(VOCABULARY)})
        total = smooth.raw[context] - less
        if less and target is not None:
            raw[target] -= 1
            used[target] -= 1
            less = used[target] == 0
        followers = sum(count > 0 for count in raw.values())
        if not followers or not total:
            continue
        discounts = [0.0, *smooth.discounts[length + 1]]
        taken = sum(discounts[min(count, 3)] for count in used.values())
        kept = sum(n - discounts[min(n, 3)] for e, n in used.items() if e >= short and n > 0)
        kind = 2 + 12 * (length - 1) + kind_of(total, followers)
        nats += oracle.weight_F[kind] * math.log(1 + kept / (taken * below))
    word = word_before(history, oracle.counted.letter_V)[0]
    counts = Counter(oracle.after[0].get(word, {}))
    if target is not None:
        counts[target] -= 1
    counts = +counts
    if oracle.counted.words and counts:
        kind = 2 + 12 * (oracle.order - 1) + kind_of(counts.total(), len(counts))
        kept = sum(count - 0.5 for e, count in counts.items() if e >= short)
        nats += oracle.weight_F[kind] * math.log(1 + kept / (0.5 * len(counts) * below))
    return nats


@PROVE
@given(case=CASES)
@example(Counted(SOME, (0, 20, 41), 5, 0))
@example(Counted(3 * PHRASE, (0, 30, 60), 5, 0, measures=True, heights=True))
@example(Counted(SOME))
def test_evidence_in_the_text_is_that_of_experts(case: Counted) -> None:
    found_NV, oracle = evidence_of(case, leave_out=False)
    for history, found_V in zip(histories(case), found_NV, strict=True):
        wanted_V = oracle.weight_F[1] * np.log(oracle.prior_V)
        for kind, element, nats in oracle.evidence(history, (), UNIFORM_V):
            if kind < oracle.lead - 12:  # those of two words are not used
                wanted_V[element] += oracle.weight_F[kind] * nats
        np.testing.assert_allclose(found_V, wanted_V, atol=1e-4)


@PROVE
@given(case=CASES)
@example(Counted(SOME, (0, 20, 41), 5, 0))
@example(Counted(3 * PHRASE, (0, 30, 60), 5, 0, measures=True, heights=True))
@example(Counted(SOME))
@example(Counted((1, 2, 3, 1, 2, 4, 1, 2, 3, 1, 2, 3), words=False))
def test_each_place_is_left_out_of_its_own_evidence(case: Counted) -> None:
    found_NV, oracle = evidence_of(case, leave_out=True)
    places = zip(histories(case), case.elements, found_NV, strict=True)
    for history, target, found_V in places:
        wanted_V = oracle.weight_F[1] * np.log(oracle.prior_V)
        for kind, element, nats in left_out(oracle, history, target):
            wanted_V[element] += oracle.weight_F[kind] * nats
        np.testing.assert_allclose(found_V, wanted_V, atol=1e-4)


@PROVE
@given(case=CASES, short=st.integers(1, VOCABULARY - 2), leave_out=st.booleans())
@example(case=Counted(SOME, (0, 20, 41), 5, 0), short=2, leave_out=True)
def test_rare_elements_are_taken_as_one(case: Counted, short: int, leave_out: bool) -> None:
    weight_F = uneven(case.experts())[: case.experts().lead]
    whole_NV, oracle = evidence_of(case, leave_out=leave_out)
    found_NV = TextEvidence(
        case.model(),
        np.array(case.elements),
        case.starts,
        longest=None,
        weight_F=weight_F,
        leave_out=leave_out,
        width=short + 1,
    )(np.arange(len(case.elements))[None])[0]
    np.testing.assert_array_equal(found_NV[:, :short], whole_NV[:, :short])
    for history, target, found in zip(
        histories(case), case.elements, found_NV[:, short], strict=True
    ):
        wanted = tail_evidence(oracle, history, target if leave_out else None, short)
        assert found == pytest.approx(wanted, abs=1e-4)


def test_a_context_seen_once_says_nothing_of_its_own_place() -> None:
    elements = (1, 2, 3, 4)
    evidence = TextEvidence(Counted(elements, words=False).model(), np.array(elements))
    z_14V = evidence(np.arange(4)[None])
    np.testing.assert_array_equal(z_14V, np.broadcast_to(z_14V[:, :1], z_14V.shape))


def test_places_outside_of_the_text_have_no_evidence() -> None:
    evidence = TextEvidence(Counted(SOME).model(), np.array(SOME))
    assert not evidence(np.array([[-1, len(SOME)]])).any()
    assert evidence(np.array([[0, len(SOME) - 1]])).any(axis=-1).all()


@pytest.mark.parametrize("shape", [(1, 60), (3, 20), (60, 1)])
def test_the_evidence_of_a_place_does_not_depend_on_its_batch(shape: tuple[int, int]) -> None:
    evidence = TextEvidence(Counted(SOME).model(), np.array(SOME))
    whole_1NV = evidence(np.arange(60)[None])
    parts_BTV = evidence(np.arange(60).reshape(shape))
    np.testing.assert_array_equal(parts_BTV.reshape(1, 60, VOCABULARY), whole_1NV)

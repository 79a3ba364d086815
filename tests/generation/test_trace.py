"""Traces: literal figures, and nothing changed by looking."""

import json
import math
from typing import Any

import numpy as np
import pytest

from rhapsode.config import GenerateSettings
from rhapsode.generation import Context, Job, Rows, Trace, chain_of, generate_elements
from rhapsode.generation.trace import trace_of
from tests.generation.markov import Markov

SHARE = [0.1, 0.4, 0.05, 0.25, 0.2]


def logits(*rows: list[float]) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.array(rows)).astype(np.float32)


def context(*outputs: list[int]) -> Context:
    rows = len(outputs)
    nothing = (np.empty(0, dtype=np.int64),) * rows
    return Context(
        nothing,
        tuple(np.array(output, dtype=np.int64) for output in outputs),
        np.array([len(output) for output in outputs], dtype=np.int64),
        np.arange(rows, dtype=np.int64),
        0,
    )


def explained(logits_BV: np.ndarray, where: Context, **asked: Any) -> list[Trace]:
    """Traces of an element of every row."""
    element, top = asked.pop("element"), asked.pop("top", 0)
    chain = chain_of(GenerateSettings(**asked), vocab_size=logits_BV.shape[1], suppressed=())
    removed: list[np.ndarray] = []
    after_BV, _ = chain.apply(logits_BV, where, chain.init(len(logits_BV)), removed)
    return [
        trace_of(chain, logits_BV, after_BV, removed, row=row, element=element, top=top)
        for row in range(len(logits_BV))
    ]


def test_a_trace_in_figures():
    (found,) = explained(
        logits(SHARE), context([]), temperature=0.5, top_k=4, top_p=0.9, element=3, top=3
    )
    # Squares .01 .16 .0025 .0625 .04; top-k drops one; of .2725 top-p 0.9 needs .16 + .0625 + .04.
    assert (found.element, found.rank, found.candidates) == (3, 2, 3)
    assert found.raw_log_prob == pytest.approx(math.log(0.25))
    assert found.log_prob == pytest.approx(math.log(0.0625 / 0.2625))
    assert found.entropy == pytest.approx(-sum(p * math.log(p) for p in SHARE))
    assert found.removed == (("temperature", 0), ("top_k", 1), ("top_p", 1))
    assert [element for element, _, _ in found.top] == [1, 3, 4]
    assert [raw for _, raw, _ in found.top] == pytest.approx(
        [math.log(p) for p in (0.4, 0.25, 0.2)]
    )
    assert [after for _, _, after in found.top] == pytest.approx(
        [math.log(p / 0.2625) for p in (0.16, 0.0625, 0.04)]
    )


def test_an_element_that_was_removed():
    (found,) = explained(logits(SHARE), context([]), top_k=1, element=2, top=2)
    assert (found.rank, found.log_prob, found.candidates) == (5, -math.inf, 1)
    assert found.top[1][2] == -math.inf
    plain = found.to_mapping()
    assert plain["log_prob"] is None
    assert plain["top"][1][2] is None
    assert plain["removed"] == {"top_k": 4}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_ranks_of_equals_go_by_id():
    equal = logits([0.2, 0.3, 0.2, 0.3])
    ranks = [explained(equal, context([]), element=element)[0].rank for element in range(4)]
    assert ranks == [3, 1, 4, 2]
    (found,) = explained(equal, context([]), element=1, top=3)
    assert [element for element, _, _ in found.top] == [1, 3, 0]


def test_what_the_model_rules_out_has_no_entropy():
    (found,) = explained(logits([0.0, 1.0, 0.0]), context([]), element=0, top=9)
    assert (found.entropy, found.rank, found.raw_log_prob) == (0.0, 2, -math.inf)
    assert len(found.top) == 3


def test_rows_of_several_have_their_own_traces():
    logits_BV = logits(SHARE, SHARE[::-1])
    where = context([1, 1], [0, 3, 3])
    first, second = explained(logits_BV, where, frequency_penalty=1.0, element=3)
    weights = [0.2 * math.exp(-1), 0.25, 0.05, 0.4 * math.exp(-2), 0.1]
    assert second.log_prob == pytest.approx(math.log(weights[3] / sum(weights)))
    weights = [0.1, 0.4 * math.exp(-2), 0.05, 0.25, 0.2]
    assert first.log_prob == pytest.approx(math.log(0.25 / sum(weights)))


def test_a_trace_of_a_row_leaves_its_state_as_it_is():
    model = Markov.random(4)
    asked = GenerateSettings(frequency_penalty=1.0, no_repeat_ngram=3)
    chain = chain_of(asked, vocab_size=4, suppressed=())
    rows, twin = (Rows.of_jobs(model, [Job(np.array([2]), 0, 9)], chain, 3) for _ in range(2))
    for _ in range(6):
        step = twin.draw()
        trace = rows.trace(int(step.elements[0]), 2)
        other = rows.draw()
        np.testing.assert_array_equal(other.filtered_RKV, step.filtered_RKV)
        assert trace.element == other.elements[0]
        rows.write(other)
        twin.write(step)


def test_generation_with_a_trace_writes_the_same_and_explains_each_choice():
    model = Markov.random(4)
    asked = GenerateSettings(temperature=0.8, top_k=3, frequency_penalty=0.5, mirostat_tau=0.0)
    chain = chain_of(asked, vocab_size=4, suppressed=())
    jobs = [Job(np.array([2]), sequence, 12) for sequence in range(5)]
    plain = list(generate_elements(model, jobs, chain, seed=3))
    told = list(generate_elements(model, jobs, chain, seed=3, trace=2))
    assert [(c.job, c.element, c.last) for c in told] == [(c.job, c.element, c.last) for c in plain]
    assert all(choice.trace is None for choice in plain)
    texts: dict[int, list[int]] = {index: [] for index in range(5)}
    for choice in told:
        trace, before = choice.trace, [0, 2, *texts[choice.job]][-2:]
        assert trace is not None
        share_V = model.share_VVV[before[0], before[1]]
        assert trace.element == choice.element
        assert trace.raw_log_prob == pytest.approx(math.log(share_V[choice.element]), rel=1e-5)
        assert trace.rank == 1 + sum(share_V > share_V[choice.element])
        assert trace.log_prob > -math.inf
        assert trace.candidates == 3
        assert trace.removed == (("frequency", 0), ("temperature", 0), ("top_k", 1))
        assert [element for element, _, _ in trace.top] == np.argsort(-share_V)[:2].tolist()
        texts[choice.job].append(choice.element)

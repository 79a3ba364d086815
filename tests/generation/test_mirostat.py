"""Mirostat as a control: the surprise comes out at the target, row by row, whoever else is written."""

import numpy as np
import pytest

from rhapsode.config import GenerateSettings
from rhapsode.generation import Context, Job, chain_of, generate_elements
from rhapsode.generation.filters.truncation import Mirostat
from tests.generation.markov import Markov

EMPTY = np.empty(0, dtype=np.int64)


@pytest.mark.parametrize("tau", [1.0, 2.0, 3.0])
def test_the_mean_surprise_is_the_target(tau: float):
    model = Markov.random(40)
    asked = GenerateSettings(mirostat_tau=tau, mirostat_eta=0.3)
    chain = chain_of(asked, vocab_size=40, suppressed=(0,))
    jobs = [Job(EMPTY, sequence, 400) for sequence in range(4)]
    bits: dict[int, list[float]] = {index: [] for index in range(4)}
    for choice in generate_elements(model, jobs, chain, seed=1, trace=1):
        assert choice.trace is not None
        bits[choice.job].append(-choice.trace.log_prob / np.log(2))
    for row in bits.values():
        assert np.mean(row) == pytest.approx(tau, abs=0.1)


def test_rows_have_bounds_of_their_own_and_end_without_being_noticed():
    model = Markov.random(12)
    asked = GenerateSettings(mirostat_tau=1.5, mirostat_eta=1.0)
    chain = chain_of(asked, vocab_size=12, suppressed=(0,))
    jobs = [Job(EMPTY, sequence, 5 + 20 * (sequence % 2)) for sequence in range(6)]

    def written(of: list[Job]) -> list[list[int]]:
        texts: list[list[int]] = [[] for _ in of]
        for choice in generate_elements(model, of, chain, seed=2):
            texts[choice.job].append(choice.element)
        return texts

    assert written(jobs) == [written([job])[0] for job in jobs]


def bound(step: Mirostat, outputs: list[list[int]]) -> float:
    state = step.init(1)
    logits_BV = np.log(np.array([[0.5, 0.25, 0.25]])).astype(np.float32)
    logits_BV[0, 2] = -np.inf
    zero = np.zeros(1, dtype=np.int64)
    for output in outputs:
        context = Context((EMPTY,), (np.array(output, dtype=np.int64),), zero, zero, 0)
        _, state = step.apply(logits_BV, context, state)
    return float(state.bound_B[0])


def test_only_an_element_that_was_drawn_moves_the_bound():
    step = Mirostat(2.0, 0.5)
    assert bound(step, [[]]) == 4.0
    assert bound(step, [[], []]) == 4.0  # looked at twice, nothing drawn
    assert bound(step, [[], [0]]) == pytest.approx(4.0 - 0.5 * (np.log2(1.5) - 2.0))
    assert bound(step, [[], [2]]) == 4.0  # put in by hand: it had no probability
    assert bound(step, [[], [0, 1]]) == 4.0  # of the second one no distribution is known
    assert bound(step, [[0], [0]]) == 4.0

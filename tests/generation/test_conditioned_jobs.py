"""Jobs with a condition: each writes under its own, alone and in a batch; others refuse one."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest

from rhapsode.bundle import Predictor
from rhapsode.bundle.combined.averaged_predictor import Window
from rhapsode.bundle.torch_predictor import TorchPredictor
from rhapsode.data import Condition
from rhapsode.errors import DataError, SettingsError
from rhapsode.generation import Chain, Job, Rows, continue_jobs, generate_elements
from rhapsode.generation.filters.contract import Suppress
from tests.bundle.test_torch_predictor import STATIC, VOCABULARY, network
from tests.engine.test_compiled_writing import predictor_of

SEED = 4


def under(*static: float) -> Condition:
    return Condition(static_BK=np.array([static], dtype=np.float32))


CONDITIONS = [under(9.0, 0.5), under(-8.0, np.nan), under(9.0, 0.5), under(0.0, 7.0)]


def conditioned(window: bool) -> Predictor:
    predictor = TorchPredictor(network("lstm", STATIC), VOCABULARY)
    return Window(predictor, 5) if window else predictor


def jobs_of(conditions: Sequence[Condition | None], *, unequal: bool = False) -> list[Job]:
    prompts = [np.array([3, 1, 2][: 1 + (unequal and row % 3)]) for row in range(len(conditions))]
    return [
        Job(prompt_N, row, 20 + row, condition)
        for row, (prompt_N, condition) in enumerate(zip(prompts, conditions, strict=True))
    ]


def written(predictor: Predictor, jobs: Sequence[Job]) -> list[list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    chain = Chain([Suppress((0,), VOCABULARY)])
    for chosen in generate_elements(predictor, jobs, chain, seed=SEED):
        found[chosen.job].append(chosen.element)
    return [found[index] for index in range(len(jobs))]


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("window", [False, True])
def test_a_job_alone_writes_what_it_writes_among_other_conditions(
    window: bool, unequal: bool
) -> None:
    predictor = conditioned(window)
    jobs = jobs_of([*CONDITIONS, None, None], unequal=unequal)
    together = written(predictor, jobs)
    assert together == [written(predictor, [job])[0] for job in jobs]
    # The draws of a sequence are the same: what differs comes from the condition.
    swapped = written(predictor, jobs_of([*CONDITIONS[::-1], None, None], unequal=unequal))
    assert swapped[4:] == together[4:]
    assert swapped[:4] != together[:4]


@pytest.mark.parametrize("window", [False, True])
def test_different_conditions_give_different_distributions(window: bool) -> None:
    predictor = conditioned(window)
    rows = Rows.of_jobs(predictor, jobs_of(CONDITIONS), Chain([]), SEED)
    before_RV = rows.following().logits_BV
    assert np.array_equal(before_RV[0], before_RV[2])
    assert np.abs(before_RV[0] - before_RV[1]).max() > 1e-3
    rows.select(np.array([3, 1, 1]))
    forked = predictor.select(rows.state.fork(), np.array([0, 1, 2]))
    ids_R1 = np.full((3, 1), 2)
    after_RV = predictor.advance(ids_R1, forked)[0].logits_BV
    assert np.array_equal(after_RV[1], after_RV[2])
    for row, condition in enumerate((CONDITIONS[3], CONDITIONS[1])):
        own = Rows.of_jobs(predictor, jobs_of([condition]), Chain([]), SEED)
        alone_RV = predictor.advance(ids_R1[:1], own.state)[0].logits_BV
        np.testing.assert_allclose(after_RV[row], alone_RV[0], atol=1e-5)


def test_jobs_with_and_without_a_condition_are_not_read_together() -> None:
    with pytest.raises(ValueError, match="with and without a condition"):
        Rows.of_jobs(conditioned(window=False), jobs_of([None, CONDITIONS[0]]), Chain([]), SEED)


def test_conditions_of_different_sizes_are_refused() -> None:
    with pytest.raises(DataError, match="differ in kind or size: static_BK"):
        written(conditioned(window=False), jobs_of([CONDITIONS[0], under(1.0)]))


def test_a_job_has_one_condition() -> None:
    with pytest.raises(ValueError, match="one condition, not 2"):
        Job(np.array([1]), 0, 3, Condition.join(CONDITIONS[:2]))


@pytest.mark.parametrize(
    "predictor",
    [
        TorchPredictor(network("lstm"), VOCABULARY),
        Window(TorchPredictor(network("lstm"), VOCABULARY), 5),
        predictor_of("gru"),
        predictor_of("lstm in a window"),
    ],
    ids=["lstm", "window", "engine", "engine in a window"],
)
def test_what_can_use_no_condition_refuses_a_job_that_has_one(predictor: Predictor) -> None:
    jobs = jobs_of([None, CONDITIONS[0]])
    for write in (generate_elements, continue_jobs):
        with pytest.raises(SettingsError, match="cannot use a condition"):
            next(iter(write(predictor, jobs, Chain([]), seed=SEED)))

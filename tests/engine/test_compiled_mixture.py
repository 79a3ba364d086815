"""The mixture with counts in the compiled loop: what the NumPy loop writes, and the same bits in any company."""

from typing import Any

import numpy as np
import pytest

from rhapsode.bundle import Predictor
from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
from rhapsode.bundle.torch_predictor import torch_predictor
from rhapsode.generation import Job, continue_jobs, generate_elements
from tests.bundle.test_mixed_predictor import (
    TEXT,
    MixedContract,
    WindowContract,
    check_what_is_examined,
    counted,
    mixture_of,
)
from tests.contracts.predictor_contract import batch_of
from tests.engine.compiled_models import VOCABULARY, bundle_of, network_config, network_of
from tests.engine.test_compiled_writing import (
    ASKED,
    chain,
    continued,
    jobs_of,
    predictor_of,
    stretches_of,
    written,
)

# One of each group that is compiled together, each way of seeing the past.
CHOSEN = ["gru", "lstm of two layers", "transformer", "tcn", "lstm in a window"]


def mixed(
    family: str, share: float | None = None, seed: int = 0, *, adapt: bool = False
) -> MixedPredictor:
    """A mixture with words; one of documents remembers them, one that adapts all that was read."""
    opening = 0 if family == "lstm of two layers" else None
    return mixture_of(predictor_of(family, seed), counted(opening=opening), share, adapt=adapt)


class TestCarried(MixedContract):
    def make(self) -> Predictor:
        return mixed("gru")


class TestFresh(MixedContract):
    def make(self) -> Predictor:
        return mixed("lstm of two layers")


class TestWindow(WindowContract):
    def make(self) -> Predictor:
        return mixed("lstm in a window")


def test_what_is_examined_is_what_is_scored_where_rows_start_afresh() -> None:
    check_what_is_examined(mixed("gru"))


@pytest.mark.parametrize("family", ["gru", "lstm in a window"])
def test_log_probabilities_are_those_over_torch(family: str) -> None:
    config = network_config(family)
    network = network_of(config, sharper=3)
    ours = mixed(family)
    torchs = mixture_of(
        torch_predictor(network, VOCABULARY, bundle_of(config, network).context), ours.ngram
    )
    ids_BT = TEXT[:60].reshape(4, 15)
    one, _ = ours.advance(ids_BT, ours.start(4))
    other, _ = torchs.advance(ids_BT, torchs.start(4))
    np.testing.assert_allclose(one.logits_BV, other.logits_BV, rtol=0, atol=1e-4)
    scored = [each.score(batch_of(ids_BT[:, :5]))[0] for each in (ours, torchs)]
    np.testing.assert_allclose(*scored, rtol=0, atol=1e-4)


@pytest.mark.parametrize("asked", ASKED, ids=str)
@pytest.mark.parametrize("family", CHOSEN)
def test_elements_are_those_of_the_loop_over_numpy_filters(
    family: str, asked: dict[str, Any]
) -> None:
    predictor, made = mixed(family), chain(**asked)
    jobs = [*jobs_of(4, 70, (3, 4)), Job(np.array([5, 2]), 9, 30)]
    wanted = written(generate_elements(predictor, jobs, made, seed=11))
    assert continued(predictor, jobs, made, seed=11) == wanted
    assert continued(predictor.network, jobs, made, seed=11) != wanted


@pytest.mark.parametrize("family", ["gru", "lstm of two layers"])
def test_what_is_read_and_written_is_remembered(family: str) -> None:
    predictor, made = mixed(family, adapt=True), chain(temperature=0.9, repetition_penalty=1.1)
    prompt = tuple(TEXT[:30].tolist() * 2)
    jobs = [*jobs_of(3, 90, prompt), *jobs_of(2, 40, prompt[::-1])]
    jobs = [Job(job.prompt_N, index, job.length) for index, job in enumerate(jobs)]
    wanted = written(generate_elements(predictor, jobs, made, seed=5))
    assert continued(predictor, jobs, made, seed=5) == wanted
    forgetful = mixed("gru")
    assert not forgetful.experts.remembered
    assert continued(forgetful, jobs, made, seed=5) != wanted


@pytest.mark.parametrize("family", ["gru", "lstm in a window"])
def test_a_batch_of_64_writes_what_64_write_alone(family: str) -> None:
    predictor, made = mixed(family, seed=1), chain(temperature=1.5)
    jobs = jobs_of(64, 40)
    together = continued(predictor, jobs, made, seed=3)
    for index, job in enumerate(jobs):
        assert continued(predictor, [job], made, seed=3)[0] == together[index]
    assert len({len(text) for text in together.values()}) > 1


@pytest.mark.parametrize("family", CHOSEN)
def test_prompts_of_unequal_length_give_what_each_gives_alone(family: str) -> None:
    predictor, made = mixed(family), chain(temperature=1.2)
    prompts = [[2], [2, 3, 4], [], TEXT[:9].tolist(), [5, 2, 7]]
    jobs = [
        Job(np.array(prompt, dtype=np.int64), index, 25) for index, prompt in enumerate(prompts)
    ]
    assert stretches_of(predictor, jobs, made, seed=6) is None
    together = written(continue_jobs(predictor, jobs, made, seed=6))
    for index, job in enumerate(jobs):
        assert continued(predictor, [job], made, seed=6)[0] == together[index]


def test_a_share_of_0_writes_what_the_network_writes() -> None:
    made, jobs = chain(temperature=1.2), jobs_of(5, 60)
    alone = continued(predictor_of("gru"), jobs, made, seed=4)
    assert continued(mixed("gru", 0.0), jobs, made, seed=4) == alone


def test_a_share_of_1_writes_what_the_counts_write() -> None:
    made, jobs = chain(), jobs_of(3, 50, (2, 7))
    one, other = (continued(mixed("gru", 1.0, seed), jobs, made, seed=4) for seed in range(2))
    assert one == other


def test_a_long_text_is_written_through_the_ends_of_stretches() -> None:
    predictor, made = mixed("lstm of two layers"), chain(min_length=0)
    job = [Job(np.array([2, 3, 4]), 0, 300)]
    stretches = stretches_of(predictor, job, made, seed=8)
    assert stretches is not None
    found = [element for stretch in stretches for element in stretch.elements]
    assert found == [c.element for c in generate_elements(predictor, job, made, seed=8)]

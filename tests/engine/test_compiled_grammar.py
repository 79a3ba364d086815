"""Grammars in the compiled loop: the elements of the NumPy loop, and exact likelihoods."""

from typing import Any

import numpy as np
import pytest

from rhapsode.bundle import Predictor, StretchRequest
from rhapsode.bundle.torch_predictor import torch_predictor
from rhapsode.encoding import FiniteGrammar, GrammarTable
from rhapsode.engine.sampling_steps import mask_row as inner_mask_row
from rhapsode.errors import SettingsError
from rhapsode.generation import Chain, Job, continue_jobs, generate_elements
from rhapsode.generation.filters.contract import Suppress
from rhapsode.generation.filters.control_filters import MinLength
from rhapsode.generation.filters.temperature import Temperature
from tests.bundle.test_grammatical import (
    GrammaticalContract,
    check_masks_of_a_batch,
    check_that_a_single_element_is_certain,
    check_that_all_allowed_changes_nothing,
    check_that_texts_obey,
    obeys,
)
from tests.bundle.test_mixed_predictor import counted, mixture_of
from tests.contracts.predictor_contract import batch_of
from tests.encoding.brackets import END, OPENING, Brackets, everything, last_element_grammar, walk
from tests.engine.compiled_calls import callable_form
from tests.engine.compiled_models import ENCODER, VOCABULARY, bundle_of, network_config, network_of
from tests.engine.test_compiled_writing import (
    ASKED,
    chain,
    continued,
    jobs_of,
    predictor_of,
    stretches_of,
    written,
)

mask_row = callable_form(inner_mask_row)

# One of each group that is compiled together, each way of seeing the past.
CHOSEN = ["gru", "lstm of two layers", "transformer", "tcn", "lstm in a window"]
WIDTH = {"lstm in a window": 5}


def predictor(family: str, mixed: bool, seed: int = 0) -> Predictor:
    network = predictor_of(family, seed)
    opening = 0 if family == "lstm of two layers" else None
    return mixture_of(network, counted(opening=opening)) if mixed else network


class TestRecurrent(GrammaticalContract):
    def make(self) -> Predictor:
        return predictor("gru", mixed=False).restricted(last_element_grammar(VOCABULARY))


class TestWindow(GrammaticalContract):
    window = 5

    def make(self) -> Predictor:
        return predictor("lstm in a window", mixed=False).restricted(
            last_element_grammar(VOCABULARY)
        )


class TestMixture(GrammaticalContract):
    def make(self) -> Predictor:
        return predictor("gru", mixed=True).restricted(last_element_grammar(VOCABULARY))


def test_writing_has_one_form_with_a_grammar_and_one_without() -> None:
    plain = predictor_of("gru")
    within = plain.restricted(last_element_grammar(VOCABULARY))
    write = plain._entries.write
    plain._entries.within_grammar()
    forms = set(write.overloads)
    for each in (plain, within):
        list(continue_jobs(each, jobs_of(2, 5, (3,)), chain(), seed=1))
    assert set(write.overloads) == forms  # nothing was compiled for other types


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("family", CHOSEN)
def test_a_grammar_that_allows_everything_changes_nothing(family: str, mixed: bool) -> None:
    check_that_all_allowed_changes_nothing(predictor(family, mixed), WIDTH.get(family, 0))


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("family", CHOSEN)
def test_what_alone_may_follow_is_certain(family: str, mixed: bool) -> None:
    check_that_a_single_element_is_certain(predictor(family, mixed), WIDTH.get(family, 0))


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("family", ["gru", "transformer", "lstm in a window"])
def test_sampled_texts_obey(family: str, mixed: bool) -> None:
    check_that_texts_obey(predictor(family, mixed))


@pytest.mark.parametrize("mixed", [False, True])
def test_masks_of_a_batch_are_honoured(mixed: bool) -> None:
    check_masks_of_a_batch(predictor("gru", mixed))


@pytest.mark.parametrize("asked", ASKED, ids=str)
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("family", CHOSEN)
def test_elements_are_those_of_the_loop_over_numpy_filters(
    family: str, mixed: bool, asked: dict[str, Any]
) -> None:
    plain, made = predictor(family, mixed), chain(**asked)
    grammar = last_element_grammar(VOCABULARY)
    within = plain.restricted(grammar)
    jobs = [*jobs_of(4, 70, (3, 4)), Job(np.array([5, 2]), 9, 30)]
    wanted = written(generate_elements(within, jobs, made, seed=11))
    assert continued(within, jobs, made, seed=11) == wanted
    if asked != {"temperature": 0.0}:
        assert wanted != written(continue_jobs(plain, jobs, made, seed=11))
    for job, steps in wanted.items():
        prompt = tuple(jobs[job].prompt_N.tolist())
        assert obeys(grammar, prompt, [element for element, _ in steps])


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("family", ["gru", "lstm in a window"])
def test_a_batch_of_64_writes_what_64_write_alone(family: str, mixed: bool) -> None:
    within = predictor(family, mixed, seed=1).restricted(Brackets(VOCABULARY))
    made, jobs = chain(temperature=1.5), jobs_of(64, 40)
    together = continued(within, jobs, made, seed=3)
    for index, job in enumerate(jobs):
        assert continued(within, [job], made, seed=3)[0] == together[index]
    assert len({len(text) for text in together.values()}) > 1


def test_a_long_text_is_written_through_the_ends_of_stretches() -> None:
    within = predictor("gru", mixed=True).restricted(Brackets(VOCABULARY))
    made, job = chain(), [Job(np.array([2, 3, 4, OPENING]), 0, 300)]
    stretches = stretches_of(within, job, made, seed=8)
    assert stretches is not None
    found = [element for stretch in stretches for element in stretch.elements]
    assert found == [c.element for c in generate_elements(within, job, made, seed=8)]


def test_scores_are_those_over_torch() -> None:
    config = network_config("gru")
    network = network_of(config, sharper=3)
    grammar = Brackets(VOCABULARY)
    ours = predictor_of("gru").restricted(grammar)
    context = bundle_of(config, network).context
    torchs = torch_predictor(network, VOCABULARY, context).restricted(grammar)
    batch = batch_of(walk(grammar, 20, 4, seed=0, first=END))
    for name, value in vars(torchs.examine(batch)[0]).items():
        np.testing.assert_allclose(vars(ours.examine(batch)[0])[name], value, atol=1e-4)
    parts = [np.concatenate([*each.distributions(batch)[0]], axis=1) for each in (ours, torchs)]
    np.testing.assert_allclose(*parts, atol=1e-4)
    assert np.isneginf(parts[0]).any()


def test_what_may_end_in_nothing_is_left_to_the_loop() -> None:
    only_end = np.zeros((2, VOCABULARY), dtype=np.bool_)
    only_end[0] = True
    only_end[1, END] = True
    next_SV = np.zeros((2, VOCABULARY), dtype=np.int32)
    next_SV[0, 5] = 1
    within = predictor("gru", mixed=False).restricted(
        FiniteGrammar(GrammarTable(next_SV, only_end))
    )
    jobs = jobs_of(3, 30)
    assert stretches_of(within, jobs, chain(), seed=0) is not None
    least = Chain([Suppress((1,), VOCABULARY), MinLength(4, ENCODER)])
    assert stretches_of(within, jobs, least, seed=0) is None
    banned = Chain([Suppress((END,), VOCABULARY)])
    assert stretches_of(within, jobs, banned, seed=0) is None
    with pytest.raises(SettingsError, match="grammar allows only suppressed"):
        list(generate_elements(within, jobs_of(3, 200), banned, seed=0))


@pytest.mark.parametrize("mixed", [False, True])
def test_texts_have_their_least_length_within_a_grammar(mixed: bool) -> None:
    within = predictor("gru", mixed).restricted(Brackets(VOCABULARY))
    made = Chain([Suppress((1,), VOCABULARY), MinLength(9, ENCODER), Temperature(2.0)])
    jobs = jobs_of(12, 40)
    texts = continued(within, jobs, made, seed=5)
    assert texts == written(generate_elements(within, jobs, made, seed=5))
    lengths = [len(text) for text in texts.values()]
    assert min(lengths) == 10  # one of them ends as soon as it may
    assert len(set(lengths)) > 1


def test_a_grammar_without_a_table_is_left_to_the_loop() -> None:
    within = predictor("gru", mixed=False).restricted(Brackets(VOCABULARY, finite=False))
    assert stretches_of(within, jobs_of(1, 5), chain(), seed=0) is None
    twice = within.restricted(everything(VOCABULARY))
    assert stretches_of(twice, jobs_of(1, 5), chain(), seed=0) is None


def test_a_request_holds_no_grammar_unless_one_is_given() -> None:
    assert StretchRequest([], chain(), 0, set()).grammar is None


@pytest.mark.parametrize("size", [1, 3, 65])
def test_a_masked_row_is_minus_infinity_where_nothing_is_allowed(size: int) -> None:
    random = np.random.default_rng(size)
    z_V = random.normal(size=size).astype(np.float32)
    allowed_V = random.random(size) < 0.5
    found_V = z_V.copy()
    mask_row(found_V, allowed_V)
    np.testing.assert_array_equal(found_V, np.where(allowed_V, z_V, -np.inf))

"""Several networks as one: probabilities averaged exactly, equal members as one of them, bit for bit."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rhapsode.bundle import LogitsDistribution, Member, Predictor, StretchRequest, log_softmax
from rhapsode.bundle.combined.averaged_predictor import AveragedPredictor, as_one
from rhapsode.bundle.network import network_arrays
from rhapsode.bundle.torch_predictor import TorchPredictor, torch_predictor
from rhapsode.config import parse_context
from rhapsode.counts import NGramModel
from rhapsode.encoding import FiniteGrammar, GrammarTable
from rhapsode.engine.compiled_predictor import compiled_predictor
from rhapsode.generation import Chain, Job, continue_jobs, generate_elements
from rhapsode.generation.filters.temperature import Temperature
from rhapsode.generation.filters.truncation import TopK
from tests.bundle.test_mixed_predictor import mixture_of
from tests.contracts.predictor_contract import PredictorContract, batch_of
from tests.engine.compiled_models import VOCABULARY, bundle_of, network_config, network_of

IDS_BT = np.random.default_rng(5).integers(VOCABULARY, size=(3, 11))


def members(family: str, seeds: tuple[int, ...] = (0, 1)) -> list[TorchPredictor]:
    config = network_config(family)
    return [TorchPredictor(network_of(config, seed=seed), VOCABULARY) for seed in seeds]


class TestTorch(PredictorContract):
    def make(self) -> Predictor:
        return AveragedPredictor(members("lstm of two layers"), (0.25, 0.75))


class TestWindow(PredictorContract):
    window = 5

    def make(self) -> Predictor:
        return as_one(members("lstm in a window"), (0.5, 0.5), parse_context("window:5"))


class TestCompiled(PredictorContract):
    def make(self) -> Predictor:
        return several("gru", (0, 1))


def several(family: str, seeds: tuple[int, ...], weights: tuple[float, ...] = ()) -> Any:
    """The compiled predictor of a bundle with several members."""
    config = network_config(family)
    networks = [network_of(config, seed=seed) for seed in seeds]
    bundle = bundle_of(config, networks[0])
    shares = weights or (1.0,) * len(seeds)
    own = tuple(
        Member(network_arrays(network), share)
        for network, share in zip(networks, shares, strict=True)
    )
    return compiled_predictor(replace(bundle, members=own))


def test_probabilities_are_the_weighted_mean() -> None:
    own = members("lstm")
    mean = AveragedPredictor(own, (0.2, 0.8))
    found, _ = mean.advance(IDS_BT, mean.start(3))
    wanted_BV = sum(
        weight * np.exp(log_softmax(each.advance(IDS_BT, each.start(3))[0].logits_BV))
        for each, weight in zip(own, (0.2, 0.8), strict=True)
    )
    np.testing.assert_allclose(np.exp(log_softmax(found.logits_BV)), wanted_BV, atol=1e-6)
    scores_BT, _ = mean.score(batch_of(IDS_BT))
    parts = [each.score(batch_of(IDS_BT))[0].astype(np.float64) for each in own]
    wanted_BT = np.log(0.2 * np.exp(parts[0]) + 0.8 * np.exp(parts[1]))
    np.testing.assert_allclose(scores_BT, wanted_BT, atol=1e-6)


@pytest.mark.parametrize("family", ["lstm", "transformer", "tcn", "lstm in a window"])
@pytest.mark.parametrize("engine", ["torch", "compiled"])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 1.0, 1.0)])
def test_equal_members_are_one_of_them_bit_for_bit(
    family: str, engine: str, weights: tuple[float, ...]
) -> None:
    config = network_config(family)
    network = network_of(config, sharper=3)
    bundle = bundle_of(config, network)
    member = bundle.members[0]
    equal = replace(bundle, members=tuple(Member(member.arrays, weight) for weight in weights))
    one: Predictor
    several: Predictor
    if engine == "compiled":
        one, several = compiled_predictor(bundle), compiled_predictor(equal)
    else:
        one = torch_predictor(network, VOCABULARY, bundle.context)
        several = torch_predictor(
            [network] * len(weights), VOCABULARY, bundle.context, equal.weights
        )
    wanted, state = one.advance(IDS_BT, one.start(3))
    found, states = several.advance(IDS_BT, several.start(3))
    np.testing.assert_array_equal(found.logits_BV, wanted.logits_BV)
    np.testing.assert_array_equal(
        several.advance(IDS_BT[:, :2], states)[0].logits_BV,
        one.advance(IDS_BT[:, :2], state)[0].logits_BV,
    )
    short = batch_of(IDS_BT[:, :5])
    np.testing.assert_array_equal(several.score(short)[0], one.score(short)[0])
    jobs = [Job(np.array([2, 3]), index, 40) for index in range(5)]
    chain = Chain([Temperature(0.8), TopK(6)])
    texts = [
        [(each.job, each.element) for each in generate_elements(predictor, jobs, chain, seed=4)]
        for predictor in (one, several)
    ]
    assert texts[0] == texts[1]
    stretches = [[] for _ in jobs]
    for each in continue_jobs(several, jobs, chain, seed=4):
        stretches[each.job] += each.elements
    assert stretches == [
        [element for job, element in texts[0] if job == index] for index in range(len(jobs))
    ]


def test_equal_members_mix_with_counts_as_one_of_them() -> None:
    text_N = np.random.default_rng(1).integers(VOCABULARY, size=400)
    ngram = NGramModel.learn(text_N, VOCABULARY, order=3)
    (own,) = members("gru", (0,))
    one = mixture_of(own, ngram)
    several = mixture_of(AveragedPredictor([own, own], (0.5, 0.5)), ngram)
    wanted, _ = one.advance(IDS_BT, one.start(3))
    found, _ = several.advance(IDS_BT, several.start(3))
    np.testing.assert_array_equal(found.logits_BV, wanted.logits_BV)
    np.testing.assert_array_equal(
        several.score(batch_of(IDS_BT))[0], one.score(batch_of(IDS_BT))[0]
    )


def test_an_element_without_probability_stays_without() -> None:
    own = members("lstm")
    mean = AveragedPredictor(own, (0.5, 0.5))
    logits_BV = np.zeros((1, VOCABULARY), dtype=np.float32)
    logits_BV[:, 3] = -np.inf
    for each in own:
        each.advance = lambda *_, **__: (LogitsDistribution(logits_BV), None)
    found, _ = mean.advance(IDS_BT[:1], mean.start(1))
    np.testing.assert_array_equal(found.logits_BV, logits_BV)


@pytest.mark.parametrize("weights", [(1.0,), (0.5, 0.6), (1.0, 0.0)])
def test_weights_that_are_none_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"weight"):
        AveragedPredictor(members("lstm"), weights)


def test_a_grammar_acts_on_the_mean_in_reading_and_in_scoring() -> None:
    allowed_SV = np.ones((1, VOCABULARY), dtype=np.bool_)
    allowed_SV[0, 4:] = False
    table = GrammarTable(np.zeros((1, VOCABULARY), dtype=np.int32), allowed_SV)
    mean = AveragedPredictor(members("lstm"), (0.5, 0.5))
    restricted = mean.restricted(FiniteGrammar(table))
    ids_BT = IDS_BT % 4
    scores_BT, _ = restricted.score(batch_of(ids_BT))
    state, free = restricted.start(3), mean.start(3)
    for t in range(ids_BT.shape[1] - 1):
        following, state = restricted.advance(ids_BT[:, t : t + 1], state)
        plain, free = mean.advance(ids_BT[:, t : t + 1], free)
        shares_BV = np.exp(log_softmax(plain.logits_BV))[:, :4]
        wanted_BV = np.log(shares_BV / shares_BV.sum(axis=1, keepdims=True))
        found_B = following.log_prob(ids_BT[:, t + 1])
        np.testing.assert_allclose(found_B, wanted_BV[range(3), ids_BT[:, t + 1]], atol=1e-5)
        np.testing.assert_allclose(scores_BT[:, t], found_B, atol=1e-5)


def test_a_forbidden_target_that_is_not_scored_costs_nothing() -> None:
    mean = AveragedPredictor(members("lstm"), (0.5, 0.5))
    batch = batch_of(IDS_BT)
    allowed_BTV = np.ones((*batch.targets.shape, VOCABULARY), dtype=np.bool_)
    allowed_BTV[0, 2, batch.targets[0, 2]] = False
    weights_BT = batch.weights_BT.copy()
    weights_BT[0, 2] = 0.0
    scores_BT, _ = mean.score(replace(batch, allowed_BTV=allowed_BTV, weights_BT=weights_BT))
    assert scores_BT[0, 2] == 0.0
    assert np.isfinite(scores_BT).all()


@pytest.mark.parametrize("family", ["gru", "transformer", "tcn", "classic in a window"])
def test_compiled_members_write_what_their_mean_writes_alone_and_in_a_batch(family: str) -> None:
    own: Any = several(family, (0, 1, 2), (2.0, 1.0, 1.0))
    jobs = [Job(np.array([2, 3]), index, 12 + index) for index in range(6)]
    chain = Chain([Temperature(0.8), TopK(6)])
    assert own.stretches(StretchRequest(jobs, chain, 4, set())) is not None
    wanted: list[list[int]] = [[] for _ in jobs]
    for each in generate_elements(own, jobs, chain, seed=4):
        wanted[each.job].append(each.element)
    for some in (jobs, *([job] for job in jobs)):
        found: list[list[int]] = [[] for _ in some]
        for each in continue_jobs(own, some, chain, seed=4):
            found[each.job] += each.elements
        assert found == [wanted[job.sequence] for job in some]

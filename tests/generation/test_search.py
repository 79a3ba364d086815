"""Search: against brute force on a model small enough to be enumerated, and what must agree with what."""

import importlib
import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.bundle import LogitsDistribution
from rhapsode.config import GenerateSettings
from rhapsode.config.sampling import SamplingSettings
from rhapsode.config.search import SearchSettings, check_search
from rhapsode.counts import SuffixIndex
from rhapsode.encoding.text import CharacterEncoder
from rhapsode.errors import SettingsError
from rhapsode.generation import Chain, Context, Job, chain_of, generate_elements
from rhapsode.generation.filters.contract import Suppress
from rhapsode.generation.filters.control_filters import Bias
from rhapsode.generation.filters.temperature import Temperature
from rhapsode.generation.filters.truncation import TopK
from rhapsode.generation.search import search
from rhapsode.generation.search.beam import (
    Found,
    _Pool,
    beam_search,
    beam_searches,
    best_first,
    stochastic_beam_search,
)
from rhapsode.generation.search.contrastive import contrastive_search
from rhapsode.generation.search.ranking import mean_log_probs, rank_by_likelihood, rank_by_novelty
from rhapsode.modalities.ids.continuation import draw_best
from tests.generation.markov import Markov

PROVE = settings(derandomize=True, deadline=None, max_examples=40)
NOTHING = Chain([])
SEEDS = st.integers(0, 10_000)


def job_of(length: int, prompt: tuple[int, ...] = (), sequence: int = 0) -> Job:
    return Job(np.array(prompt, dtype=np.int64), sequence, length)


def whole(found: Found) -> tuple[int, ...]:
    """The elements, end-of-sequence last if at all."""
    return (*found.elements, 0) if found.end == "stop" else found.elements


def scores(model: Markov, length: int, alpha: float, prompt: tuple[int, ...] = ()) -> dict:
    """Every continuation with its score."""
    endings = model.endings(length, prompt)
    return {path: math.log(share) / len(path) ** alpha for path, share in endings.items()}


@PROVE
@given(
    seed=SEEDS,
    alpha=st.sampled_from([-0.7, 0.0, 0.5, 1.0, 2.0]),
    prompt=st.lists(st.integers(1, 2), max_size=2).map(tuple),
)
def test_beams_for_everything_find_the_best_of_all(
    seed: int, alpha: float, prompt: tuple[int, ...]
) -> None:
    model = Markov.random(3, seed)
    wanted = sorted(scores(model, 4, alpha, prompt).items(), key=lambda each: -each[1])
    found = beam_search(model, job_of(4, prompt), NOTHING, beams=81, length_penalty=alpha)
    assert whole(found[0]) == wanted[0][0]
    for each, (_, score) in zip(found[:8], wanted[:8], strict=True):
        assert each.score == pytest.approx(score, abs=1e-5)
        assert each.log_prob == pytest.approx(score * len(whole(each)) ** alpha, abs=1e-5)


def test_a_search_goes_on_while_a_longer_text_could_come_out_better() -> None:
    share = np.zeros((3, 3, 3)) + np.array([0.005, 0.99, 0.005])
    share[0, 0] = [0.5, 0.49, 0.01]
    (found,) = beam_search(Markov(share), job_of(6), NOTHING, beams=1, length_penalty=1.0)
    assert whole(found) == (1,) * 6
    (found,) = beam_search(Markov(share), job_of(6), NOTHING, beams=1)
    assert whole(found) == (0,)


@PROVE
@given(seed=SEEDS, beams=st.integers(1, 6), alpha=st.sampled_from([0.0, 1.0]))
def test_what_is_found_is_what_it_says(seed: int, beams: int, alpha: float) -> None:
    model = Markov.random(4, seed)
    every = scores(model, 5, alpha)
    found = beam_search(model, job_of(5), NOTHING, beams=beams, length_penalty=alpha)
    assert 1 <= len(found) <= beams
    assert len({whole(each) for each in found}) == len(found)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    for each in found:
        assert 0 not in each.elements  # a finished beam goes no further
        assert each.score == pytest.approx(every[whole(each)], abs=1e-5)


@PROVE
@given(seed=SEEDS, length=st.integers(1, 12))
def test_one_beam_is_greedy(seed: int, length: int) -> None:
    model = Markov.random(4, seed)
    greedy = [
        each.element
        for each in generate_elements(model, [job_of(length)], Chain([Temperature(0)]), seed=1)
    ]
    (found,) = beam_search(model, job_of(length), NOTHING, beams=1)
    assert list(whole(found)) == greedy


@PROVE
@given(seed=SEEDS, beams=st.integers(1, 5))
def test_one_group_without_penalty_is_beam_search_and_more_are_more_of_it(
    seed: int, beams: int
) -> None:
    model = Markov.random(4, seed)
    plain = beam_search(model, job_of(6), NOTHING, beams=beams)
    assert beam_search(model, job_of(6), NOTHING, beams=beams, diversity_penalty=3.0) == plain
    twice = beam_search(model, job_of(6), NOTHING, beams=2 * beams, groups=2)
    assert twice == sorted([*plain, *plain], key=lambda each: -each.score)


def test_groups_keep_off_what_those_before_them_chose() -> None:
    model = Markov.random(5, seed=4)
    chain = Chain([Suppress((0,), 5)])
    alike = beam_search(model, job_of(4), chain, beams=3, groups=3)
    apart = beam_search(model, job_of(4), chain, beams=3, groups=3, diversity_penalty=50.0)
    assert len({each.elements for each in alike}) == 1
    for one, other in itertools.combinations(apart, 2):
        assert all(a != b for a, b in zip(one.elements, other.elements, strict=True))
    every = scores(model, 4, 0.0)
    for each in apart:  # what it cost to be different is no part of the score
        assert each.score == pytest.approx(every[each.elements], abs=1e-5)


def test_the_penalty_of_groups_by_hand() -> None:
    share = np.zeros((3, 3, 3)) + np.array([0.1, 0.5, 0.4])
    found = beam_search(
        Markov(share), job_of(1), NOTHING, beams=2, groups=2, diversity_penalty=math.log(1.2)
    )
    assert [each.elements for each in found] == [(1,), (1,)]
    found = beam_search(
        Markov(share), job_of(1), NOTHING, beams=2, groups=2, diversity_penalty=math.log(1.3)
    )
    assert [each.elements for each in found] == [(1,), (2,)]


def test_what_a_filter_removes_is_not_shared_out() -> None:
    model = Markov.random(4, seed=2)
    chain = Chain([Suppress((0, 2), 4)])
    found = beam_search(model, job_of(3), chain, beams=8)
    every = scores(model, 3, 0.0)
    allowed = {path: score for path, score in every.items() if not {0, 2} & set(path)}
    assert {whole(each) for each in found} == set(allowed)
    for each in found:
        assert each.score == pytest.approx(allowed[whole(each)], abs=1e-5)


def filtered_score(model: Markov, chain: Chain, path: tuple[int, ...]) -> float:
    """The log-probability of a path, every step filtered by a state that starts afresh."""
    prompt = (np.empty(0, dtype=np.int64),)
    before, total = (0, 0), 0.0
    for step, element in enumerate(path):
        output = (np.array(path[:step], dtype=np.int64),)
        context = Context(prompt, output, np.array([step]), np.zeros(1, dtype=np.int64), 0)
        log_1V = model.log_VVV[before][None].astype(np.float32)
        total += float(chain.apply(log_1V, context, chain.init(1))[0][0, element])
        before = (before[1], element)
    return total


REMEMBERING = pytest.mark.parametrize(
    "asked",
    [
        {"repetition_penalty": 1.7},
        {"frequency_penalty": 0.9},
        {"dry_multiplier": 1.5, "dry_allowed_length": 1},
        {"no_repeat_ngram": 2},
    ],
    ids=lambda asked: next(iter(asked)),
)


@REMEMBERING
@pytest.mark.parametrize("beams", [2, 3, 5])
def test_beams_keep_what_filters_remember_of_their_own_text(
    asked: dict[str, Any], beams: int
) -> None:
    for seed in range(8):
        model = Markov.random(5, seed)
        chain = chain_of(SamplingSettings(**asked), vocab_size=5, suppressed=(0,))
        for each in beam_search(model, job_of(12), chain, beams=beams):
            score = filtered_score(model, chain, each.elements)
            assert each.score == pytest.approx(score, abs=1e-4)


@REMEMBERING
def test_beams_find_the_best_of_all_under_filters_that_remember(asked: dict[str, Any]) -> None:
    for seed in range(8):
        model = Markov.random(3, seed)
        chain = chain_of(SamplingSettings(**asked), vocab_size=3, suppressed=())
        every = {path: filtered_score(model, chain, path) for path in model.endings(5)}
        wanted = sorted((score for score in every.values() if score > -np.inf), reverse=True)
        found = beam_search(model, job_of(5), chain, beams=81)
        assert [each.score for each in found] == pytest.approx(wanted, abs=1e-4)
        for each in found:
            assert each.score == pytest.approx(every[whole(each)], abs=1e-4)


def test_nothing_to_write() -> None:
    model = Markov.random(4)
    for settings_ in (SearchSettings(beams=3), SearchSettings(beams=3, stochastic_beams=True)):
        (found,) = search(model, job_of(0), NOTHING, settings_, seed=1)
        assert (found.elements, found.end) == ((), "length")


@PROVE
@given(seed=SEEDS)
def test_a_sample_of_everything_is_everything(seed: int) -> None:
    model = Markov.random(3, seed)
    every = scores(model, 3, 0.0)
    found = stochastic_beam_search(model, job_of(3), NOTHING, beams=60, seed=seed)
    assert {whole(each) for each in found} == set(every)
    assert len(found) == len(every)
    for each in found:
        assert each.log_prob == pytest.approx(every[whole(each)], abs=1e-5)


def assert_shares(found: Counter, share: dict[Any, float], count: int) -> None:
    """Chi-square: within four and a half deviations; rare outcomes taken together."""
    assert set(found) <= set(share)
    assert sum(share.values()) == pytest.approx(1)
    frequent = {key: chance for key, chance in share.items() if chance * count >= 5}
    rest = 1 - sum(frequent.values())
    statistic = sum(
        (found[key] - chance * count) ** 2 / (chance * count) for key, chance in frequent.items()
    )
    if rest * count > 1:
        rare = count - sum(found[key] for key in frequent)
        statistic += (rare - rest * count) ** 2 / (rest * count)
    assert abs(statistic - len(frequent)) < 4.5 * math.sqrt(2 * len(frequent))


@pytest.mark.parametrize("chain", [NOTHING, Chain([Temperature(0.6)])], ids=["plain", "cold"])
def test_stochastic_beams_are_drawn_without_replacement(chain: Chain) -> None:
    model = Markov.random(3, seed=1)
    share = dict(model.endings(2))
    if chain is not NOTHING:
        cold = Markov(model.share_VVV ** (1 / 0.6))
        share = dict(cold.endings(2))
    pairs = {
        (one, other): share[one] * share[other] / (1 - share[one])
        for one, other in itertools.permutations(share, 2)
    }
    count = 3000
    found = Counter()
    for sequence in range(count):
        one, other = stochastic_beam_search(
            model, job_of(2, sequence=sequence), chain, beams=2, seed=11
        )
        found[whole(one), whole(other)] += 1
    assert_shares(found, pairs, count)
    inclusion = {
        path: sum(chance for pair, chance in pairs.items() if path in pair) / 2 for path in share
    }
    single = Counter(path for pair, times in found.items() for path in pair for _ in range(times))
    assert_shares(single, inclusion, 2 * count)


def test_stochastic_beams_depend_on_seed_and_sequence_only() -> None:
    model = Markov.random(4, seed=3)

    def texts(seed: int, sequence: int) -> list[Found]:
        return stochastic_beam_search(
            model, job_of(8, sequence=sequence), NOTHING, beams=3, seed=seed
        )

    assert texts(1, 2) == texts(1, 2)
    assert len({tuple(map(whole, texts(a, b))) for a in range(3) for b in range(3)}) > 6


class Featured(Markov):
    """Features are the element itself, one-hot, and a little of all."""

    def advance(
        self,
        elements: np.ndarray,
        state: np.ndarray,
        known_BUX: np.ndarray | None = None,
        *,
        features: bool = False,
    ) -> tuple[LogitsDistribution, np.ndarray]:
        following, state = super().advance(elements, state)
        if features:
            following.features_BTH = np.eye(self.vocab_size, dtype=np.float32)[elements] + 0.01
        return following, state


def test_contrastive_search_by_hand() -> None:
    # Always 1 with 0.6, 2 with 0.3, 3 with 0.1: a repetition costs nearly alpha.
    model = Featured(np.zeros((4, 4, 4)) + np.array([1e-9, 0.6, 0.3, 0.1]))
    chain = Chain([TopK(3)])
    greedy = contrastive_search(model, job_of(4), chain, alpha=0.0)
    assert greedy.elements == (1, 1, 1, 1)
    apart = contrastive_search(model, job_of(4), chain, alpha=0.5)
    assert apart.elements[:3] == (1, 2, 3)
    prompted = contrastive_search(model, job_of(1, prompt=(1,)), chain, alpha=0.5)
    assert prompted.elements == (2,)
    assert apart.log_prob == pytest.approx(-model.loss(apart.elements), abs=1e-5)


def test_the_candidates_of_contrastive_search_keep_their_share_of_all() -> None:
    # Of 1 with 0.4 and 2 with 0.3, the gap of 0.1 is worth less than a repetition; as shares of 0.7 it would be more.
    model = Featured(np.zeros((6, 6, 6)) + np.array([1e-9, 0.4, 0.3, 0.1, 0.1, 0.1]))
    found = contrastive_search(model, job_of(2), Chain([TopK(2)]), alpha=0.11)
    assert found.elements == (1, 2)


def test_contrastive_search_whose_candidates_may_not_be_written() -> None:
    model = Featured(np.zeros((4, 4, 4)) + np.array([1e-9, 0.6, 0.3, 0.1]))
    with pytest.raises(
        SettingsError, match="the constraints exclude all elements that top_k keeps"
    ):
        contrastive_search(model, job_of(2), Chain([TopK(1), Suppress((1,), 4)]), alpha=0.5)


def test_a_beam_is_not_given_up_before_a_bias_makes_it_the_best() -> None:
    # The end is likely at once; 2 is favoured, and comes behind 1 only.
    share_VVV = np.zeros((3, 3, 3)) + np.array([0.95, 0.05, 1e-9])
    share_VVV[:, 1] = [1e-9, 1e-9, 1.0]
    found = beam_search(Markov(share_VVV), job_of(2), Chain([Bias({2: 6.0}, 3)]), beams=1)
    assert found[0].elements == (1, 2)


def test_a_search_of_no_known_length_ends_by_itself() -> None:
    # The end is favoured, but comes once only.
    model = Markov(np.zeros((3, 3, 3)) + np.array([0.6, 0.3, 0.1]))
    chain = Chain([Bias({0: 2.0}, 3)])
    found = beam_search(model, job_of(10**40), chain, beams=2)
    assert found[0].elements == ()
    assert found == beam_search(model, job_of(40), chain, beams=2)


def test_no_length_is_too_long_for_its_weight() -> None:
    pool = _Pool(1, 10.0, 10**400)
    pool.add(np.array([1]), -1.0, "length")
    assert pool.open(-2.0, 1)


def test_contrastive_search_needs_features() -> None:
    with pytest.raises(
        SettingsError, match="--penalty-alpha: contrastive search needs the features"
    ):
        contrastive_search(Markov.random(4), job_of(3), NOTHING, alpha=0.5)


@PROVE
@given(seed=SEEDS, sizes=st.lists(st.integers(0, 6), min_size=1, max_size=5))
def test_mean_log_probs_are_those_of_the_model(seed: int, sizes: list[int]) -> None:
    model = Markov.random(4, seed)
    random = np.random.default_rng(seed)
    outputs = [random.integers(1, 4, size=size).tolist() for size in sizes]
    prompt = (2, 1)
    means = mean_log_probs(model, np.array(prompt), outputs)
    for output, mean in zip(outputs, means, strict=True):
        if output:
            assert mean == pytest.approx(-model.loss(output, prompt) / len(output), abs=1e-5)
        else:
            assert mean == -np.inf


def test_the_likeliest_comes_first() -> None:
    model = Markov(np.zeros((4, 4, 4)) + np.array([0.1, 0.5, 0.3, 0.1]))
    outputs = [[3], [1, 2], [1, 1, 1], [2, 2], []]
    assert rank_by_likelihood(model, np.empty(0, dtype=np.int64), outputs) == [2, 1, 3, 0, 4]


def test_every_best_is_picked_from_draws_of_its_own() -> None:
    encoder = CharacterEncoder.learn(["abcabaab"], {})
    model = Markov.random(encoder.vocab_size, seed=1)
    chain = Chain([Suppress((0, 1), encoder.vocab_size)])
    asked = GenerateSettings(count=5, best_of=3, seed=4)
    drawn: list[list[int]] = [[] for _ in range(15)]
    jobs = [job_of(12, (2,), sequence) for sequence in range(15)]
    for one in generate_elements(model, jobs, chain, seed=4):
        drawn[one.job].append(one.element)
    wanted = []
    for first in range(0, 15, 3):
        own = drawn[first : first + 3]
        means = [-model.loss(ids, (0, 2)) / len(ids) for ids in own]
        wanted.append(own[int(np.argmax(means))])
    best = draw_best(model, encoder, np.array([2]), chain, asked, length=12, open_index=None)
    found = list(best)
    assert [each.text for each in found] == [encoder.decode(ids) for ids in wanted]
    assert len({each.text for each in found}) == 5


def test_what_copies_least_comes_first() -> None:
    index = SuffixIndex.build([2, 3, 4, 5, 6, 0, 7, 8, 9, 0], separator=0)
    outputs = [[2, 3, 4, 5, 0], [7, 8, 2, 2], [20, 21], [], [0], [7, 8, 9, 0], [2, 3, 20, 20]]
    assert rank_by_novelty(index, outputs) == [2, 6, 1, 5, 0, 3, 4]


@PROVE
@given(
    values=st.lists(st.sampled_from([0.0, 1.0, 2.0, -1.0, -math.inf]), max_size=12),
    most=st.integers(1, 6),
)
def test_the_best_first_with_ties_in_order(values: list[float], most: int) -> None:
    finite = [place for place, value in enumerate(values) if value > -math.inf]
    wanted = sorted(finite, key=lambda place: (-values[place], place))[:most]
    assert best_first(np.array(values, dtype=np.float64), most).tolist() == wanted


@pytest.mark.parametrize(
    ("asked", "sampling", "count", "message"),
    [
        ({"length_penalty": 1.0}, {}, 1, "--length-penalty: it applies only to a beam search"),
        ({"stochastic_beams": True}, {}, 1, "--stochastic-beams: it applies only to a beam"),
        ({"beams": 4}, {"temperature": 0.7}, 1, "--temperature: this search draws no elements"),
        ({"beams": 4}, {"top_p": 0.9}, 1, "--top-p: this search draws no elements"),
        ({"beams": 4}, {"min_p": 0.1}, 1, "--min-p: this search draws no elements"),
        ({"beams": 4}, {}, 5, "4 beams cannot give 5 continuations"),
        ({"beams": 4, "best_of": 2}, {}, 1, "--best-of: it ranks drawn continuations"),
        ({"beams": 4, "penalty_alpha": 0.5}, {"top_k": 4}, 1, "contrastive search has no beams"),
        ({"beams": 4, "beam_groups": 3}, {}, 1, "cannot be divided evenly"),
        ({"beams": 4, "diversity_penalty": 1.0}, {}, 1, "there is only one; see --beam-groups"),
        (
            {"beams": 4, "stochastic_beams": True, "length_penalty": 1.0},
            {},
            1,
            "stochastic beams are a sample, without ranking",
        ),
        (
            {"beams": 4, "stochastic_beams": True},
            {"trace": 2},
            1,
            "--trace: stochastic beams are drawn as whole sequences; see --stochastic-beams",
        ),
        ({"rank_by": "novelty"}, {}, 1, "there is only one continuation to rank; see --best-of"),
        ({"penalty_alpha": 0.5}, {}, 1, "a number of candidates; see --top-k"),
        ({"penalty_alpha": 0.5}, {"top_k": 4}, 2, "finds one continuation"),
        ({"penalty_alpha": 0.5}, {"top_k": 4, "top_p": 0.5}, 1, "--top-p: this search draws"),
        ({"penalty_alpha": 0.5, "best_of": 3}, {"top_k": 4}, 1, "--best-of"),
    ],
)
def test_contradictions_are_refused(
    asked: dict[str, Any], sampling: dict[str, Any], count: int, message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        check_search(SearchSettings(**asked), SamplingSettings(**sampling), count=count)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "sampling", "count"),
    [
        ({}, {"temperature": 0.5, "top_k": 3}, 9),
        ({"beams": 4}, {"no_repeat_ngram": 3, "repetition_penalty": 1.2}, 4),
        ({"beams": 4, "stochastic_beams": True}, {"temperature": 0.5}, 4),
        ({"beams": 6, "beam_groups": 3, "diversity_penalty": 1.0}, {}, 2),
        ({"penalty_alpha": 0.5}, {"top_k": 4}, 1),
        ({"best_of": 4, "rank_by": "novelty"}, {"temperature": 0.5}, 3),
    ],
)
def test_what_goes_together(asked: dict[str, Any], sampling: dict[str, Any], count: int) -> None:
    check_search(SearchSettings(**asked), SamplingSettings(**sampling), count=count)


def test_search_does_what_settings_say() -> None:
    model = Featured.random(4, seed=5)
    job = job_of(6)
    beams = search(model, job, NOTHING, SearchSettings(beams=3, length_penalty=1.0), seed=1)
    assert beams == beam_search(model, job, NOTHING, beams=3, length_penalty=1.0)
    drawn = search(model, job, NOTHING, SearchSettings(beams=3, stochastic_beams=True), seed=1)
    assert drawn == stochastic_beam_search(model, job, NOTHING, beams=3, seed=1)
    chain = Chain([TopK(2)])
    (one,) = search(model, job, chain, SearchSettings(penalty_alpha=0.4), seed=1)
    assert one == contrastive_search(model, job, chain, alpha=0.4)


@pytest.mark.parametrize("context", ["carried", "window:5"])
def test_features_are_those_behind_what_is_read(context: str) -> None:
    import torch

    from rhapsode.bundle import Component, NetworkConfig
    from rhapsode.bundle.network import build_network
    from rhapsode.bundle.torch_predictor import torch_predictor
    from rhapsode.config import parse_context

    torch.manual_seed(0)
    network = build_network(
        NetworkConfig(
            Component("table", {"vocab_size": 7, "embedding_size": 4}),
            Component("lstm", {"hidden_size": 6}),
            Component("categorical", {"vocab_size": 7}),
            context,
        )
    )
    predictor = torch_predictor(network, 7, parse_context(context))
    ids_BT = np.random.default_rng(0).integers(7, size=(3, 9))
    following, behind = predictor.advance(ids_BT, predictor.start(3))
    assert following.features_BTH is None
    wanted_BV = following.logits_BV
    told, state = predictor.advance(ids_BT, predictor.start(3), features=True)
    np.testing.assert_allclose(told.logits_BV, wanted_BV, atol=1e-6)
    features_BTH = told.features_BTH
    assert features_BTH is not None
    assert features_BTH.shape == (3, 9 if context == "carried" else 5, 6)
    headed_BV = network.head(torch.from_numpy(features_BTH[:, -1:]))[:, 0].detach().numpy()
    np.testing.assert_allclose(headed_BV, wanted_BV, atol=1e-6)
    one_B1 = ids_BT[:, :1]
    more, _ = predictor.advance(one_B1, state, features=True)
    wanted_BV = predictor.advance(one_B1, behind)[0].logits_BV
    np.testing.assert_allclose(more.logits_BV, wanted_BV, atol=1e-6)
    assert more.features_BTH is not None
    assert more.features_BTH.shape == (3, 1, 6)
    found = contrastive_search(predictor, job_of(12, (2, 3)), Chain([TopK(3)]), alpha=0.6)
    assert len(found.elements) == 12 or found.end == "stop"


@PROVE
@given(
    seed=SEEDS,
    lengths=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    beams=st.sampled_from([1, 2, 4]),
    groups=st.sampled_from([1, 2]),
    alpha=st.sampled_from([0.0, 1.0]),
)
def test_searches_side_by_side_are_those_of_each_job(
    seed: int, lengths: list[int], beams: int, groups: int, alpha: float
) -> None:
    model = Markov.random(4, seed)
    jobs = [job_of(length, (1 + row % 3,)) for row, length in enumerate(lengths)]
    how: dict[str, Any] = {
        "beams": beams * groups,
        "groups": groups,
        "length_penalty": alpha,
        "diversity_penalty": 0.5 if groups > 1 else 0.0,
    }
    together = beam_searches(model, jobs, NOTHING, **how)
    for found, job in zip(together, jobs, strict=True):
        alone = beam_search(model, job, NOTHING, **how)
        assert [whole(each) for each in found] == [whole(each) for each in alone]
        assert [each.log_prob for each in found] == pytest.approx([e.log_prob for e in alone])


def test_ranking_all_jobs_in_one_call_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("rhapsode.generation.search.beam")
    for seed in range(12):
        model = Markov.random(5, seed)
        jobs = [job_of(1 + (row + seed) % 6, (1 + row % 4,)) for row in range(5)]
        for beams in (1, 2, 5):
            found = []
            for most in (1 << 22, 0):
                monkeypatch.setattr(module, "AT_ONCE", most)
                found.append(beam_searches(model, jobs, NOTHING, beams=beams))
            assert found[0] == found[1]


@PROVE
@given(
    seed=SEEDS,
    length=st.integers(1, 5),
    beams=st.sampled_from([2, 3, 5]),
    groups=st.sampled_from([1, 2]),
    alpha=st.sampled_from([0.0, 0.5, 2.0]),
    most=st.integers(1, 4),
)
def test_fewer_continuations_are_the_best_of_all(
    *, seed: int, length: int, beams: int, groups: int, alpha: float, most: int
) -> None:
    model, jobs = Markov.random(4, seed), [job_of(length, (1,)), job_of(length, (2, 3))]
    how: dict[str, Any] = {
        "beams": beams * groups,
        "groups": groups,
        "length_penalty": alpha,
        "diversity_penalty": 0.5 if groups > 1 else 0.0,
    }
    every = beam_searches(model, jobs, NOTHING, **how)
    some = beam_searches(model, jobs, NOTHING, **how, most=most)
    for all_of_one, best in zip(every, some, strict=True):
        assert [whole(each) for each in best] == [whole(each) for each in all_of_one[:most]]

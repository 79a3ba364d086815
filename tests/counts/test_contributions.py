"""Contributions add up to the gain of the mixture, and are those of the path that scores."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rhapsode.bundle import log_softmax
from rhapsode.counts.mixing.contributions import Groups, contributions, integrated, told
from rhapsode.counts.mixing.experts import Experts
from tests.counts.test_experts import (
    CASES,
    ELEMENTS,
    PROVE,
    SOME,
    VOCABULARY,
    Counted,
    logits_of,
    uneven,
)

WHOLE = Counted(SOME, (0, 20, 41), 5, 0, remember=True)


def experts_of(case: Counted) -> Experts:
    return case.experts(uneven(case.experts())[: case.experts().weight_F.size])


@PROVE
@given(case=CASES, read=st.lists(ELEMENTS, min_size=1, max_size=30), barred=ELEMENTS)
@example(WHOLE, list(SOME[:30]), 3)
@example(replace(WHOLE, keep=True), list(SOME[:30]), 0)
def test_contributions_add_up(case: Counted, read: list[int], barred: int) -> None:
    experts = experts_of(case)
    logits_1UV = logits_of(1, 1)
    logits_1UV[0, 0, barred] = -np.inf
    mixed_1UV, state = experts.mix(np.array([read]), experts.start(1), logits_1UV)
    found = contributions(experts, state, 0, logits_1UV[0, 0])
    allowed_V = np.arange(VOCABULARY) != barred
    gain_V = found.mixture_V[allowed_V] - found.network_V[allowed_V]
    assert found.nats_GV[:, allowed_V].sum(axis=0) == pytest.approx(gain_V, abs=1e-9)
    assert not found.nats_GV[:, barred].any()
    np.testing.assert_allclose(found.mixture_V, mixed_1UV[0, 0], atol=1e-4)
    np.testing.assert_allclose(found.network_V, log_softmax(logits_1UV[0, 0]), atol=1e-9)
    assert len(found.nats_GV) == len(found.groups) == len(set(found.groups))
    one = found.of(int(found.mixture_V.argmax()))
    assert sum(one.nats.values()) == pytest.approx(one.mixture - one.network, abs=1e-9)


@pytest.mark.parametrize("opening", [None, 0])
def test_counts_alone_are_kneser_ney(opening: int | None) -> None:
    case = replace(WHOLE, opening=opening, remember=False)
    experts, read = experts_of(case), [1, 2, 1]
    _, state = experts.mix(np.array([read]), experts.start(1), logits_of(1, 1))
    found = contributions(experts, state, 0, logits_of(1, 1)[0, 0])
    model = case.model().view(5, "kneser_ney")
    wanted_1V = model.distribution(model.advance(np.array([read]), model.start(1)))
    assert np.exp(found.counts_V) == pytest.approx(wanted_1V[0], abs=1e-6)


def test_contributions_are_integrals_along_the_way() -> None:
    random = np.random.default_rng(2)
    network_V, term_GV = log_softmax(3 * random.normal(size=7)), 4 * random.normal(size=(3, 7))
    steps = (np.arange(20_000) + 0.5) / 20_000
    share_SV = np.exp(log_softmax(network_V + steps[:, None] * term_GV.sum(axis=0)))
    wanted_GV = term_GV - (share_SV @ term_GV.T).mean(axis=0)[:, None]
    assert integrated(network_V, term_GV) == pytest.approx(wanted_GV, abs=1e-6)


def test_a_group_that_agrees_with_the_network_adds_nothing() -> None:
    network_V = log_softmax(np.arange(5.0))
    term_GV = np.stack((np.full(5, 3.0), np.array([0.0, 2.0, 0.0, 0.0, 0.0])))
    found_GV = integrated(network_V, term_GV)
    assert found_GV[0] == pytest.approx(0.0, abs=1e-9)
    assert found_GV[1, 1] > 0 > found_GV[1, 0]


def test_even_the_strongest_terms_add_up() -> None:
    network_V = log_softmax(np.array([0.0, -80.0, 3.0]))
    term_GV = np.array([[0.0, 400.0, 0.0], [30.0, 0.0, -500.0]])
    wanted_V = log_softmax(network_V + term_GV.sum(axis=0)) - network_V
    assert integrated(network_V, term_GV).sum(axis=0) == pytest.approx(wanted_V, abs=1e-9)


@PROVE
@given(
    case=CASES,
    read=st.lists(ELEMENTS, min_size=1, max_size=20),
    resets=st.sets(st.integers(0, 19)),
)
@example(WHOLE, list(SOME[:20]), {0, 12})
def test_parts_of_the_mixture_are_those_of_scoring(
    case: Counted, read: list[int], resets: set[int]
) -> None:
    experts, time = experts_of(case), len(read)
    ids_1T, targets_1T = np.array([read]), np.roll([read], -1, axis=1)
    own_1TV = log_softmax(logits_of(1, time)).astype(np.float32)
    reset_1T = np.array([[t in resets for t in range(time)]])
    scored_1T = np.arange(time)[None] != 1
    found_1TC = told(
        experts, ids_1T, experts.start(1), own_1TV, targets_1T,
        scored_BT=scored_1T, reset_BT=reset_1T,
    )  # fmt: skip

    def at_targets(log_prob_1TV: np.ndarray) -> np.ndarray:
        scores_1T = np.take_along_axis(log_prob_1TV, targets_1T[..., None], -1)[..., 0]
        return np.where(scored_1T, scores_1T, 0)

    def mixed(weight_F: np.ndarray) -> np.ndarray:
        other = case.experts(weight_F)
        mixed_1TV, _ = other.mix(ids_1T, other.start(1), own_1TV, reset_BT=reset_1T)
        return at_targets(mixed_1TV)

    groups = Groups.of(experts)
    assert found_1TC[..., 0] == pytest.approx(at_targets(own_1TV), abs=1e-5)
    assert found_1TC[..., 2] == pytest.approx(mixed(experts.weight_F), abs=1e-4)
    for number in range(len(groups.names)):
        group_F = groups.group_F[: len(experts.weight_F)]
        without_F = np.where(group_F == number, 0, experts.weight_F)
        assert found_1TC[..., 3 + number] == pytest.approx(mixed(without_F), abs=1e-4)


def test_groups_have_names() -> None:
    assert Groups.of(experts_of(replace(WHOLE, order=3))).names == (
        "network", "frequency", "context_1", "context_2", "word", "word_before", "read",
    )  # fmt: skip
    plain = Counted(SOME, order=2, words=False)
    assert Groups.of(experts_of(plain)).names == ("network", "frequency", "context_1")

"""Models that learn from what they have scored: the cache against brute force, and that nothing is learnt too early."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rhapsode.bundle import Component, NetworkConfig
from rhapsode.bundle.adapting import Adapted, AdaptSettings, adapted_losses
from rhapsode.bundle.network import Network, build_network
from rhapsode.data import Batch, sweep, sweep_fresh, sweep_windows

VOCABULARY = 7
WAYS = ("static", "dynamic", "cache", "both")
FAMILIES = {
    "lstm": {"hidden_size": 8, "num_layers": 2, "dropout": 0.5},
    "gru": {"hidden_size": 8},
    "rnn": {"hidden_size": 8},
    "tcn": {"hidden_size": 8, "num_layers": 2},
    "transformer": {"num_layers": 2, "num_heads": 2, "window": 6, "dropout": 0.5},
}
QUICK = AdaptSettings(
    segment=5, learning_rate=0.02, decay=0.01, cache_size=12, theta=3.0, cache_share=0.3
)


def network(family: str = "lstm") -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_network(
            NetworkConfig(
                input=Component("table", {"vocab_size": VOCABULARY, "embedding_size": 8}),
                model=Component(family, FAMILIES[family]),
                head=Component("categorical", {"vocab_size": VOCABULARY}),
            )
        )


def text(length: int = 60, seed: int = 0) -> NDArray[np.unsignedinteger]:
    return np.random.default_rng(seed).integers(VOCABULARY, size=length).astype(np.uint16)


def adapted(
    ids_N: NDArray[np.unsignedinteger],
    settings: AdaptSettings = QUICK,
    family: str = "lstm",
    model: Network | None = None,
    **more: float,
) -> Adapted:
    batches = sweep(ids_N, lanes=1, window=settings.segment)
    return adapted_losses(model or network(family), batches, settings, **more)


@torch.no_grad()
def read_at_once(
    ids_N: NDArray[np.unsignedinteger], model: Network
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit features (N, H) and probabilities (N, V) of one pass over the whole text."""
    inputs = torch.from_numpy(np.concatenate(([0], ids_N[:-1])).astype(np.int64))[None]
    y_BTH, _ = model.eval().model(model.input(inputs))
    y_NH = y_BTH[0].double().numpy()
    probability_NV = model.head(y_BTH)[0].double().softmax(-1).numpy()
    return y_NH / np.linalg.norm(y_NH, axis=1, keepdims=True), probability_NV


@pytest.mark.parametrize("family", FAMILIES)
def test_all_four_are_reported_and_the_static_one_is_the_model_as_it_is(family: str) -> None:
    ids_N = text()
    found = adapted(ids_N, family=family)
    assert tuple(found.nats) == WAYS
    assert found.diverged is None
    np.testing.assert_array_equal(found.positions_N, np.arange(60))
    _, probability_NV = read_at_once(ids_N, network(family))
    wanted_N = -np.log(probability_NV[np.arange(60), ids_N])
    np.testing.assert_allclose(found.nats["static"], wanted_N, rtol=0, atol=1e-5)
    for name in WAYS[1:]:
        assert np.abs(found.nats[name] - found.nats["static"]).max() > 0.01


@pytest.mark.parametrize("family", FAMILIES)
def test_the_cache_is_the_sum_over_what_was_seen(family: str) -> None:
    ids_N = text(40)
    unit_NH, probability_NV = read_at_once(ids_N, network(family))
    wanted = []
    for place in range(40):
        chance = probability_NV[place, ids_N[place]]
        first = max(0, place - QUICK.cache_size)
        votes = [np.exp(QUICK.theta * unit_NH[place] @ unit_NH[i]) for i in range(first, place)]
        right = [
            v for i, v in zip(range(first, place), votes, strict=True) if ids_N[i] == ids_N[place]
        ]
        if votes:
            chance = 0.7 * chance + 0.3 * sum(right) / sum(votes)
        wanted.append(-np.log(chance))
    np.testing.assert_allclose(
        adapted(ids_N, family=family).nats["cache"], wanted, rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("place", [0, 1, 4, 5, 23])
def test_every_way_is_a_distribution(place: int) -> None:
    ids_N = text(24)
    total = dict.fromkeys(WAYS, 0.0)
    for element in range(VOCABULARY):
        changed_N = ids_N[: place + 1].copy()
        changed_N[place] = element
        found = adapted(changed_N)
        for name in WAYS:
            total[name] += float(np.exp(-found.nats[name][place]))
    assert total == pytest.approx(dict.fromkeys(WAYS, 1.0), abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("place", [3, 5, 17])
def test_what_comes_later_changes_nothing_before_it(place: int, family: str) -> None:
    ids_N = text(30)
    changed_N = ids_N.copy()
    changed_N[place:] = (changed_N[place:] + 1) % VOCABULARY
    one, other = adapted(ids_N, family=family), adapted(changed_N, family=family)
    for name in WAYS:
        np.testing.assert_array_equal(one.nats[name][:place], other.nats[name][:place])
        assert not np.allclose(one.nats[name][place + 1 :], other.nats[name][place + 1 :])


def test_nothing_is_learnt_from_a_segment_before_it_is_scored() -> None:
    ids_N = text(20)
    found = adapted(ids_N)
    np.testing.assert_allclose(
        found.nats["dynamic"][:5], found.nats["static"][:5], rtol=0, atol=1e-6
    )
    assert np.abs(found.nats["dynamic"][5:10] - found.nats["static"][5:10]).max() > 1e-3


def test_without_a_share_the_cache_is_silent() -> None:
    found = adapted(text(), replace(QUICK, cache_share=0.0))
    np.testing.assert_allclose(found.nats["cache"], found.nats["static"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.nats["both"], found.nats["dynamic"], rtol=0, atol=1e-6)


def test_without_a_rate_nothing_is_learnt() -> None:
    found = adapted(text(), replace(QUICK, learning_rate=0.0))
    np.testing.assert_allclose(found.nats["dynamic"], found.nats["static"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.nats["both"], found.nats["cache"], rtol=0, atol=1e-6)


def test_decay_leads_back_to_the_original_weights() -> None:
    far, near = (adapted(text(), replace(QUICK, decay=decay)) for decay in (0.0, 1.0))
    gap = {
        id(found): float(np.abs(found.nats["dynamic"] - found.nats["static"]).mean())
        for found in (far, near)
    }
    assert 0 < gap[id(near)] < gap[id(far)]


@pytest.mark.parametrize("training", [True, False])
def test_the_network_handed_in_is_left_as_it_is(training: bool) -> None:
    held = network().train(training)
    for parameter in held.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {name: tensor.clone() for name, tensor in held.state_dict().items()}
    adapted(text(), model=held)
    assert all(torch.equal(before[name], tensor) for name, tensor in held.state_dict().items())
    assert all(p.grad is not None and bool((p.grad == 1).all()) for p in held.parameters())
    assert all(module.training is training for module in held.modules())


def test_a_text_that_repeats_gets_cheaper() -> None:
    found = adapted(
        np.tile(text(20), 30), replace(QUICK, cache_size=100, theta=60.0, cache_share=0.5)
    )
    late = {name: float(found.nats[name][-100:].mean()) for name in WAYS}
    assert late["dynamic"] < late["static"] - 0.3
    assert late["cache"] < late["static"] - 0.1
    assert late["both"] < late["dynamic"]


def test_a_learner_that_breaks_down_is_not_reported() -> None:
    for rate in (1e3, 1e30):
        found = adapted(text(), replace(QUICK, learning_rate=rate))
        assert found.diverged is not None
        assert found.diverged >= 5
        assert tuple(found.nats) == tuple(found.seconds) == ("static", "cache")
        sound = adapted(text())
        for name in found.nats:
            np.testing.assert_array_equal(found.nats[name], sound.nats[name])


def test_weights_that_are_no_numbers_break_down_at_once() -> None:
    held = network()
    with torch.no_grad():
        next(held.head.parameters()).fill_(float("nan"))
    assert adapted(text(10), model=held).diverged == 0


def test_reading_ends_with_the_time() -> None:
    ticks = iter(range(10_000))
    found = adapted_losses(
        network(),
        sweep(text(), lanes=1, window=5),
        QUICK,
        seconds=10.0,
        clock=lambda: float(next(ticks)),
    )
    assert 5 <= len(found.positions_N) < 60
    assert all(len(nats_N) == len(found.positions_N) for nats_N in found.nats.values())
    assert len(adapted(text(), seconds=0.0).positions_N) == 5
    # What each way took: reading twice, mixing twice, learning once.
    assert found.seconds["cache"] > found.seconds["static"] > 0
    assert found.seconds["both"] > found.seconds["dynamic"] > 0


def given(batches: Iterator[Batch], given_N: NDArray[np.bool_]) -> Iterator[Batch]:
    for batch in batches:
        assert batch.positions_BT is not None
        yield replace(batch, weights_BT=batch.weights_BT * ~given_N[batch.positions_BT])


def test_what_is_given_is_neither_scored_nor_learnt() -> None:
    ids_N = text(30)
    given_N = np.zeros(30, dtype=bool)
    given_N[3:11] = True  # more than a whole segment
    found = adapted_losses(network(), given(sweep(ids_N, lanes=1, window=5), given_N), QUICK)
    np.testing.assert_array_equal(found.positions_N, np.flatnonzero(~given_N))
    whole = adapted(ids_N)
    np.testing.assert_allclose(
        found.nats["static"], whole.nats["static"][~given_N], rtol=0, atol=1e-6
    )
    assert not np.allclose(found.nats["cache"][5:], whole.nats["cache"][~given_N][5:])


def test_documents_begin_afresh_but_what_was_learnt_stays() -> None:
    ids_N = np.tile(text(10), 2)
    batches = (
        batch
        for begin in (0, 10)
        for batch in sweep_fresh(ids_N[: begin + 10], np.array([begin]), rows=1, window=5)
    )
    found = adapted_losses(network(), batches, QUICK)
    static_N = found.nats["static"]
    np.testing.assert_allclose(static_N[:10], static_N[10:], rtol=0, atol=1e-6)
    for name in WAYS[1:]:
        assert found.nats[name][10:].mean() < found.nats[name][:10].mean()


def test_windows_are_read_from_the_zero_state() -> None:
    ids_N = text(30)
    found = adapted_losses(
        network("transformer"), sweep_windows(ids_N, size=4, rows=5), QUICK, carried=False
    )
    np.testing.assert_array_equal(found.positions_N, np.arange(30))
    inputs = torch.from_numpy(ids_N[16:20].astype(np.int64))[None]
    with torch.no_grad():
        logits = network("transformer").eval()(inputs)[0][0, -1]
    wanted = -float(logits.log_softmax(-1)[int(ids_N[20])])
    assert found.nats["static"][20] == pytest.approx(wanted, abs=1e-5)
    assert np.abs(found.nats["dynamic"][9:] - found.nats["static"][9:]).max() > 1e-3


def within(ids_N: NDArray[np.unsignedinteger], allowed_V: NDArray[np.bool_]) -> Adapted:
    """The losses where the same elements are allowed everywhere."""
    batches = (
        replace(batch, allowed_BTV=np.tile(allowed_V, (*batch.targets.shape, 1)))
        for batch in sweep(ids_N, lanes=1, window=QUICK.segment)
    )
    return adapted_losses(network(), batches, QUICK)


def test_every_way_is_normalised_over_what_is_allowed() -> None:
    ids_N = text()
    free, all_allowed = adapted(ids_N), within(ids_N, np.ones(VOCABULARY, dtype=np.bool_))
    for name in WAYS:
        np.testing.assert_array_equal(all_allowed.nats[name], free.nats[name])
    allowed_V = np.arange(VOCABULARY) < 3
    share = dict.fromkeys(WAYS, 0.0)
    for last in range(3):
        ids_N = np.append(text() % 3, last).astype(np.uint16)
        for name, nats_N in within(ids_N, allowed_V).nats.items():
            share[name] += float(np.exp(-nats_N[-1]))
    assert share == pytest.approx(dict.fromkeys(WAYS, 1.0), abs=1e-5)
    alone = within(np.full(30, 4, dtype=np.uint16), np.arange(VOCABULARY) == 4)
    assert not alone.nats["static"].any()
    assert np.abs(alone.nats["both"]).max() < 1e-6

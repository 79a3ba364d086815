"""Encodings that are found out, and the line that networks begin at."""

import numpy as np
import pytest
import torch

from rhapsode.bundle import Component, NetworkConfig
from rhapsode.bundle.network import build_network
from rhapsode.data import ValueArrays
from rhapsode.encoding.series import SeriesEncoder, SeriesEncoderSettings
from rhapsode.modalities.series.fitting.encoding_choice import choose_encoding, planned_lags
from rhapsode.modalities.series.fitting.linear_start import ridge, start_linear

RANDOM = np.random.default_rng(0)
STEPS = np.arange(600)


def walk(length: int = 600) -> np.ndarray:
    return np.asarray(RANDOM.normal(size=length).cumsum())


def test_a_stationary_series_is_taken_as_it_is() -> None:
    noise = RANDOM.normal(size=800)
    y = np.zeros(800)
    for t in range(2, 800):
        y[t] = 1.2 * y[t - 1] - 0.5 * y[t - 2] + noise[t]
    found = choose_encoding([y], 1, 12).settings
    assert (found["log"], found["difference"], found["centre"]) == (False, 0, 0)


@pytest.mark.parametrize("seed", [10, 71])
def test_a_process_that_is_nearly_a_walk_has_an_encoding(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=120)
    y = np.zeros(120)
    for t in range(1, 120):
        y[t] = 0.95 * y[t - 1] + noise[t]
    found = choose_encoding([y], 1, 12)
    assert found.settings["difference"] == 1
    assert "repeating the last value" in found.reason


def test_a_trend_is_never_met_outside_what_was_learnt() -> None:
    y = 10 + 0.05 * STEPS + 2 * np.sin(STEPS * 2 * np.pi / 12) + 0.3 * RANDOM.normal(size=600)
    found = choose_encoding([y], 12, 12)
    assert found.settings["difference"] or found.settings["centre"]
    assert "the level drifts" in found.reason


def test_growth_by_factors_is_taken_by_logarithms() -> None:
    y = np.exp(0.012 * STEPS[:240] + 0.4 * np.sin(STEPS[:240] * np.pi / 6)) * 100
    y *= np.exp(0.02 * RANDOM.normal(size=240))
    found = choose_encoding([y], 12, 12).settings
    assert found["log"]
    assert found["difference"] or found["centre"]
    assert not choose_encoding([y - 120], 12, 12).settings["log"]  # with values below 0


def test_small_whole_numbers_are_counts() -> None:
    counts = RANDOM.poisson(4.0, size=300).astype(float)
    assert choose_encoding([counts], 7, 7).settings == {"counts": True}
    assert "counts" not in choose_encoding([counts * 1000], 7, 7).settings
    assert "counts" not in choose_encoding([counts + 0.5], 7, 7).settings
    assert "counts" not in choose_encoding([np.round(RANDOM.random(300))], 7, 7).settings


@pytest.mark.parametrize(
    "columns",
    [
        [],
        [np.zeros(0)],
        [np.full(30, np.nan)],
        [np.full(100, 7.5)],
        [np.array([1.5, 2.5])],
        [np.array([1e300, -1e300] * 50)],
        [np.where(np.arange(200) % 3 == 0, np.nan, walk(200))],
    ],
)
def test_awkward_columns_have_an_encoding(columns: list[np.ndarray]) -> None:
    SeriesEncoder(SeriesEncoderSettings(**choose_encoding(columns, 4, 8).settings))


def test_lags_reach_back_no_further_than_a_third() -> None:
    assert planned_lags(12, 1, 100) == (2, 3, 11, 12, 13, 24)
    assert planned_lags(12, 1, 40) == (2, 3, 11, 12, 13)
    assert planned_lags(1, 1, 100) == (2, 3)
    assert {23, 24, 48, 168, 336} <= set(planned_lags(24, 168, 5000))
    assert planned_lags(12, 1, 4) == ()


def test_ridge_finds_weights_and_what_is_left() -> None:
    x = RANDOM.normal(size=(3000, 4))
    y = x @ np.array([1.0, -2.0, 0.0, 0.5]) + 3 + 0.3 * RANDOM.normal(size=3000)
    weights, bias, deviation = ridge(x, y)
    np.testing.assert_allclose(weights, [1, -2, 0, 0.5], atol=0.03)
    assert bias == pytest.approx(3, abs=0.03)
    assert deviation == pytest.approx(0.3, rel=0.05)


def ar2_arrays(length: int = 4000) -> tuple[ValueArrays, int]:
    noise = RANDOM.normal(size=length)
    y = np.zeros(length)
    for t in range(2, length):
        y[t] = 1.2 * y[t - 1] - 0.5 * y[t - 2] + noise[t]
    encoder = SeriesEncoder(SeriesEncoderSettings(scaling="none", lags=(2,)))
    values = y[:, None]
    found = encoder.encode(values, encoder.stats(values))
    arrays = ValueArrays(
        np.array([0, length]),
        found.features_TD,
        np.zeros((length, 0), np.float32),
        found.targets_TK.astype(np.float32),
        found.weights_T,
        found.log_jacobian_T.astype(np.float32),
    )
    return arrays, encoder.feature_size


def network_of(size: int, head: str, family: str = "lstm_skip.v1"):
    torch.manual_seed(0)
    return build_network(
        NetworkConfig(
            Component("values.v1", {"value_size": size}),
            Component(family, {"hidden_size": 8}),
            Component(head, {}),
        )
    ).eval()


@pytest.mark.parametrize(
    "head", ["gaussian.v1", "student_t.v1", "laplace.v1", "gaussian_mixture.v1", "quantiles.v1"]
)
def test_a_network_begins_near_the_process(head: str) -> None:
    arrays, size = ar2_arrays()
    network = network_of(size, head)
    batch = arrays.batch(np.array([0]), np.array([4000]), np.array([0]), 4000)
    with torch.no_grad():
        before = -network.log_prob(batch)[0].mean()
        assert start_linear(network, arrays)
        after = -network.log_prob(batch)[0].mean()
    assert after < before
    # The process itself costs 1.419 nats; mixtures and quantiles only begin at its middle.
    if head in ("gaussian.v1", "student_t.v1", "laplace.v1"):
        assert after < 1.419 + (0.12 if head == "laplace.v1" else 0.06)


def test_networks_without_a_line_stay_as_they_are() -> None:
    arrays, size = ar2_arrays(50)
    for network in (network_of(size, "gaussian.v1", "lstm.v1"), network_of(size, "poisson.v1")):
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        assert not start_linear(network, arrays)
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, before[name])

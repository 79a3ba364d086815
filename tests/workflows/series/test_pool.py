"""Simple forecasts, the pool of them with a network, and the width of its intervals."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rhapsode as rh
from rhapsode.bundle import NETWORK, PathCalibration, read_bundle, write_bundle
from rhapsode.data.tables import read_series
from rhapsode.errors import BundleError
from rhapsode.evaluation import seasonal_error
from rhapsode.modalities.series.corpus import divide
from rhapsode.modalities.series.forecasting.backtest import independent_groups
from rhapsode.modalities.series.pool.finished_paths import (
    finish_paths,
    is_intermittent,
    step_factors,
)
from rhapsode.modalities.series.pool.members import LEVELS, MemberForecasts
from rhapsode.modalities.series.pool.pool_choice import (
    calibration_of,
    forecast_scores,
    pool_weights,
    prefers_simple,
    validation_origins,
    width_factor,
)
from rhapsode.modalities.series.pool.simple_methods import SIMPLE, simple_forecasts
from rhapsode.modalities.series.pool.smoothing import LEVEL_RATES, THETA_RATES
from rhapsode.modalities.series.settings import CalibrationSettings, SeriesDataSettings
from tests.contracts.filter_contract import PROVE

RECORDED: dict[str, Any] = json.loads(
    Path(__file__).with_name("statsforecast.json").read_text(encoding="utf-8")
)
# Largest distance from the recorded mean, in seasonal errors. The methods differ: Theta there has
# a multiplicative season, ETS optimised rates and first states.
NEAR = {"last value": 1e-9, "drift": 0.7, "seasonal naive": 1e-9, "theta": 0.9, "ets": 0.45}


@pytest.mark.parametrize("name", list(RECORDED["histories"]))
def test_simple_methods_are_near_those_of_statsforecast(name: str) -> None:
    recorded = RECORDED["histories"][name]
    values, season = np.array(recorded["values"]), recorded["season"]
    found = simple_forecasts([values], RECORDED["horizon"], season, tuple(SIMPLE))
    error = seasonal_error(values, season)[0]
    assert error is not None
    for method, theirs in recorded["forecasts"].items():
        middle, high = found[method].quantiles(np.array([0.5, 0.9]))[0]
        assert np.abs(middle - theirs["mean"]).max() <= NEAR[method] * error + 1e-4
        if season == 1:  # of one step; further ones are estimated from changes over as many steps
            assert 0.6 < (high - middle)[0] / (theirs["high"][0] - theirs["mean"][0]) < 1.6


def smoothed(values: np.ndarray, slope: float, rates: tuple[float, ...]) -> tuple[float, float]:
    """Level and least squared errors of simple smoothing with a slope, one number at a time."""
    best = (np.inf, 0.0)
    for rate in rates:
        level, errors = values[0], 0.0
        for value in values[1:]:
            level += slope
            errors += (value - level) ** 2
            level += rate * (value - level)
        best = min(best, (errors, level))
    return best[1], best[0]


def test_smoothing_of_many_is_that_of_each_alone() -> None:
    random = np.random.default_rng(0)
    histories = [random.normal(size=count).cumsum() for count in (40, 7, 90, 3, 1, 40)]
    histories[2][5:9] = np.nan  # a gap, filled by a line
    histories[5][-3:] = np.nan  # the forecast begins before its origin
    found = simple_forecasts(histories, 5, 1, tuple(SIMPLE))
    for place, history in enumerate(histories):
        alone = simple_forecasts([history], 5, 1, tuple(SIMPLE))
        for name in SIMPLE:
            np.testing.assert_allclose(
                found[name].centre_BH[place], alone[name].centre_BH[0], rtol=1e-9, atol=1e-9
            )
            np.testing.assert_allclose(
                found[name].spread_BH[place], alone[name].spread_BH[0], rtol=1e-9, atol=1e-9
            )
    values = histories[0]
    time = np.arange(40) - 19.5
    slope = 0.5 * float(time @ values / (time @ time))
    level, _ = smoothed(values, slope, THETA_RATES)
    np.testing.assert_allclose(found["theta"].centre_BH[0], level + slope * np.arange(1, 6))
    # A straight line alone is followed by all that know a trend, a level that stays by ETS.
    flat = 5 + np.tile([1.0, -1.0], 30)
    level, _ = smoothed(flat, 0.0, LEVEL_RATES)
    flat_ets = simple_forecasts([flat], 5, 1, ("ets",))["ets"]
    np.testing.assert_allclose(np.exp(flat_ets.centre_BH[0]) if flat_ets.log_B[0]
                               else flat_ets.centre_BH[0], level, rtol=0.1)  # fmt: skip


def test_a_season_and_a_line_are_continued() -> None:
    steps = np.arange(72)
    line = 3.0 + 0.5 * steps
    wave = np.tile([0.0, 5.0, -2.0, 1.0], 18)
    after = np.arange(72, 80)
    found = simple_forecasts([line + wave, np.exp(0.02 * line + 0.1 * wave)], 8, 4, ("ets",))
    level_QH = found["ets"].quantiles(np.array([0.5]))[:, 0]
    came = 3.0 + 0.5 * after + np.tile([0.0, 5.0, -2.0, 1.0], 2)
    np.testing.assert_allclose(level_QH[0], came, rtol=0.03)
    assert found["ets"].log_B.tolist() == [False, True]
    grown = np.exp(0.02 * (3 + 0.5 * after) + 0.1 * np.tile([0.0, 5.0, -2.0, 1.0], 2))
    np.testing.assert_allclose(level_QH[1], grown, rtol=0.03)


def test_an_autoregression_continues_a_process_that_it_can_fit() -> None:
    walk = np.zeros(900)
    random = np.random.default_rng(4).normal(size=900)
    for step in range(2, 900):
        walk[step] = 1.2 * walk[step - 1] - 0.5 * walk[step - 2] + random[step]
    steps = np.arange(140)
    growth = np.exp(3 + 0.01 * steps + 0.3 * np.sin(np.pi * steps / 6))
    found = simple_forecasts([walk - 5], 6, 1, ("autoregression",))["autoregression"]
    middle, spread = np.zeros(6), np.zeros(6)
    recent, response = [*walk[-2:]], [0.0, 1.0]
    for step in range(6):
        recent.append(1.2 * recent[-1] - 0.5 * recent[-2])
        middle[step], spread[step] = recent[-1], np.sqrt(np.square(response[1:]).sum())
        response.append(1.2 * response[-1] - 0.5 * response[-2])
    np.testing.assert_allclose(found.centre_BH[0] + 5, middle, atol=0.5)
    np.testing.assert_allclose(found.spread_BH[0], spread, rtol=0.2)
    grown = simple_forecasts([growth[:120]], 20, 12, ("autoregression",))["autoregression"]
    np.testing.assert_allclose(grown.quantiles(np.array([0.5]))[0, 0], growth[120:], rtol=0.01)


@pytest.mark.parametrize("history", [[], [np.nan], [3.0], [2.0, 2.0], [0.0] * 30, [1e300, -1e300]])
def test_any_history_has_forecasts_without_a_warning(history: list[float]) -> None:
    found = simple_forecasts([np.array(history), np.arange(20.0)], 3, 4, tuple(SIMPLE))
    for forecasts in found.values():
        assert forecasts.centre_BH.shape == (2, 3)
        known = bool(np.isfinite(history).any())
        assert np.isfinite(forecasts.centre_BH[0]).all() == known
        assert np.isfinite(forecasts.centre_BH[1]).all()
        if known and len(set(history)) == 1:
            np.testing.assert_allclose(forecasts.quantiles(LEVELS)[0], history[0])


PATHS = np.random.default_rng(5).normal(size=(2, 50, 4))
HISTORIES = [np.arange(30.0), np.random.default_rng(6).normal(size=40) + 9]


@PROVE
@given(own=st.floats(0.0, 1.0), factor=st.floats(0.5, 3.0), seed=st.integers(0, 9))
def test_pooled_paths_have_averaged_quantiles_and_the_ranks_of_the_network(
    own: float, factor: float, seed: int
) -> None:
    weights = {NETWORK: own, "theta": (1 - own) / 2, "last value": (1 - own) / 2}
    calibration = PathCalibration(weights, (2, 4), (factor, 1.0))
    paths = np.round(PATHS, 1)  # with equal values
    finished = finish_paths(calibration, paths, HISTORIES, 1, seed=seed)
    ranked = np.sort(paths, axis=1)
    found = simple_forecasts(HISTORIES, 4, 1, ("theta", "last value"))
    levels = np.arange(1, 51) / 51
    pooled = own * ranked
    for name in ("theta", "last value"):
        pooled += weights[name] * found[name].quantiles(levels)
    middle = np.median(pooled, axis=1, keepdims=True)
    pooled = middle + np.array([factor, factor, 1.0, 1.0]) * (pooled - middle)
    np.testing.assert_allclose(np.sort(finished, axis=1), pooled, rtol=1e-9, atol=1e-9)
    order = np.argsort(finished, axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(paths, order, axis=1), axis=1) >= 0).all()


def test_a_calibration_that_changes_nothing_and_one_that_is_unknown() -> None:
    same = finish_paths(PathCalibration({NETWORK: 1.0}), PATHS, HISTORIES, 1)
    np.testing.assert_array_equal(same, PATHS)
    assert step_factors(PathCalibration({}, (2, 5), (2.0, 3.0)), 7).tolist() == [
        2,
        2,
        3,
        3,
        3,
        3,
        3,
    ]
    with pytest.raises(BundleError, match="unknown method 'oracle'"):
        finish_paths(PathCalibration({"oracle": 1.0}), PATHS, HISTORIES, 1)
    # A method without a finite forecast leaves the paths of the network.
    nothing = [np.full(4, np.nan), HISTORIES[1]]
    finished = finish_paths(PathCalibration({"theta": 1.0}), PATHS, nothing, 1)
    np.testing.assert_array_equal(finished[0], PATHS[0])
    assert (finished[1] != PATHS[1]).all()
    # So does a history with many zeros, which normal distributions do not describe, unless there
    # is a calibration of its own.
    intermittent = [np.tile([0.0, 0.0, 3.0], 9), np.tile([0.0, 1.0, 2.0, 3.0], 9)]
    finished = finish_paths(PathCalibration({"theta": 1.0}), PATHS, intermittent, 1)
    np.testing.assert_array_equal(finished[0], PATHS[0])
    assert (finished[1] != PATHS[1]).all()
    both = PathCalibration({"theta": 1.0}, zeros=PathCalibration({"ets": 1.0}, (4,), (2.0,)))
    mixed = finish_paths(both, PATHS, intermittent, 1)
    np.testing.assert_array_equal(mixed[1], finished[1])
    alone = finish_paths(both, PATHS[:1], intermittent[:1], 1)
    np.testing.assert_array_equal(mixed[0], alone[0])
    found = simple_forecasts(intermittent[:1], 4, 1, ("ets",))["ets"]
    wide = found.centre_BH + 2 * (found.quantiles(np.arange(1, 51) / 51)[0] - found.centre_BH)
    np.testing.assert_allclose(np.sort(mixed[0], axis=0), wide)
    assert "many values are zero, forecasts are made by ets" in both.in_words()


def test_zeros_before_a_series_begins_tell_nothing_of_it() -> None:
    begun = np.concatenate((np.zeros(60), np.random.default_rng(0).normal(size=40).cumsum() + 50))
    assert not is_intermittent(begun)
    assert is_intermittent(np.zeros(9))
    assert is_intermittent(np.tile([np.nan, 5.0, 0.0], 9))
    late, alone = (
        simple_forecasts([history], 5, 1, ("ets", "last value")) for history in (begun, begun[60:])
    )
    spread = late["ets"].spread_BH[0, 0] / alone["ets"].spread_BH[0, 0]
    assert spread > 5  # the rise to the first value is a change like others
    changes = np.diff(begun)
    wanted = np.sqrt(np.square(changes).mean() * 100 / 40)
    assert late["last value"].spread_BH[0, 0] == pytest.approx(wanted)
    never = simple_forecasts([np.zeros(30), begun], 5, 1, tuple(SIMPLE))
    assert all((one.spread_BH[0] == 0).all() for one in never.values())


NAMES = (NETWORK, "last value", "drift", "seasonal naive", "theta", "ets", "autoregression")


@PROVE
@given(
    scores=st.lists(st.floats(0.1, 5.0), min_size=7, max_size=7),
    independent=st.floats(1.0, 500.0),
)
def test_weights_favour_the_least_error(scores: list[float], independent: float) -> None:
    weights = pool_weights(NAMES, np.array(scores), independent)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    judged = np.array(scores)
    judged[0] *= 1.05 + 0.2 / independent  # it has seen these values
    for kind in ((0, 4, 5, 6), (1, 2, 3)):
        for one in kind:
            for other in kind:
                if judged[one] < judged[other]:
                    assert weights[one] >= weights[other] - 1e-12


def test_few_origins_make_weights_more_equal() -> None:
    scores = np.array([0.5, 2.0, 2.0, 1.0, 0.9, 1.0, 0.8])
    few, many = (pool_weights(NAMES, scores, number) for number in (1.5, 60.0))
    assert few[0] < 0.5 < many[0]
    assert few[[4, 5, 6]].min() > 0.1
    assert many[[4, 5, 6]].max() == 0
    # One standard error decides: of many origins against the pool, of few against the method.
    noisy = np.array([0.3, -0.2] * 50)
    assert prefers_simple(noisy, 20.0)
    assert not prefers_simple(noisy, 7.0)
    assert not prefers_simple(noisy + 1, 20.0)
    assert prefers_simple(noisy - 1, 2.0)


def members(spreads: dict[str, float], count: int = 300, horizon: int = 6) -> MemberForecasts:
    """Normal forecasts of standard normal values, by members of other spreads."""
    from statistics import NormalDist

    random = np.random.default_rng(3)
    scores = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
    shape = (count, len(LEVELS), horizon)
    quantiles = [np.broadcast_to(spread * scores[:, None], shape) for spread in spreads.values()]
    return MemberForecasts(
        tuple(spreads),
        np.stack(quantiles),
        random.normal(size=(count, horizon)),
        np.arange(count),
        np.full(count, 50),
        np.zeros(count, dtype=bool),
    )


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_factors_give_intervals_their_coverage(spread: float) -> None:
    found = members({NETWORK: spread, "seasonal naive": 9.0})
    factor = width_factor(found.quantiles_MBQH[0], found.actual_BH, 300.0)
    assert factor == pytest.approx(1 / spread, rel=0.12)
    # Too few independent ones for 0.9 are taken for surer than they are, on the wide side.
    assert width_factor(found.quantiles_MBQH[0], found.actual_BH, 4.0) > factor ** (4 / 6)
    few = width_factor(found.quantiles_MBQH[0, :8, :, :1], found.actual_BH[:8, :1], 8.0)
    assert few == 1.0


def test_heavy_tails_are_not_paid_for_by_all_quantiles() -> None:
    found = members({NETWORK: 1.0, "seasonal naive": 9.0})
    actual = np.where(np.abs(found.actual_BH) > 1.2, 4, 0.2) * found.actual_BH
    plain = width_factor(found.quantiles_MBQH[0], actual, 1e9)
    away = np.sort(np.abs(actual).ravel())[int(np.ceil(1801 * 0.9)) - 1]
    half = found.quantiles_MBQH[0, 0, -1, 0]
    assert plain == pytest.approx(np.sqrt(away / half))


def test_the_pool_or_a_simple_method_is_the_model() -> None:
    settings = CalibrationSettings()
    pooled = calibration_of(members({NETWORK: 0.9, "seasonal naive": 3.0, "ets": 2.0}), 6, settings)
    assert pooled is not None
    assert max(pooled.weights, key=lambda name: pooled.weights[name]) == NETWORK
    assert len(pooled.factors) == len(pooled.ends) == 3
    simple = calibration_of(members({NETWORK: 9.0, "seasonal naive": 3.0, "ets": 1.0}), 6, settings)
    assert simple is not None
    assert simple.weights == {"ets": 1.0}
    assert "not clearly better" in simple.reason
    assert "made by ets" in simple.in_words()
    off = calibration_of(
        members({NETWORK: 0.5, "seasonal naive": 3.0}), 6, CalibrationSettings(pool=False)
    )
    assert off is not None
    assert off.weights == {NETWORK: 1.0}
    assert min(off.factors) > 1.5


def test_intermittent_histories_choose_for_themselves() -> None:
    settings = CalibrationSettings()
    plain = members({NETWORK: 0.9, "seasonal naive": 3.0, "ets": 2.0})
    other = members({NETWORK: 9.0, "seasonal naive": 3.0, "ets": 1.0})
    mixed = MemberForecasts(
        plain.names,
        np.concatenate((plain.quantiles_MBQH, other.quantiles_MBQH), axis=1),
        np.concatenate((plain.actual_BH, other.actual_BH)),
        np.arange(600),
        np.full(600, 50),
        np.arange(600) >= 300,
    )
    found = calibration_of(mixed, 6, settings)
    assert found is not None
    alone = calibration_of(plain, 6, settings)
    assert alone == dataclasses.replace(found, zeros=None)
    assert found.zeros is not None
    assert found.zeros.weights == {"ets": 1.0}
    only = calibration_of(mixed.select(mixed.zeros_B), 6, settings)
    assert only is not None
    assert (only.weights, only.zeros) == ({NETWORK: 1.0}, found.zeros)


def test_origins_before_a_split_shorter_than_a_horizon_score_later_steps() -> None:
    given = read_series({"a": np.arange(40.0)})
    short = divide(given, SeriesDataSettings(horizon=6, validation_share=0.05), where="test")
    assert (short.train_S[0], short.chosen_S[0]) == (34, 36)
    assert validation_origins(short, 400)[1].tolist() == [30, 31, 32, 33, 34]
    assert validation_origins(short, 1)[1].tolist() == [30]
    rows = [{"unique_id": name, "ds": step, "y": step} for name in "abc" for step in range(40)]
    three = divide(
        read_series({key: [row[key] for row in rows] for key in rows[0]}),
        SeriesDataSettings(horizon=6, validation_share=0.05),
        where="test",
    )
    assert validation_origins(three, 3)[1].tolist() == [30, 31, 32]
    long = divide(given, SeriesDataSettings(horizon=2, validation_share=0.2), where="test")
    assert validation_origins(long, 400)[1].tolist() == list(range(29, 36))


def test_scores_are_means_over_what_was_observed() -> None:
    found = members({NETWORK: 1.0}, count=2, horizon=3)
    actual = found.actual_BH.copy()
    actual[1, 1:] = np.nan
    scores = forecast_scores(found.quantiles_MBQH[0], actual)
    away = actual[1, 0] - found.quantiles_MBQH[0, 1, :, 0]
    wanted = 2 * np.mean(
        [max(level * d, (level - 1) * d) for level, d in zip(LEVELS, away, strict=True)]
    )
    assert scores[1] == pytest.approx(wanted)


def test_forecasts_that_depend_on_each_other_are_one_group() -> None:
    rows = np.array([10, 12, 16, 10])
    assert independent_groups(np.array([0, 0, 0, 1]), rows, 5).tolist() == [0, 0, 1, 2]
    many = np.repeat(np.arange(12), 2)
    assert independent_groups(many, np.arange(24), 1).tolist() == many.tolist()


QUICK: dict[str, Any] = {"steps": 5, "network": {"hidden_size": 8}, "samples": {"length": 0}}


def test_a_calibration_is_kept_in_the_file_and_can_be_left_out(tmp_path: Path) -> None:
    trained = rh.train("airline", output=str(tmp_path / "run"), **QUICK)
    bundle = trained.bundle
    paths = bundle.calibration.paths
    assert paths is not None
    assert sum(paths.weights.values()) == pytest.approx(1)
    assert read_bundle(tmp_path / "run").calibration == bundle.calibration
    asked: dict[str, Any] = {"horizon": 6, "samples": 150, "seed": 2}
    alone = trained.forecast("airline", network_alone=True, **asked)
    pooled = trained.forecast("airline", **asked)
    assert (alone.paths_BSHK != pooled.paths_BSHK).any()
    ranks = [np.argsort(np.argsort(found.paths_BSHK[0, :, 0, 0])) for found in (alone, pooled)]
    moved = np.abs(ranks[0] - ranks[1])  # whole numbers have equal values
    assert np.median(moved) <= 3
    few = trained.forecast("airline", horizon=6, samples=7, seed=2)
    hundred = trained.forecast("airline", horizon=6, samples=100, seed=2)
    np.testing.assert_array_equal(few.paths_BSHK, hundred.paths_BSHK[:, :7])
    found = trained.evaluate("airline").to_mapping()
    assert list(found["forecasts"]["methods"])[:2] == ["model", "network alone"]
    assert found["calibration"]["weights"] == dict(paths.weights)
    plain = rh.train(
        "airline",
        output=str(tmp_path / "plain"),
        calibration={"pool": False, "intervals": False},
        **QUICK,
    )
    assert plain.bundle.calibration.paths is None
    np.testing.assert_array_equal(plain.forecast("airline", **asked).paths_BSHK, alone.paths_BSHK)
    one = rh.train("airline", output=str(tmp_path / "one"), calibration={"forecasts": 1}, **QUICK)
    assert one.bundle.calibration.paths.forecasts == 1
    apart = dataclasses.replace(paths, zeros=dataclasses.replace(paths, reason="apart"))
    calibration = dataclasses.replace(bundle.calibration, paths=apart)
    write_bundle(
        tmp_path / "apart.safetensors", dataclasses.replace(bundle, calibration=calibration)
    )
    assert read_bundle(tmp_path / "apart.safetensors").calibration.paths == apart
    broken = dataclasses.replace(paths, weights={"oracle": 1.0})
    calibration = dataclasses.replace(bundle.calibration, paths=broken)
    write_bundle(
        tmp_path / "broken.safetensors", dataclasses.replace(bundle, calibration=calibration)
    )
    with pytest.raises(BundleError, match="unknown method 'oracle'"):
        rh.load(tmp_path / "broken.safetensors").forecast("airline", **asked)

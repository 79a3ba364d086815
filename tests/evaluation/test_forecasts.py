"""Figures of forecasts: worked out by hand, GluonTS' own on the same numbers, and what cannot be had."""

import math

import numpy as np
import pytest

from rhapsode.errors import DataError
from rhapsode.evaluation.forecasts import (
    COVERAGES,
    LEVELS,
    Forecast,
    forecast_figures,
    forecast_of_samples,
    rolling_origins,
    sample_crps,
    score_forecast,
    seasonal_error,
)
from rhapsode.evaluation.statistical_methods import seasonal_naive

NAN = math.nan


# --- against GluonTS ---


def drawn_series(number: int) -> np.ndarray:
    t = np.arange(36)
    seasons = 6 * np.sin(t * np.pi / 2 + number)
    return np.round(20 + 10 * number + seasons + 0.7 * t + (t * (7 + number)) % 5, 3)


def test_figures_are_those_of_gluonts() -> None:
    # gluonts 0.17: MASE, SMAPE, MeanWeightedSumQuantileLoss, RMSE, MAE, Coverage, all with axis=None, over these
    # forecasts with labels masked where NaN and seasonal_error(history, 4).
    levels = (0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95)
    scores = []
    for number in range(3):
        series = drawn_series(number)
        history, actual = series[:30], series[30:].copy()
        if number == 1:
            actual[2] = NAN
        steps = np.arange(6)
        quantiles = np.array([history[-1] + (level - 0.45) * 12 + 0.3 * steps for level in levels])
        forecast = Forecast(levels, quantiles, history[-1] + 0.9 * steps)
        scores.append(score_forecast(forecast, actual, history, 4))
    figures = forecast_figures(scores)
    assert figures.points == 17
    assert figures.mase == pytest.approx(2.07180704801131)
    assert figures.smape == pytest.approx(100 * 0.12120939250495984)
    assert figures.weighted_quantile_loss == pytest.approx(0.09499497738501679)
    assert figures.weighted_quantile_losses[0.9] == pytest.approx(0.052586133451943504)
    assert figures.rmse == pytest.approx(7.681342242541913)
    assert figures.mae == pytest.approx(6.335823529411765)
    # Theirs counts what lies below each end.
    assert figures.coverage[0.9] == pytest.approx(0.8235294117647058 - 0.35294117647058826)
    assert figures.crps is None
    assert figures.notes == ("no CRPS: there are forecasts without sample paths",)


# --- by hand ---


def test_figures_worked_out_by_hand() -> None:
    quantiles_QT = np.array([[0.0, 8], [1, 9], [5, 10], [9, 11], [10, 12]])
    forecast = Forecast((0.05, 0.1, 0.5, 0.9, 0.95), quantiles_QT, np.array([5.0, 11.0]))
    score = score_forecast(forecast, np.array([8.0, 12.0]), np.array([1.0, 2.0, 4.0]), 1)
    figures = forecast_figures([score])
    assert figures.mae == 2.5
    assert figures.mase == pytest.approx(2.5 / 1.5)
    assert figures.rmse == pytest.approx(math.sqrt((9 + 1) / 2))
    assert figures.bias == -2.0
    assert figures.smape == pytest.approx((200 * 3 / 13 + 200 * 2 / 22) / 2)
    assert figures.weighted_quantile_losses[0.5] == pytest.approx((3 + 2) / 20)
    assert figures.weighted_quantile_losses[0.9] == pytest.approx(2 * (0.1 * 1 + 0.9 * 1) / 20)
    # Between 0.1 and 0.5 the quantiles 0.25 and 0.3 are interpolated.
    assert figures.weighted_quantile_losses[0.3] == pytest.approx(2 * 0.3 * (5 + 2.5) / 20)
    assert figures.coverage == {0.5: 0.0, 0.8: 0.5, 0.9: 1.0}
    assert forecast.at(0.01).tolist() == pytest.approx([NAN, NAN], nan_ok=True)


def test_crps_worked_out_by_hand() -> None:
    samples_ST = np.array([[1.0], [3.0], [6.0]])
    # Distances to 2: 1, 1, 4; between paths: 2, 3, 5.
    assert sample_crps(samples_ST, np.array([2.0]))[0] == pytest.approx(2 - 10 / 6)
    assert sample_crps(samples_ST[:1], np.array([2.0]))[0] == 1.0


def test_the_fair_crps_does_not_depend_on_the_number_of_paths() -> None:
    random = np.random.default_rng(2)
    # CRPS of the standard normal at 0.5 (Gneiting and Raftery 2007, equation 21).
    density = math.exp(-0.125) / math.sqrt(2 * math.pi)
    wanted = 0.5 * math.erf(0.5 / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi)
    for count in (3, 30):
        samples_ST = random.normal(size=(count, 40_000))
        fair = sample_crps(samples_ST, np.full(40_000, 0.5)).mean()
        assert fair == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize("count", [19, 99, 199])
def test_intervals_of_few_paths_cover_what_they_claim(count: int) -> None:
    random = np.random.default_rng(4)
    length = 40_000
    forecast = forecast_of_samples(random.normal(size=(count, length)))
    score = score_forecast(forecast, random.normal(size=length), np.arange(9.0), 1)
    for share, covered in zip(COVERAGES, score.covered, strict=True):
        if (1 - share) / 2 * (count + 1) >= 1:
            assert covered / length == pytest.approx(share, abs=0.01)


def test_points_are_pooled_over_series_and_origins() -> None:
    one = score_forecast(forecast_of_samples([[3.0, 3.0]] * 4), [4.0, NAN], [1.0, 2.0], 1)
    other = score_forecast(forecast_of_samples([[5.0, 5.0]] * 4), [7.0, 8.0], [1.0, 3.0], 1)
    nothing = score_forecast(forecast_of_samples([[5.0, 5.0]] * 4), [NAN, NAN], [1.0, 3.0], 1)
    figures = forecast_figures([one, other, nothing])
    assert (figures.forecasts, figures.points) == (2, 3)
    assert figures.mae == pytest.approx((1 + 2 + 3) / 3)
    assert figures.mase == pytest.approx((1 + 1 + 1.5) / 3)
    assert figures.crps == pytest.approx(2.0)
    assert forecast_figures([other]).mase == pytest.approx(1.25)
    assert forecast_figures([nothing]).mase is None


# --- what cannot be had ---


@pytest.mark.parametrize(
    ("history", "season", "wanted"),
    [
        ([1.0, 4.0, 2.0, 8.0], 2, (1 + 4) / 2),
        ([1.0, 4.0, 2.0], 3, 2.5),
        ([1.0, 4.0, 2.0], 12, 2.5),
        ([1.0, NAN, 2.0, 5.0], 1, 3.0),
        ([1.0], 1, "a history too short"),
        ([], 4, "a history too short"),
        ([1.0, NAN, 2.0, NAN], 1, "a history too short"),
        ([NAN, NAN], 1, "a history too short"),
        ([7.0, 7.0, 7.0], 1, "a history that does not vary from season to season"),
        ([1.0, 5.0] * 4, 2, "a history that does not vary from season to season"),
    ],
)
def test_the_seasonal_error_or_why_there_is_none(
    history: list[float], season: int, wanted: float | str
) -> None:
    found = seasonal_error(np.array(history), season)
    assert found == ((None, wanted) if isinstance(wanted, str) else (wanted, None))


def test_histories_without_an_error_are_left_out_of_mase_and_said() -> None:
    forecast = forecast_of_samples([[3.0], [4.0]])
    flat = score_forecast(forecast, [4.0], [2.0, 2.0, 2.0], 1)
    varied = score_forecast(forecast, [4.0], [2.0, 3.0], 1)
    figures = forecast_figures([flat, varied])
    assert figures.mase == 0.5
    (note,) = figures.notes
    assert note == (
        "MASE leaves out 1 of 2 forecasts: a history that does not vary from season to season"
    )
    assert forecast_figures([flat]).mase is None


def test_zeros_have_no_weighted_loss_and_no_percentage_error() -> None:
    forecast = forecast_of_samples([[0.0, 0.0]] * 3)
    figures = forecast_figures([score_forecast(forecast, [0.0, 0.0], [1.0, 2.0], 1)])
    assert figures.smape == 0.0
    assert figures.weighted_quantile_loss is None
    assert "no weighted quantile loss: all actual values are 0" in figures.notes


def test_nothing_to_compare_with_gives_no_figures() -> None:
    figures = forecast_figures([])
    assert figures.points == 0
    every = (figures.mase, figures.smape, figures.crps, figures.mae, figures.rmse, figures.bias)
    assert every == (None,) * 6
    assert set(figures.coverage.values()) == {None}
    assert list(figures.weighted_quantile_losses) == list(LEVELS)


@pytest.mark.parametrize("levels", [(0.1, 0.9), (0.5, 0.1), (0.5, 0.5)])
def test_levels_must_rise_and_hold_the_median(levels: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"0\.5"):
        Forecast(levels, np.zeros((2, 3)), np.zeros(3))


def test_origins_roll_up_to_the_end_of_the_series() -> None:
    assert rolling_origins(144, 12, 3) == [108, 120, 132]
    assert rolling_origins(144, 12, 25, stride=1) == list(range(108, 133))
    assert rolling_origins(20, 12, 5) == [8]
    assert rolling_origins(12, 12, 5) == []


# --- baselines ---


def test_the_seasonal_naive_forecast_repeats_the_last_season() -> None:
    history = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    assert seasonal_naive(history, 5, 3).mean_T.tolist() == [5.0, 6.0, 7.0, 5.0, 6.0]
    assert seasonal_naive(history, 2, 7).mean_T.tolist() == [7.0, 7.0]
    assert seasonal_naive(history, 3, 1).mean_T.tolist() == [7.0] * 3


def test_baselines_bridge_what_is_missing() -> None:
    history = np.array([1.0, 2.0, NAN, 3.0, NAN, NAN])
    assert seasonal_naive(history, 4, 3).mean_T.tolist() == [3.0, 2.0, 3.0, 3.0]
    assert seasonal_naive(history, 2, 1).mean_T.tolist() == [3.0, 3.0]
    assert seasonal_naive(np.array([5.0]), 2, 3).samples_ST.tolist() == [[5.0, 5.0]] * 100
    with pytest.raises(DataError, match="without any value"):
        seasonal_naive(np.array([NAN, math.inf]), 2, 3)


def test_paths_of_baselines_spread_as_their_errors_add_up() -> None:
    random = np.random.default_rng(5)
    walk = random.normal(size=4000).cumsum()
    baseline = seasonal_naive(walk, 16, 1, samples=4000, seed=1)
    spread_T = (baseline.samples_ST - baseline.mean_T).std(axis=0)
    np.testing.assert_allclose(spread_T, np.sqrt(np.arange(1, 17)), rtol=0.06)
    np.testing.assert_allclose(baseline.samples_ST.mean(axis=0), baseline.mean_T, atol=0.3)
    seasonal = seasonal_naive(random.normal(size=4000), 8, 4, samples=4000, seed=1)
    spread_T = (seasonal.samples_ST - seasonal.mean_T).std(axis=0)
    np.testing.assert_allclose(spread_T, [math.sqrt(2)] * 4 + [2.0] * 4, rtol=0.1)
    again = seasonal_naive(walk, 16, 1, samples=4000, seed=1)
    np.testing.assert_array_equal(again.samples_ST, baseline.samples_ST)


def test_on_air_passengers_the_seasonal_naive_forecast_has_its_known_error(shared_data) -> None:
    table = np.loadtxt(
        shared_data / "timeseries" / "AirPassengers.csv", delimiter=",", skiprows=1, usecols=1
    )
    forecast = seasonal_naive(table[:132], 12, 12)
    figures = forecast_figures([score_forecast(forecast, table[132:], table[:132], 12)])
    assert figures.mase == pytest.approx(1.571, abs=5e-4)
    assert figures.crps is not None
    assert figures.rmse == pytest.approx(np.sqrt(np.mean((table[132:] - table[120:132]) ** 2)))
    flat = forecast_of_samples(seasonal_naive(table[:132], 12, 1).mean_T[None])
    figures = forecast_figures([score_forecast(flat, table[132:], table[:132], 12)])
    assert figures.mase == pytest.approx(2.50, abs=5e-3)

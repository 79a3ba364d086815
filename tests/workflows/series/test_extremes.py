"""Sample paths that stay near the data, and means that no single path decides."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import rhapsode as rh
from rhapsode.bundle import PathCalibration
from rhapsode.encoding.series import SeriesEncoder, SeriesEncoderSettings, SeriesStats
from rhapsode.heads import Laplace, LocationScaleConfig, StudentT, StudentTConfig
from rhapsode.modalities.series.fitting.encoding_choice import choose_encoding, planned_margin
from rhapsode.modalities.series.forecasting.drawn_forecasts import (
    draw_forecasts,
    draw_in_extremes,
    finished_forecasts,
)
from rhapsode.modalities.series.pool.finished_paths import finish_paths
from tests.contracts.filter_contract import PROVE

VALUES = st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=12)


@PROVE
@given(
    values=VALUES,
    margin=st.floats(0.5, 5.0),
    drawn=st.floats(-1e30, 1e30),
    form=st.tuples(st.booleans(), st.integers(0, 2)),
    steps=st.integers(0, 5),
)
def test_paths_leave_their_history_by_no_more_than_the_margin(
    values: list[float], margin: float, drawn: float, form: tuple[bool, int], steps: int
) -> None:
    log, difference = form
    settings = SeriesEncoderSettings(log=log, difference=difference, margin=margin)
    encoder = SeriesEncoder(settings)
    history_TK = np.array(values)[:, None]
    paths = encoder.paths_after(history_TK, encoder.stats(history_TK))
    for _ in range(steps):
        paths.push(history_TK[:1])
    low, high, count = min(values), max(values), len(values)
    few = 8 * float(np.mean(np.abs(values))) / count**2
    room = margin * ((high - low) * (1 + (8 + steps) / count) + few) * (1 + 1e-9) + 1e-9
    assert low - room <= paths.decode_next(np.array([[drawn]])).item() <= high + room
    inside = paths.encode_next(history_TK[:1])[0]
    assert paths.decode_next(inside).item() == pytest.approx(values[0], rel=1e-9, abs=1e-6)


def test_statistics_of_older_files_have_no_limits() -> None:
    encoder = SeriesEncoder(SeriesEncoderSettings(margin=2.0), 2)
    stats = encoder.stats(np.arange(20.0).reshape(10, 2))
    rows = stats.to_array()
    assert (SeriesStats.from_array(rows).to_array() == rows).all()
    older = SeriesStats.from_array(rows[:4])
    assert encoder.paths(older).decode_next(np.full((1, 2), 1e9)).min() > 1e9
    assert encoder.paths(stats).decode_next(np.full((1, 2), 1e9)).max() < 100
    with pytest.raises(ValueError, match="shape"):
        SeriesStats.from_array(rows[:5])


def test_margins_follow_what_the_series_did() -> None:
    random = np.random.default_rng(0)
    assert planned_margin([random.normal(size=300)], 12) == 2.0
    assert planned_margin([np.zeros(50), np.full(3, 1.0), np.zeros(0)], 12) == 2.0
    doubling = planned_margin([2.0 ** np.arange(40)], 6)
    assert doubling > 50
    walks = [random.normal(size=300).cumsum() for _ in range(2000)]
    assert planned_margin([*walks, np.r_[np.zeros(290), 1, 1e9 * np.ones(9)]], 12) < 5


def test_draws_lie_between_two_quantiles() -> None:
    head = Laplace(LocationScaleConfig(1, least_tail=0.01))
    parameters = torch.tensor([[1.0, 0.5]]).repeat(20_000, 1)
    drawn = head.sample(parameters, torch.rand(20_000, generator=torch.manual_seed(0)))
    low, high = (head.quantile(parameters[:1], level).item() for level in (0.01, 0.99))
    assert drawn.min().item() == pytest.approx(low)
    assert drawn.max().item() == pytest.approx(high)
    at_ends = ((drawn - low).abs() < 1e-9) | ((drawn - high).abs() < 1e-9)
    assert at_ends.double().mean().item() == pytest.approx(0.02, abs=0.005)
    assert head.quantile(parameters[:1], 0.001).item() < low  # the density is untouched


def test_degrees_of_freedom_have_a_least_number() -> None:
    head = StudentT(StudentTConfig(4, least_df=6.0))
    raw = torch.tensor([-60.0, 0.0, 5.0])
    with torch.no_grad():
        for value in raw:
            head.bias.copy_(torch.tensor([0.0, 0.0, value.item()]))
            df = 2 + head(torch.zeros(1, 1, 4))[0, 0, 2].exp().item()
            assert df == pytest.approx(6 + 10 * torch.nn.functional.softplus(value).item())


FANS = {
    "normal": lambda random: random.normal(size=(200, 5)),
    "heavy": lambda random: random.standard_t(2, size=(200, 5)),
    "logarithms": lambda random: np.exp(random.standard_t(3, size=(200, 5)).cumsum(axis=1)),
    "skewed": lambda random: random.gamma(0.5, size=(200, 5)),
    "counts": lambda random: random.poisson(30.0, size=(200, 5)).astype(float),
}


def moved(paths_SH: np.ndarray) -> np.ndarray:
    """Moves of the means without their most extreme path, in widths of the 80 % interval."""
    away = np.abs(paths_SH - paths_SH.mean(axis=0)).max(axis=0) / (len(paths_SH) - 1)
    low, high = np.quantile(paths_SH, (0.1, 0.9), axis=0)
    return np.asarray(away / (high - low))


@PROVE
@given(kind=st.sampled_from(list(FANS)), seed=st.integers(0, 1 << 30), far=st.floats(-1e9, 1e9))
def test_no_path_decides_a_mean_alone(kind: str, seed: int, far: float) -> None:
    random = np.random.default_rng(seed)
    history = random.normal(size=50)
    paths = FANS[kind](random)
    paths[7] += far
    before = paths.copy()
    draw_in_extremes(paths, history)
    changed = paths != before
    assert (changed.sum(axis=0) <= 2).all()
    assert (
        np.quantile(paths, (0.25, 0.75), axis=0) == np.quantile(before, (0.25, 0.75), axis=0)
    ).all()
    # Where more than a hundredth of the paths is as far out, that is no chance.
    others = np.sort(np.abs(before - np.median(before, axis=0)), axis=0)[-3]
    width = np.diff(np.quantile(before, (0.1, 0.9), axis=0), axis=0)[0]
    alone = others < 10 * width
    assert (moved(paths)[alone] <= 0.1).all()
    assert not changed[:, moved(before) <= 0.09].any()


def test_rare_events_of_several_paths_stay() -> None:
    random = np.random.default_rng(0)
    paths = random.normal(size=(200, 3))
    paths[:6] += 1e4
    before = paths.copy()
    draw_in_extremes(paths, random.normal(size=50))
    np.testing.assert_allclose(paths, before, rtol=1e-3)
    demand = np.where(random.random((200, 3)) < 0.01, 50.0, 0.0)
    before = demand.copy()
    history = np.r_[np.zeros(40), 30.0, 60.0]
    draw_in_extremes(demand, history)
    assert (demand == before).all()
    demand[5] = 1e6
    draw_in_extremes(demand, history)
    error = max(before[:, 0].std(), history.std()) / np.sqrt(200)
    assert (np.abs(demand.mean(axis=0) - before.mean(axis=0)) < 3.2 * error).all()
    assert (np.delete(demand, 5, axis=0) == np.delete(before, 5, axis=0)).all()


def test_walks_are_taken_by_differences() -> None:
    found = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        walks = [100 * np.exp(0.01 * random.normal(size=800).cumsum()) for _ in range(4)]
        found.append(choose_encoding(walks, 5, 30))
    taken = sum(each.settings["difference"] == 1 for each in found)
    assert taken >= 36
    assert sum("repeating the last value has an error of" in each.reason for each in found) >= 36
    waves = np.sin(np.arange(800) / 4) + 0.3 * np.random.default_rng(0).normal(size=800)
    assert choose_encoding([waves], 1, 12).settings["difference"] == 0


def test_a_trained_model_draws_near_its_data(tmp_path: Path) -> None:
    """Logarithms with outliers, heavy tails, and short series."""
    random = np.random.default_rng(3)
    hours = np.arange(400)
    table = {f"short {n}": random.normal(5, 1, size=4 + n) for n in range(4)}
    for n in range(6):
        night = np.exp(2 * np.sin(2 * np.pi * hours / 24) + 0.1 * random.standard_t(2, size=400))
        table[f"night {n}"] = 100 * night
        table[f"heavy {n}"] = 20 + random.standard_t(2, size=400)
    model = rh.train(
        table, output=str(tmp_path / "run"), steps=60, samples={"length": 0}, data={"horizon": 24}
    )
    given = model.read(table)
    which = np.arange(len(given))
    drawn, _ = draw_forecasts(model.predictor, given, which, given.lengths, 24, samples=200, seed=0)
    for place in which:
        history = given.values_NK[given.rows(int(place)), 0]
        paths, reach = drawn[place, ..., 0], 10 * np.ptp(history)
        assert moved(paths).max() <= 0.1
        if len(history) > 10:
            assert paths.min() >= history.min() - reach
            assert paths.max() <= history.max() + reach


def test_pooled_paths_keep_the_limits_of_the_network(tmp_path: Path) -> None:
    """Logarithms of a short history that grew a hundredfold have very wide normal forecasts."""
    capital = [2.8, 52.6, 156.9, 209.2, 203.4, 207.2, 255.2, 303.7, 264.1, 201.6, 265, 402.2, 761.5]
    model = rh.train(
        {"capital": np.array(capital), "other": np.arange(30.0)},
        output=str(tmp_path / "run"),
        steps=5,
        samples={"length": 0},
        data={"horizon": 5},
    )
    bundle, given = model.bundle, model.read({"capital": np.array(capital)})
    pooled = PathCalibration({"theta": 1.0}, (5,), (1.5,))
    bundle = replace(bundle, calibration=replace(bundle.calibration, paths=pooled))
    drawn = np.random.default_rng(0).normal(500, 100, size=(1, 200, 5, 1))
    which, rows = np.array([0]), np.array([len(capital)])
    free = finish_paths(pooled, drawn[..., 0], [np.array(capital)], 1)
    assert free.max() > max(capital) + 10 * np.ptp(capital)
    finished = finished_forecasts(bundle, drawn, given, which, rows, seed=0, calibrated=True)
    assert finished.max() <= max(capital) + 10 * np.ptp(capital)

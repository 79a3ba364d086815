"""Seasons that are found in values."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.data.tables import read_series
from rhapsode.modalities.series.corpus import divide
from rhapsode.modalities.series.fitting.season_search import search_seasons
from rhapsode.modalities.series.settings import SeriesDataSettings

Process = Callable[[np.random.Generator, int], np.ndarray]


def autoregression(random: np.random.Generator, length: int, *weights: float) -> np.ndarray:
    values = np.zeros(length + 100)
    for step, noise in enumerate(random.normal(size=length + 98), 2):
        values[step] = noise + sum(w * values[step - k] for k, w in enumerate(weights, 1))
    return values[100:]


WITHOUT: dict[str, Process] = {
    "noise": lambda random, n: random.normal(size=n),
    "walk": lambda random, n: random.normal(size=n).cumsum(),
    "heavy walk": lambda random, n: random.standard_t(2, size=n).cumsum(),
    "growth": lambda random, n: np.exp(0.1 * random.normal(size=n).cumsum()),
    "trend": lambda random, n: 0.1 * np.arange(n) + random.normal(size=n),
    "curve": lambda random, n: 50 * (np.arange(n) / n) ** 2 + 0.5 * random.normal(size=n),
    "smooth": lambda random, n: random.normal(size=n).cumsum().cumsum(),
    "autoregression": lambda random, n: autoregression(random, n, 1.2, -0.5),
    "slow": lambda random, n: autoregression(random, n, 0.95),
    "regimes": lambda random, n: (
        random.normal(size=n) + 5 * (np.cumsum(random.random(n) < 0.02) % 2)
    ),
    "rare counts": lambda random, n: random.poisson(0.5, size=n).astype(float),
}


def corpus_of(table: object, **asked: int) -> tuple[int, int, int]:
    corpus = divide(read_series(table), SeriesDataSettings(**asked), where="")
    return corpus.season, corpus.second, corpus.horizon


@pytest.mark.parametrize("process", list(WITHOUT))
def test_what_has_no_season_is_given_none(process: str) -> None:
    alarms = [
        search_seasons([WITHOUT[process](np.random.default_rng([seed, length]), length)])
        for length in (30, 100, 400, 1000)
        for seed in range(50)
    ]
    assert sum(alarm is not None for alarm in alarms) <= 1  # 0.5 %; in theory 0.1 %


@settings(max_examples=60, deadline=None)
@given(
    season=st.sampled_from([4, 7, 12, 24, 52, 60]),
    cycles=st.integers(8, 20),
    smooth=st.booleans(),
    level=st.sampled_from(["flat", "trend", "walk"]),
    seed=st.integers(0, 1 << 30),
)
def test_a_planted_season_is_found(
    season: int, cycles: int, smooth: bool, level: str, seed: int
) -> None:
    random = np.random.default_rng(seed)
    steps = np.arange(season * cycles)
    wave = np.sin(2 * np.pi * np.arange(season) / season + random.uniform(0, 6))
    pattern = wave if smooth or season == 4 else random.permutation(np.linspace(-1.5, 1.5, season))
    values = 3 * pattern[steps % season] + 0.3 * random.normal(size=len(steps))
    values += {
        "flat": 0,
        "trend": 0.05 * steps,
        "walk": 0.1 * random.normal(size=len(steps)).cumsum(),
    }[level]
    values[random.random(len(steps)) < 0.02] = np.nan
    found = search_seasons([values])
    assert found is not None
    # A pattern may nearly repeat within a season, and chance adds a longer one in one of hundreds.
    assert season in (found.first, found.second)
    assert season % found.first == 0
    assert found.autocorrelation > 0.5


def test_a_week_is_found_above_a_day(caplog: pytest.LogCaptureFixture) -> None:
    random = np.random.default_rng(0)
    hours = np.arange(24 * 7 * 6)
    table = {}
    for name in "abcde":
        day = np.sin(2 * np.pi * hours / 24) + 0.5 * np.sin(4 * np.pi * hours / 24)
        week = np.where(hours // 24 % 7 < 5, 1.0, 0.5)
        table[name] = 100 + 10 * day * week + 5 * week + random.normal(size=len(hours))
    with caplog.at_level(logging.INFO, "rhapsode"):
        assert corpus_of(table) == (24, 168, 24)
    (line,) = caplog.messages
    assert line.startswith("season 24, found in the values: autocorrelation 0.9")
    assert "in 5 of 5 series; 168 above it. The error of forecasts with it is 0." in line
    assert corpus_of(table, season=24, horizon=48) == (24, 168, 48)
    assert corpus_of(table, season=7)[:2] == (7, 1)


def test_a_season_that_forecasts_no_better_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    random = np.random.default_rng(0)
    steps = np.arange(600)
    values = 0.02 * np.where(steps % 10, 0.0, 9.0) + np.cumsum(random.normal(size=600) * 0.08)
    with caplog.at_level(logging.INFO, "rhapsode"):
        assert corpus_of({"a": values})[:2] == (1, 1)
    assert caplog.messages[0].startswith("season 10, found in the values")
    assert "It is not used: the error of forecasts with it is 1." in caplog.messages[0]


def test_the_season_of_a_frequency_stays(tmp_path: Path) -> None:
    months = np.arange("2000-01", "2010-01", dtype="datetime64[M]")
    values = np.sin(np.arange(len(months)) * 2 * np.pi / 7)
    table = "month,value\n" + "".join(f"{m},{v:.4f}\n" for m, v in zip(months, values, strict=True))
    path = tmp_path / "waves.csv"
    path.write_text(table)
    assert corpus_of(str(path))[:2] == (12, 1)

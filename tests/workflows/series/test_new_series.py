"""Series without any value: forecast and continued from their attributes."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import rhapsode as rh
from tests.cli.conftest import Cli, cli  # noqa: F401 - a fixture

LEVELS = {"north": 10.0, "south": 100.0}


def month(step: int) -> dt.date:
    return dt.date(2020 + step // 12, 1 + step % 12, 1)


def table(*new: tuple[str, str]) -> pl.DataFrame:
    """Series of two regions at levels of their own, and new ones without values."""
    random = np.random.default_rng(0)
    rows: list[Any] = []
    for number in range(12):
        region = list(LEVELS)[number % 2]
        level = LEVELS[region] * (1 + 0.1 * random.normal())
        rows += [
            (f"s{number}", month(step), float(level + random.normal()), region)
            for step in range(36)
        ]
    rows += [(name, month(36), None, region) for name, region in new]
    return pl.DataFrame(rows, schema=["id", "month", "y", "region"], orient="row")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("new") / "run"
    rh.train(
        table(),
        output=str(folder),
        steps=40,
        network={"hidden_size": 8},
        training={"evaluations": 2},
    )
    return rh.load(folder)


def test_a_series_without_values_has_the_level_of_its_kind(model: Any) -> None:
    history = table(("cold", "south"), ("other", "north"))
    found = model.forecast(history, horizon=4, samples=200, seed=1)
    assert found.ids == (*(f"s{number}" for number in range(12)), "cold", "other")
    low, middle, high = found.quantiles([0.05, 0.5, 0.95])[:, :, :, 0]
    assert 80 < middle[-2].mean() < 120
    assert 8 < middle[-1].mean() < 12
    # The unknown level is part of the forecast.
    assert (high - low)[-2].mean() > 2 * (high - low)[1].mean()
    lines = "".join(found.csv()).splitlines()
    assert [line for line in lines if line.startswith("cold,2023-01,1,")]
    # The others are forecast as they are without it, and so is each new one.
    alone = model.forecast(table(), horizon=4, samples=200, seed=1)
    np.testing.assert_array_equal(found.paths_BSHK[:12], alone.paths_BSHK)
    one = model.forecast(table(("other", "north")), horizon=4, samples=200, seed=1)
    np.testing.assert_array_equal(found.paths_BSHK[-1], one.paths_BSHK[-1])


def test_the_same_on_the_command_line(model: Any, cli: Cli) -> None:  # noqa: F811
    only = table(("cold", "south")).filter(pl.col("id") == "cold")
    only.write_csv("new.csv")
    columns = ("--id-column", "id", "--time-column", "month", "--value-columns", "y")
    place = str(model.path)
    done = cli("forecast", place, "new.csv", *columns, "--static", "region", "--horizon", "3")
    assert done.code == 0, done.err
    rows = [line.split(",") for line in done.out.splitlines()[1:]]
    assert [row[:2] for row in rows] == [["cold", f"2023-0{step}"] for step in (1, 2, 3)]
    assert all(50 < float(row[3]) < 150 for row in rows)
    assert "scales of 6 training series" in done.err
    table(("cold", "north")).write_csv("all.csv")
    written = cli("generate", place, "all.csv", "--length", "2")
    assert written.code == 0, written.err
    assert len([line for line in written.out.splitlines() if line.startswith("cold,")]) == 2
    evaluated = rh.evaluate(model, "all.csv", method=["none"])
    assert np.isfinite(evaluated.loss)


def test_without_attributes_there_is_nothing_to_go_by(tmp_path: Path) -> None:
    frame = table(("cold", "south")).drop("region")
    folder = tmp_path / "run"
    rh.train(frame, output=str(folder), steps=3, network={"hidden_size": 4})
    assert "cold" not in rh.load(folder).forecast(frame, horizon=2, samples=5).ids

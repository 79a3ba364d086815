"""A frame in, a frame out: its library, its names, its dates."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import rhapsode as rh
from rhapsode.errors import SettingsError

COLUMNS = {
    "unique_id": ["b"] * 40 + ["a"] * 40,
    "ds": [dt.datetime(2024, 1, 1) + dt.timedelta(days=step % 40) for step in range(80)],
    "y": [float(step % 7) for step in range(80)],
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("frames") / "run"
    small = {"network": {"hidden_size": 4}, "training": {"evaluations": 1}}
    rh.train(pl.DataFrame(COLUMNS), output=str(folder), steps=5, **small)
    return rh.load(folder)


def test_polars_and_pyarrow(model: Any, tmp_path: Path) -> None:
    frame = pl.DataFrame(COLUMNS)
    forecast = model.forecast(frame, horizon=3, samples=20)
    found = forecast.frame([0.1, 0.9])
    assert isinstance(found, pl.DataFrame)
    assert found.columns == ["unique_id", "ds", "step", "mean", "q0.1", "q0.9"]
    assert found["unique_id"].to_list() == ["b"] * 3 + ["a"] * 3
    assert found["ds"].dtype.is_temporal()
    assert found["ds"][0] == dt.datetime(2024, 2, 10)
    np.testing.assert_allclose(found["mean"], forecast.mean().ravel())
    renamed = frame.rename({"unique_id": "shop", "ds": "day"})
    other = rh.forecast(model, renamed, horizon=3, samples=20).frame()
    assert other.columns[:2] == ["series", "time"]
    paths = rh.forecast(model, frame, horizon=3, samples=4).frame(paths=True, library="pyarrow")
    assert type(paths).__module__.startswith("pyarrow")
    assert paths.column_names == ["unique_id", "ds", "step", "path", "value"]
    assert paths.num_rows == 2 * 3 * 4
    assert paths["ds"].to_pylist()[4].date() == dt.date(2024, 2, 11)
    with pytest.raises(SettingsError, match="no frames of 'excel'"):
        forecast.frame(library="excel")
    scores = model.anomalies(frame).frame()
    assert isinstance(scores, pl.DataFrame)
    assert scores.height == 80
    assert {"unique_id", "ds", "value", "score", "anomaly"} <= set(scores.columns)


def test_pandas(model: Any) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(COLUMNS)
    found = model.forecast(frame, horizon=3, samples=20).frame()
    assert isinstance(found, pandas.DataFrame)
    assert list(found.columns[:2]) == ["unique_id", "ds"]
    assert str(found["ds"].dtype) == "datetime64[ns]"
    assert found["ds"][0] == pandas.Timestamp("2024-02-10")


def test_order_has_whole_numbers(model: Any, tmp_path: Path) -> None:
    values = {"y": np.arange(50.0) % 5}
    small = {"network": {"hidden_size": 4}, "training": {"evaluations": 1}}
    rh.train(values, output=str(tmp_path / "run"), steps=2, **small)
    found = rh.forecast(tmp_path / "run", values, horizon=2, samples=5).frame(library="polars")
    assert found["time"].to_list() == [50, 51]

"""Data frames, Parquet and arrays."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rhapsode.data.tables import Frequency, read_series
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError, MissingExtraError

MONTHS = np.arange("2020-01", "2020-11", dtype="datetime64[M]")


def test_arrays():
    assert read_series(np.arange(5.0)).values_NK[:, 0].tolist() == [0, 1, 2, 3, 4]
    found = read_series(np.arange(10.0).reshape(5, 2))
    assert found.ids == ("column 1", "column 2")
    assert read_series(
        np.arange(10.0).reshape(5, 2), SeriesSettings(joint=True)
    ).values_NK.shape == (5, 2)
    found = read_series({"when": MONTHS, "v": np.arange(10)})
    assert found.frequency == Frequency("month", 1, 1)
    found = read_series(
        {"id": np.array(["a"] * 5 + ["b"] * 5), "t": np.tile(np.arange(5), 2), "v": np.ones(10)}
    )
    assert found.ids == ("a", "b")
    found = read_series(np.array([1, -200, 3.0]), SeriesSettings(missing_values=("-200",)))
    np.testing.assert_array_equal(found.values_NK[:, 0], [1, np.nan, 3])


WITHOUT_POLARS = """
import sys

sys.modules["polars"] = None
import numpy as np
from rhapsode.data.tables import read_series

months = np.arange("2020-01", "2021-01", dtype="datetime64[M]")
values = np.sin(np.arange(12.0))
names = {"s1": values, "s2": 2 * values, "s3": values[:7]}
for source in (values, np.stack([values] * 4, axis=1), names, {"month": months, "v": values}, sys.argv[1]):
    series = read_series(source)
    np.testing.assert_array_equal(series.values_NK[series.rows(0), 0], values)
    print(len(series), series.frequency.name)
"""


def test_arrays_of_numbers_and_times_need_no_polars(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.sin(np.arange(12.0)))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_POLARS, str(tmp_path / "a.npy")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "1 no regular time", "4 no regular time", "3 no regular time", "1 monthly", "1 no regular time",
    ]  # fmt: skip


def test_texts_among_arrays_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rhapsode\[series\]'"):
        read_series({"id": np.array(["a", "b"]), "v": np.arange(2.0)})


def test_arrays_of_unequal_length_are_series_of_unequal_length() -> None:
    found = read_series({"a": np.array([1.5, 2.5]), "b": np.array([3.5, 1.0, 4.0])})
    np.testing.assert_array_equal(found.values_NK[found.rows(0), 0][:2], [1.5, 2.5])
    np.testing.assert_array_equal(found.values_NK[found.rows(1), 0], [3.5, 1.0, 4.0])
    assert np.isnan(found.values_NK[found.rows(0), 0][2:]).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2, 2)), "an array of 3 axes"),
        (np.zeros(0), "the table is empty"),
        (np.array([1, np.inf]), "row 2, column 'value': an infinite number"),
        (np.array([np.nan]), "there are no values"),
        (np.array([1j]), "holds neither numbers, times nor text"),
        ({"a": np.zeros(2), "b": np.array(["x", "y", "z"])}, "different lengths"),
        ({"t": np.array(["3000-01-01"], "M8[D]"), "v": np.ones(1)}, "a year out of reach"),
    ],
)
def test_arrays_that_are_no_series(array, message: str):
    with pytest.raises(DataError, match=message):
        read_series(array)


def test_files_of_arrays(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.arange(4.0))
    assert len(read_series(tmp_path / "a.npy").times_N) == 4
    np.savez_compressed(tmp_path / "a.npz", t=np.arange(4), v=np.arange(4.0) ** 2)
    found = read_series(tmp_path / "a.npz")
    assert found.ids == ("v",)
    assert found.kind == "integer"
    np.save(tmp_path / "o.npy", np.array([{}, None]), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects are never loaded"):
        read_series(tmp_path / "o.npy")
    (tmp_path / "t.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:60])
    with pytest.raises(DataError, match="not an array that can be read"):
        read_series(tmp_path / "t.npz")


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("narwhals")
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table(
        {"month": MONTHS.astype("M8[D]"), "v": [1.5, None, *range(8)], "text": ["x"] * 10}
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    found = read_series(tmp_path / "t.parquet")
    assert found.frequency == Frequency("month", 1, 1)
    np.testing.assert_array_equal(found.values_NK[:3, 0], [1.5, np.nan, 0])
    (tmp_path / "torn.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:-9])
    with pytest.raises(DataError, match="damaged Parquet"):
        read_series(tmp_path / "torn.parquet")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(
        MissingExtraError, match=r"install it with: pip install 'rhapsode\[series\]'"
    ):
        read_series(tmp_path / "t.parquet")


def test_frames_of_pyarrow():
    pytest.importorskip("narwhals")
    pyarrow = pytest.importorskip("pyarrow")
    found = read_series(
        pyarrow.table({"d": ["2020-01-01", "2020-01-02"], "v": [1, 2], "w": [True, False]})
    )
    assert found.ids == ("v", "w")
    assert found.frequency == Frequency("day")
    berlin = pyarrow.array(
        np.array(["2020-03-27T23", "2020-03-28T23", "2020-03-29T22"], "M8[us]"), pyarrow.timestamp("us", "Europe/Berlin")
    )  # fmt: skip
    found = read_series(pyarrow.table({"d": berlin, "v": [1, 2, 4]}))
    assert found.frequency == Frequency("day")
    with pytest.raises(DataError, match="the data frame, row 2, column 'v': an infinite"):
        read_series(pyarrow.table({"v": [1.0, float("inf")]}))
    with pytest.raises(DataError, match="the table is empty"):
        read_series(pyarrow.table({}))


def test_frames_of_pandas():
    pytest.importorskip("narwhals")
    pandas = pytest.importorskip("pandas")
    index = pandas.date_range("2020-01-31", periods=12, freq="ME")
    found = read_series(pandas.DataFrame({"v": range(12)}, index=index))
    assert found.frequency == Frequency("month", 1, 31)
    found = read_series(
        pandas.Series([1.0, 2, 3], pandas.period_range("2020Q1", periods=3, freq="Q"), name="q")
    )
    assert found.frequency.name == "quarterly"
    assert found.ids == ("q",)
    long = pandas.DataFrame({"unique_id": ["a", "a", "b"], "ds": [1, 2, 1], "y": [1, 2, 3.0]})
    assert read_series(long).ids == ("a", "b")


def test_frames_of_polars():
    pytest.importorskip("narwhals")
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"d": ["2020-01-01", "2020-01-02"], "v": [1, None]})
    assert read_series(frame.lazy()).values_NK[:, 0].tolist() == [1]


def test_standard_input(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"t,v\n1,2\n2,3\n")))
    assert read_series("-").values_NK[:, 0].tolist() == [2, 3]

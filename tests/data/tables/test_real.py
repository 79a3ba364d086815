"""Every real table of the shared data: what it holds, or one line that says why not."""

import functools
from pathlib import Path

import numpy as np
import pytest

from rhapsode.data.tables import SeriesSet, read_series
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError

# File, settings, series, rows of the shortest and longest, frequency, missing values.
TABLES = [
    ("timeseries/AirPassengers.csv", {}, 1, 144, 144, "monthly", 0),
    ("timeseries/AirQualityUCI.csv", {}, 13, 9357, 9357, "hourly", 0),
    ("timeseries/AirQualityUCI.csv", {"missing_values": ("-200",)}, 13, 1231, 9357, "hourly", None),
    ("timeseries/ETTh1.csv", {}, 7, 17420, 17420, "hourly", 0),
    ("timeseries/ETTh1.csv", {"joint": True}, 1, 17420, 17420, "hourly", 0),
    ("timeseries/PJME_hourly.csv.gz", {}, 1, 145392, 145392, "hourly", 30),
    ("timeseries/PJME_hourly.csv.gz", {"duplicates": "mean"}, 1, 145392, 145392, "hourly", 30),
    ("timeseries/beijing_pm25_pollution.csv", {}, 7, 43800, 43824, "hourly", 2043),
    ("timeseries/daily-min-temperatures.csv", {}, 1, 3652, 3652, "daily", 2),
    ("timeseries/exchange_rate.txt.gz", {}, 8, 7588, 7588, "no regular time", 0),
    ("timeseries/m4_Hourly-train.csv", {"frequency": "hourly"}, 414, 700, 960, "hourly", 0),
    ("timeseries/m4_Hourly-test.csv", {}, 414, 48, 48, "no regular time", 0),
    ("timeseries/monthly-milk.csv", {}, 1, 168, 168, "monthly", 0),
    ("timeseries/monthly-milk-incomplete.csv", {}, 1, 168, 168, "monthly", 13),
    ("timeseries/monthly-sunspots.csv", {}, 1, 2820, 2820, "monthly", 0),
    ("timeseries/stocks_long.csv", {}, 5, 68, 123, "monthly", 0),
    ("timeseries/tourism_long.csv", {}, 304, 80, 80, "quarterly", 0),
    ("nasty/csv/FY09_EDU_Recipients_by_State.csv", {}, 7, 52, 52, "no regular time", 0),
    ("nasty/csv/dummy_col_shuffled_ragged.csv", {}, 4, 1, 1, "no regular time", 0),
    ("nasty/csv/mac_newlines.csv", {}, 2, 2, 2, "no regular time", 0),
    ("nasty/csv/no_header_row.csv", {}, 3, 1, 1, "no regular time", 0),
    ("nasty/csv/null_byte.csv", {}, 2, 1, 1, "no regular time", 0),
    ("nasty/csv/test_latin1.csv", {}, 2, 2, 2, "no regular time", 0),
    ("nasty/csv/test_locale.csv", {}, 2, 1, 1, "no regular time", 0),
    ("nasty/csv/test_skip_lines.csv", {}, 3, 1, 1, "no regular time", 0),
    ("nasty/csv/test_utf16_little.csv", {}, 2, 2, 2, "no regular time", 0),
    ("nasty/csv/test_utf8_bom.csv", {}, 2, 2, 2, "no regular time", 0),
    ("nasty/utf16be_nobom.txt", {}, 2, 19, 19, "no regular time", 0),
]  # fmt: skip
ERRORS = [
    ("nasty/csv/bad.csv", ", line 2: 4 cells in a table of 3 columns"),
    ("nasty/csv/blanks.csv", ", line 2: there are no values: every number is missing"),
    ("nasty/csv/empty.csv", ": the table is empty"),
    ("nasty/csv/test_header_newline.csv", ", line 8: no column holds numbers to learn"),
]  # fmt: skip


@functools.cache
def read(path: Path, settings: SeriesSettings) -> SeriesSet:
    return read_series(path, settings)


@pytest.mark.parametrize(
    ("name", "asked", "series", "shortest", "longest", "frequency", "missing"),
    TABLES,
    ids=[f"{Path(t[0]).name}{'-' if t[1] else ''}{'-'.join(t[1])}" for t in TABLES],
)  # fmt: skip
def test_a_real_table(  # noqa: PLR0917
    shared_data: Path,
    name: str,
    asked: dict,
    series: int,
    shortest: int,
    longest: int,
    frequency: str,
    missing,
):
    found = read(shared_data / name, SeriesSettings(**asked))
    assert len(found) == series
    assert (found.lengths.min(), found.lengths.max()) == (shortest, longest)
    assert found.frequency.name == frequency
    if missing is not None:
        assert np.count_nonzero(~found.observed_NK) == missing
    assert all(len(note) < 500 and "\n" not in note for note in found.notes)
    assert np.isfinite(found.values_NK[found.observed_NK]).all()


@pytest.mark.parametrize(("name", "message"), ERRORS, ids=[Path(e[0]).name for e in ERRORS])
def test_a_real_table_that_is_refused(shared_data: Path, name: str, message: str):
    with pytest.raises(DataError) as caught:
        read_series(shared_data / name)
    assert str(caught.value).startswith(f"{shared_data / name}{message}")
    assert "\n" not in str(caught.value)


def test_every_table_is_in_these_lists(shared_data: Path):
    listed = {name for name, *_ in (*TABLES, *ERRORS)}
    there = {
        path.relative_to(shared_data).as_posix()
        for pattern in ("timeseries/*", "nasty/csv/*")
        for path in shared_data.glob(pattern)
    }
    assert there <= listed


def test_what_is_told_of_them(shared_data: Path):
    air = read(shared_data / "timeseries/AirQualityUCI.csv", SeriesSettings())
    assert any("--missing-values -200" in note for note in air.notes)
    assert (
        "columns 'Date' and 'Time' (hourly, 2004-03-10 18:00 to 2005-04-04 14:00)" in air.notes[0]
    )
    tourism = read(shared_data / "timeseries/tourism_long.csv", SeriesSettings())
    assert tourism.category_names == ("Region", "State", "Purpose")
    assert tourism.ids[0] == "Adelaide/Business"
    m4 = read(shared_data / "timeseries/m4_Hourly-train.csv", SeriesSettings(frequency="hourly"))
    assert m4.ids[413] == "H414"
    assert m4.values_NK[m4.rows(1), 0][:2].tolist() == [3124, 2990]
    joint = read(shared_data / "timeseries/ETTh1.csv", SeriesSettings(joint=True))
    assert joint.values_NK.shape == (17420, 7)
    assert joint.names[-1] == "OT"

"""Times in every form that is read, and what is none."""

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.data.tables import SeriesSet, read_series
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError
from tests.data.tables.helpers import series_of, told


def table_of(*cells: str) -> pl.DataFrame:
    return pl.DataFrame({"t": cells, "v": range(len(cells))})


def parsed(*cells: str, dates: str = "auto") -> SeriesSet:
    asked = SeriesSettings(time_column=("t",), dates=dates, frequency="none", duplicates="last")
    found = read_series(table_of(*cells), dataclasses.replace(asked, frequency="auto"))
    assert found.kind == "time"
    return found


def said(*cells: str, dates: str = "auto") -> list[str]:
    """The times of the cells, sorted."""
    found = parsed(*cells, dates=dates)
    there = ~np.isnan(found.values_NK[:, 0])
    return [
        str(t).replace(".000000000", "").removesuffix("T00:00:00")
        for t in found.times_N[there].astype("datetime64[ns]")
    ]


def is_found(*cells: str) -> bool:
    """True if the cells are taken for times without a word."""
    return read_series(table_of(*cells), SeriesSettings(duplicates="last")).kind == "time"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2020-02-29", "2020-02-29"),
        ("2020/2/9", "2020-02-09"),
        ("2020.02.09", "2020-02-09"),
        ("2020-02", "2020-02-01"),
        ("2020M02", "2020-02-01"),
        ("1949Q2", "1949-04-01"),
        ("1949-Q4", "1949-10-01"),
        ("Q3 1949", "1949-07-01"),
        ("2020-W53", "2020-12-28"),
        ("2021-W01", "2021-01-04"),
        ("2021-W01-3", "2021-01-06"),
        ("31/12/1999", "1999-12-31"),
        ("12/31/1999", "1999-12-31"),
        ("31.12.1999", "1999-12-31"),
        ("31-12-99", "1999-12-31"),
        ("12/2020", "2020-12-01"),
        ("Jan 1 2000", "2000-01-01"),
        ("January 1, 2000", "2000-01-01"),
        ("Jan-1-2000", "2000-01-01"),
        ("1 Sept 2000", "2000-09-01"),
        ("01-Mar-2000", "2000-03-01"),
        ("01-Mar-20", "2020-03-01"),
        ("Dec-2000", "2000-12-01"),
        ("Dec-99", "1999-12-01"),
        ("2000 Dec", "2000-12-01"),
        ("Monday, 5 January 2015", "2015-01-05"),
        ("2020年1月15日", "2020-01-15"),
        ("2020年1月", "2020-01-01"),
        ("20200131T030405", "2020-01-31T03:04:05"),
        ("2020-01-31T03:04", "2020-01-31T03:04:00"),
        ("2020-01-31 03:04:05.25", "2020-01-31T03:04:05.250000000"),
        ("2020-01-31 03:04:05.123456789", "2020-01-31T03:04:05.123456789"),
        ("2020-01-31T03:04:05Z", "2020-01-31T03:04:05"),
        ("1/31/2020 3:04 PM", "2020-01-31T15:04:00"),
        ("1/31/2020 12:04 AM", "2020-01-31T00:04:00"),
        ("1/31/2020 12:04 PM", "2020-01-31T12:04:00"),
        ("2020-01-31 24:00", "2020-02-01"),
        (" 2020-01-31 ", "2020-01-31"),
        ("1678-01-01", "1678-01-01"),
        ("2261-12-31", "2261-12-31"),
        ("1969-12-31 23:59:59", "1969-12-31T23:59:59"),
    ],
)
def test_a_form_is_understood(cell: str, expected: str):
    assert is_found(cell)
    assert said(cell) == [expected]
    assert said(cell, cell) == [expected]


@pytest.mark.parametrize(
    "cell",
    ["hello", "A1", "1-2", "12", "20-20-20-20", "2020-01-01x", "Janx 1 2000", "", "1.5", "2020-01-01 +",
     "5 apples", "2020-01-01T25", "12:30:45:10", "x" * 60, "H1"],
)  # fmt: skip
def test_other_text_is_no_time(cell: str):
    assert not is_found(cell, cell)
    with pytest.raises(DataError, match="not a time"):
        parsed("2020-01-01", cell or "?!")


@pytest.mark.parametrize(
    "cell",
    ["2020-02-30", "2021-02-29", "2020-13-01", "2020-00-10", "1999Q5", "2020-W54", "2020-01-01 25:00",
     "2020-01-01 24:01", "2020-01-01 10:60", "1/1/2020 13:00 PM", "99/99/2020"],
)  # fmt: skip
def test_times_that_cannot_be_are_found(cell: str):
    good = cell.replace("99/99", "01/01").replace("13:00 PM", "1:00 PM")
    with pytest.raises(DataError, match="row 2, column 't': not a time"):
        parsed("2020-01-01" if good == cell else good, cell)


def test_years_out_of_reach_are_found():
    with pytest.raises(DataError, match="row 2, column 't': a year out of reach: '1500-01-01'"):
        parsed("2000-01-01", "1500-01-01")
    with pytest.raises(DataError, match="row 1, column 't': a year out of reach"):
        parsed("9999-01-01")


def order_of(*cells: str, dates: str = "auto") -> tuple[str, bool]:
    notes = told(parsed(*cells, dates=dates))
    order = "day-first" if "the day first" in notes else "month-first"
    assert f"the {order.partition('-')[0]} first" in notes
    return order, "ambiguous" in notes


def test_day_and_month_are_settled_by_the_whole_column():
    assert order_of("01/02/2020", "02/02/2020", "13/02/2020") == ("day-first", False)
    assert order_of("01/02/2020", "02/02/2020", "02/13/2020") == ("month-first", False)
    with pytest.raises(DataError, match="row 2"):  # both: one of them is wrong
        parsed("13/02/2020", "02/13/2020")


def test_where_nothing_settles_it_the_evener_series_is_likelier():
    months = [(month, year) for year in (2020, 2021) for month in range(1, 13)]
    assert order_of(*(f"01/{m:02}/{y}" for m, y in months)) == ("day-first", True)
    assert order_of(*(f"{m:02}/01/{y}" for m, y in months)) == ("month-first", True)
    assert order_of(*(f"{m:02}/{m:02}/{y}" for m, y in months)) == ("month-first", True)
    assert order_of("01.02.2020")[0] == "day-first"
    assert order_of("01/02/2020")[0] == "month-first"
    assert order_of("01/02/2020", dates="day-first") == ("day-first", False)
    assert said("01/02/2020", dates="day-first") == ["2020-02-01"]


@pytest.mark.parametrize(
    ("cell", "time"),
    [("18.00.00", "18:00"), ("18:30", "18:30"), ("6:05:07 PM", "18:05:07"), ("0:00", "00:00")],
)
def test_times_of_day(tmp_path: Path, cell: str, time: str):
    found = series_of(tmp_path, f"d,c,v\n2020-01-05,{cell},1\n")
    assert found.times_N[0] == np.datetime64(f"2020-01-05T{time}", "ns").astype(np.int64)


def test_offsets_that_change_make_utc():
    zoned = "2020-03-29T01:00:00+01:00", "2020-03-29T03:00:00+0200", "2020-03-29T00:00-0330"
    assert said(*zoned) == ["2020-03-29", "2020-03-29T01:00:00", "2020-03-29T03:30:00"]
    assert "+01:00 to 2020-03-29 00:00-03:30" in parsed(*zoned).notes[0]
    found = parsed("2020-03-29T01:00:00+01:00", "2020-03-29T02:00:00+01:00")
    assert "all have the offset +01:00: kept as local times" in told(found)
    with pytest.raises(DataError, match="row 2"):
        parsed("2020-03-29T01:00:00+01:00", "2020-03-29T02:00:00")


def test_missing_times_are_rows_without_a_place(tmp_path: Path):
    found = series_of(tmp_path, "d,v,w\n2020-01-01,1,1\n,NA,\nNA,,-\n2020-01-02,5,2\n")
    assert found.values_NK[:, 0].tolist() == [1, 5, 1, 2]
    assert "2 rows without time and values left out" in told(found)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-(4 * 10**9), 4 * 10**9), min_size=1, max_size=20), st.data())
def test_times_come_back_from_every_form(seconds: list[int], data: st.DataObject):
    times = np.array(seconds, "datetime64[s]").tolist()
    form = data.draw(
        st.sampled_from(
            ["%Y-%m-%d %H:%M:%S", "%Y/%m/%dT%H:%M:%S", "%d %B %Y %H:%M:%S", "%b %d, %Y %I:%M:%S %p", "%Y%m%dT%H%M%S"]
        )
    )  # fmt: skip
    cells = [time.strftime(form) for time in times]
    expected = sorted({second * 10**9 for second in seconds})
    for written in (cells, [*cells, times[0].strftime("%d.%m.%Y %H:%M:%S")]):
        found = parsed(*written, dates="day-first")
        assert found.times_N[~np.isnan(found.values_NK[:, 0])].tolist() == expected

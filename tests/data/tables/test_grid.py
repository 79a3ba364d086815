"""Sorting, gaps, duplicates, mixed and missing frequencies, zones and clock changes, series without values."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.data.tables import Frequency, read_series
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError, SettingsError
from tests.data.tables.helpers import series_of, told

DAY = 86_400 * 10**9


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.sets(st.integers(0, 25), min_size=1), st.integers(1, 4)), min_size=1, max_size=5
    ),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_rows_in_any_order_land_on_their_places(series, random):
    rows = [
        (number, start + step * place, 100.0 * number + place)
        for number, (start, places, step) in enumerate(series)
        for place in places
    ]
    random.shuffle(rows)
    names, times, values = (np.array(part) for part in zip(*rows, strict=True))
    roles = SeriesSettings(id_column=("id",), time_column=("t",))
    found = read_series({"id": names, "t": times, "v": values}, roles)
    for number, frequency in enumerate(found.frequencies):
        part = found.rows(number)
        times, values = found.times_N[part], found.values_NK[part, 0]
        mine = sorted((time, value) for s, time, value in rows if str(s) == found.ids[number])
        there = ~np.isnan(values)
        assert list(zip(times[there].tolist(), values[there].tolist(), strict=True)) == mine
        assert there[0]
        assert there[-1]
        if frequency.unit == "order":
            assert there.all()
        elif len(times) > 1:
            assert set(np.diff(times)) == {frequency.step}


def test_gaps_are_filled_and_counted(tmp_path: Path):
    body = "month,v\n2020-01,1\n2020-02,2\n2020-05,5\n2020-06,6\n2020-07,7\n"
    found = series_of(tmp_path, body)
    np.testing.assert_array_equal(found.values_NK[:, 0], [1, 2, np.nan, np.nan, 5, 6, 7])
    assert "2 times have no row, the first 2020-03: filled in as missing" in told(found)
    stamps = found.times_N.astype("datetime64[ns]").astype("datetime64[D]").astype(str)
    assert stamps[2] == "2020-03-01"


def test_rows_out_of_order_are_sorted_aloud(tmp_path: Path):
    found = series_of(tmp_path, "d,v\n2020-01-03,3\n2020-01-01,1\n2020-01-02,2\n")
    assert found.values_NK[:, 0].tolist() == [1, 2, 3]
    assert "1 row comes before an earlier time, the first in line 3: sorted" in told(found)


def test_times_that_stand_twice(tmp_path: Path):
    body = "d,v,w\n2020-01-01,1,1\n2020-01-02,2,\n2020-01-02,4,8\n2020-01-03,5,5\n"
    with pytest.raises(
        DataError, match=r"line 4: the time 2020-01-02 00:00 occurs twice, first in line 3;"
    ):
        series_of(tmp_path, body)
    found = series_of(tmp_path, body, duplicates="mean")
    assert found.values_NK[:, 0].tolist() == [1, 3, 5, 1, 8, 5]
    assert "1 row with a repeated time" in told(found)
    found = series_of(tmp_path, body, duplicates="last")
    assert found.values_NK[:, 0].tolist() == [1, 4, 5, 1, 8, 5]
    many = series_of(tmp_path, "t,v\n1,1\n1,2\n1,6\n2,4\n2,\n", duplicates="mean")
    assert many.values_NK[:, 0].tolist() == [3, 4]


def test_of_several_series_the_one_is_named(tmp_path: Path):
    body = "id,t,v\na,1,1\na,2,1\nb,1,1\nb,2,2\nb,2,3\n"
    with pytest.raises(
        DataError, match=r"line 6: the time 2 occurs twice in series 'b', first in line 5"
    ):
        series_of(tmp_path, body, id_column=("id",))


def test_frequencies_may_differ(tmp_path: Path):
    rows = [f"d{s},2020-01-{d:02},{d}" for s in range(3) for d in range(1, 29)]
    rows += [f"w,2020-{m:02}-01,{m}" for m in range(1, 12)]
    rows += ["one,2020-01-05,7"]
    found = series_of(tmp_path, "\n".join(["id,date,v", *rows]))
    assert [f.name for f in found.frequencies] == ["daily", "daily", "daily", "monthly", "daily"]
    assert found.frequency == Frequency("day")
    assert found.lengths.tolist() == [28, 28, 28, 11, 1]
    assert "several frequencies: 4 daily, 1 monthly" in told(found)


def test_few_points_of_a_common_grid_are_no_frequency_of_their_own(tmp_path: Path):
    rows = [f"a,{t},{t}" for t in range(20)] + ["b,0,1", "b,2,1", "b,4,2"]
    found = series_of(tmp_path, "\n".join(["id,t,v", *rows]))
    assert [f.step for f in found.frequencies] == [1, 1]
    assert found.lengths.tolist() == [20, 5]


def test_a_frequency_may_be_said(tmp_path: Path):
    body = "d,v\n2020-01-01,1\n2020-01-03,3\n2020-01-05,5\n"
    assert series_of(tmp_path, body).lengths.tolist() == [3]
    assert series_of(tmp_path, body, frequency="daily").lengths.tolist() == [5]
    with pytest.raises(
        DataError,
        match=r"line 3: the time 2020-01-03 00:00 does not fit a series that is every 4 days",
    ):
        series_of(tmp_path, body, frequency="4 days")
    found = series_of(tmp_path, body, frequency="none")
    assert (found.kind, found.times_N.tolist()) == ("order", [0, 1, 2])
    with pytest.raises(SettingsError, match="no frequency 'sometimes'"):
        series_of(tmp_path, body, frequency="sometimes")
    with pytest.raises(DataError, match="times are whole numbers, which cannot be daily"):
        series_of(tmp_path, "t,v\n1,2\n2,3\n", frequency="daily")
    found = series_of(tmp_path, "v,w\n1,2\n2,3\n", frequency="15 minutes")
    assert (found.kind, found.period) == ("order", 96)


def test_times_on_no_grid_are_kept_in_order(tmp_path: Path):
    body = "d,v\n2020-01-01 00:00:03,1\n2020-01-01 07:01:00,2\n2020-01-02 00:00:59,3\n2020-01-05 00:00:59,3\n"
    found = series_of(tmp_path, body)
    assert found.frequency.unit == "order"
    assert found.kind == "time"
    assert len(found.times_N) == 4
    assert "times are not evenly spaced" in told(found)


def test_clock_changes(tmp_path: Path):
    # Central Europe, March 2020: with offsets, nothing is amiss.
    hours = ["00:00+01:00", "01:00+01:00", "03:00+02:00", "04:00+02:00"]
    found = series_of(
        tmp_path, "t,v\n" + "".join(f"2020-03-29T{h},{n}\n" for n, h in enumerate(hours))
    )
    assert found.lengths.tolist() == [4]
    assert found.frequency == Frequency("hour")
    assert "spaced by UTC, and written with their offset" in told(found)
    # Days keep their midnight.
    days = ["2020-03-28T00:00+01:00", "2020-03-29T00:00+01:00", "2020-03-30T00:00+02:00"]
    found = series_of(tmp_path, "t,v\n" + "".join(f"{d},{n}\n" for n, d in enumerate(days)))
    assert found.frequency == Frequency("day")
    assert "kept as local days" in told(found)
    found = series_of(tmp_path, "t,v\n2020-03-28T10:00+05:30,1\n2020-03-28T11:00+05:30,2\n")
    assert "have the offset +05:30: kept as local times" in told(found)
    # Without, the hour that is left out is a gap.
    local = ["00:00", "01:00", "03:00", "04:00"]
    found = series_of(
        tmp_path, "t,v\n" + "".join(f"2020-03-29 {h},{n}\n" for n, h in enumerate(local))
    )
    assert found.lengths.tolist() == [5]


def test_leap_days_and_ends_of_months(tmp_path: Path):
    found = series_of(tmp_path, "d,v\n2020-02-27,1\n2020-02-28,2\n2020-03-01,4\n2020-03-02,5\n")
    assert found.lengths.tolist() == [5]
    found = series_of(tmp_path, "d,v\n2020-01-31,1\n2020-02-29,2\n2020-04-30,4\n2020-05-31,5\n")
    assert (
        found.times_N[2].astype("datetime64[ns]").astype("datetime64[D]").astype(str)
        == "2020-03-31"
    )


def test_series_without_values(tmp_path: Path):
    body = "d,a,b,c\n2020-01-01,NA,1,\n2020-01-02,NA,,3\n2020-01-03,NA,3,3\n"
    found = series_of(tmp_path, body)
    assert found.ids == ("b", "c")
    assert found.lengths.tolist() == [3, 2]
    assert "column without any value left out: 'a'" in told(found)
    assert "1 series is constant: 'c'" in told(found)
    assert "before the first value of 1 series cut off" in told(found)
    long = series_of(tmp_path, "id,t,v\nx,1,\nx,2,\ny,1,4\ny,2,5\n")
    assert long.ids == ("y",)
    assert "series without any value left out: 'x'" in told(long)


def test_one_value(tmp_path: Path):
    found = series_of(tmp_path, "d,v\n2020-01-01,5\n")
    assert found.lengths.tolist() == [1]
    assert found.frequency == Frequency("order")
    assert series_of(tmp_path, "d,v\n2020-01-01,5\n", frequency="monthly").period == 12

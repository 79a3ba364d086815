"""Times in every form that is read, and what is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.data.tables.parsing.stamps import are_all_stamps, is_stamp, parse_stamps, texts


def parsed(*cells: str, dates: str = "auto"):
    array = texts(list(cells))
    return parse_stamps(array, np.zeros(len(array), bool), dates)


def said(*cells: str, dates: str = "auto") -> list[str]:
    found = parsed(*cells, dates=dates)
    assert found.bad is None
    return [
        str(t).replace(".000000000", "").removesuffix("T00:00:00")
        for t in found.times_N.astype("datetime64[ns]")
    ]


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
    assert are_all_stamps(texts([cell]))
    assert is_stamp(cell)
    assert not parsed(cell).clock
    assert said(cell) == [expected]
    assert said(cell, cell) == [expected] * 2


@pytest.mark.parametrize(
    "cell",
    ["hello", "A1", "1-2", "12", "1949", "20-20-20-20", "2020-01-01x", "Janx 1 2000", "", "1.5", "2020-01-01 +",
     "5 apples", "2020-01-01T25", "12:30:45:10", "x" * 60, "H1"],
)  # fmt: skip
def test_other_text_is_no_time(cell: str):
    assert not are_all_stamps(texts([cell]))
    assert not is_stamp(cell)


@pytest.mark.parametrize(
    "cell",
    ["2020-02-30", "2021-02-29", "2020-13-01", "2020-00-10", "1999Q5", "2020-W54", "2020-01-01 25:00",
     "2020-01-01 24:01", "2020-01-01 10:60", "1/1/2020 13:00 PM", "99/99/2020"],
)  # fmt: skip
def test_times_that_cannot_be_are_found(cell: str):
    good = cell.replace("99/99", "01/01").replace("13:00 PM", "1:00 PM")
    found = parsed("2020-01-01" if good == cell else good, cell)
    assert found.bad == 1


def test_years_out_of_reach_are_found():
    assert parsed("2000-01-01", "1500-01-01").overflow == 1
    assert parsed("9999-01-01").overflow == 0


def test_day_and_month_are_settled_by_the_whole_column():
    found = parsed("01/02/2020", "02/02/2020", "13/02/2020")
    assert (found.order, found.doubtful) == ("day-first", False)
    found = parsed("01/02/2020", "02/02/2020", "02/13/2020")
    assert (found.order, found.doubtful) == ("month-first", False)
    # Both: one of them is wrong.
    assert parsed("13/02/2020", "02/13/2020").bad == 1


def test_where_nothing_settles_it_the_evener_series_is_likelier():
    months = [(month, year) for year in (2020, 2021) for month in range(1, 13)]
    found = parsed(*(f"01/{month:02}/{year}" for month, year in months))
    assert (found.order, found.doubtful) == ("day-first", True)
    found = parsed(*(f"{month:02}/01/{year}" for month, year in months))
    assert (found.order, found.doubtful) == ("month-first", True)
    found = parsed(*(f"{month:02}/{month:02}/{year}" for month, year in months))
    assert (found.order, found.doubtful) == ("month-first", True)
    assert parsed("01.02.2020").order == "day-first"
    assert parsed("01/02/2020").order == "month-first"
    assert parsed("01/02/2020", dates="day-first").doubtful is False
    assert said("01/02/2020", dates="day-first") == ["2020-02-01"]


def test_times_of_day():
    for cell, seconds in [
        ("18.00.00", 64800),
        ("18:30", 66600),
        ("6:05:07 PM", 65107),
        ("0:00", 0),
    ]:
        assert are_all_stamps(texts([cell]))
        found = parsed(cell)
        assert found.clock
        assert found.times_N.tolist() == [seconds * 10**9]


def test_zones_become_utc_where_they_differ():
    found = parsed("2020-03-29T01:00:00+01:00", "2020-03-29T03:00:00+0200", "2020-03-29T00:00-0330")
    utc = found.times_N.astype("datetime64[ns]").astype("datetime64[m]").astype(str).tolist()
    assert utc == ["2020-03-29T00:00", "2020-03-29T01:00", "2020-03-29T03:30"]
    assert found.local_N is not None
    found = parsed("2020-03-29T01:00:00+01:00", "2020-03-29T02:00:00+01:00")
    assert (found.local_N, found.offset) == (None, 3600)
    assert parsed("2020-03-29T01:00:00+01:00", "2020-03-29T02:00:00").bad == 0


def test_missing_cells_are_not_looked_at():
    cells = texts(["2020-01-01", "", "NA"])
    found = parse_stamps(cells, np.array([False, True, True]), "auto")
    assert found.bad is None
    assert np.isnat(found.times_N.astype("datetime64[ns]")).tolist() == [False, True, True]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-(9 * 10**9), 9 * 10**9), min_size=1, max_size=20), st.data())
def test_times_come_back_from_every_form(seconds: list[int], data: st.DataObject):
    times = np.array(seconds, "datetime64[s]").tolist()
    form = data.draw(
        st.sampled_from(
            ["%Y-%m-%d %H:%M:%S", "%Y/%m/%dT%H:%M:%S", "%d %B %Y %H:%M:%S", "%b %d, %Y %I:%M:%S %p", "%Y%m%dT%H%M%S"]
        )
    )  # fmt: skip
    cells = [time.strftime(form) for time in times]
    found = parsed(*cells)
    assert found.bad is None
    assert found.times_N.tolist() == [second * 10**9 for second in seconds]
    mixed = parsed(*cells, times[0].strftime("%d.%m.%Y %H:%M:%S"), dates="day-first")
    assert mixed.times_N.tolist() == [second * 10**9 for second in [*seconds, seconds[0]]]

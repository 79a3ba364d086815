"""Frequencies: inferred, named, advanced, and what a season is."""

import warnings

import numpy as np
import pytest

from rhapsode.data.tables import Frequency, infer_frequency, parse_frequency
from rhapsode.errors import SettingsError

DAY = 86_400 * 10**9


def stamps(*texts: str) -> np.ndarray:
    return np.array(texts, "datetime64[ns]").astype(np.int64)


def along(start: str, step: str, count: int) -> np.ndarray:
    number, unit = int(step[:-1] or 1), step[-1]
    first = np.datetime64(start, unit)
    return (first + number * np.arange(count)).astype("datetime64[ns]").astype(np.int64)


KNOWN = [
    (along("2000", "1Y", 5), Frequency("month", 12, 1), "yearly", 1),
    (along("2000-01", "3M", 9), Frequency("month", 3, 1), "quarterly", 4),
    (along("2000-01", "1M", 30), Frequency("month", 1, 1), "monthly", 12),
    (along("2000-01", "2M", 30), Frequency("month", 2, 1), "every 2 months", 6),
    (along("2000-01", "6M", 30), Frequency("month", 6, 1), "half-yearly", 2),
    (along("2000-01", "1M", 30) - DAY, Frequency("month", 1, 31), "monthly", 12),
    (along("2000-01", "1M", 30) + 14 * DAY, Frequency("month", 1, 15), "monthly", 12),
    (along("2000-01", "3M", 9) - DAY, Frequency("month", 3, 31), "quarterly", 4),
    (along("2000-01-03", "7D", 9), Frequency("week"), "weekly", 52),
    (along("2000-01-03", "14D", 9), Frequency("week", 2), "every 2 weeks", 26),
    (along("2000-01-03", "28D", 9), Frequency("week", 4), "every 4 weeks", 13),
    (along("2000-02-25", "1D", 9), Frequency("day"), "daily", 7),
    (along("2000-02-25", "3D", 9), Frequency("day", 3), "every 3 days", 1),
    (along("2000-01-01T05", "1h", 50), Frequency("hour"), "hourly", 24),
    (along("2000-01-01T05", "6h", 50), Frequency("hour", 6), "every 6 hours", 4),
    (along("2000-01-01T05:10", "15m", 50), Frequency("minute", 15), "every 15 minutes", 96),
    (along("2000-01-01T05:10", "1m", 50), Frequency("minute"), "every minute", 1440),
    (along("2000-01-01T05:10:07", "10s", 50), Frequency("second", 10), "every 10 seconds", 360),
    (stamps("2000-01-31", "2000-02-29", "2000-03-30", "2000-05-31"), Frequency("month"), "monthly", 12),
    (stamps("2000-01-30", "2000-02-29", "2000-03-30"), Frequency("month", 1, 30), "monthly", 12),
]  # fmt: skip


@pytest.mark.parametrize(
    ("times", "expected", "name", "period"), KNOWN, ids=[str(k[1]) for k in KNOWN]
)
def test_a_frequency_is_inferred_and_continues_its_times(times, expected, name: str, period: int):
    found = infer_frequency(times)
    assert found == expected
    assert found.name == name
    assert found.period == period
    if found.day or found.unit != "month":
        again = found.advance(np.full(len(times), times[0]), np.arange(len(times)))
        np.testing.assert_array_equal(again, times)
        np.testing.assert_array_equal(found.joined(times[:-1], times[1:]), True)


@pytest.mark.parametrize("which", range(len(KNOWN) - 2))
def test_a_few_gaps_change_nothing(which: int):
    times, expected, *_ = KNOWN[which]
    kept = np.delete(times, [2])
    assert infer_frequency(kept) == expected


def test_business_days_with_and_without_holidays():
    days = along("2024-01-01", "1D", 60)
    weekdays = days[(days // DAY + 3) % 7 < 5]
    assert infer_frequency(weekdays) == Frequency("business day")
    assert infer_frequency(np.delete(weekdays, [7, 20])) == Frequency("business day")
    assert infer_frequency(weekdays[:5]) == Frequency("day")
    ahead = Frequency("business day").advance(np.full(3, weekdays[4]), np.arange(3))
    np.testing.assert_array_equal(ahead, weekdays[4:7])


def test_times_on_no_grid_are_in_order_only():
    assert infer_frequency(np.array([0, 1, 10**6, 10**12])) == Frequency("order")
    rng = np.random.default_rng(0)
    assert infer_frequency(np.cumsum(rng.integers(1, 10**9, 50))) == Frequency("order")


def test_one_time_has_no_frequency():
    assert infer_frequency(np.array([5])) is None
    assert infer_frequency(np.array([], np.int64)) is None
    assert infer_frequency(np.array([1, 2]), "order") == Frequency("order")


def test_whole_numbers():
    assert infer_frequency(np.array([2, 4, 8]), "integer") == Frequency("step", 2)
    assert Frequency("step", 2).advance(np.array([8]), np.array([3])).tolist() == [14]
    assert Frequency("step", 2).period == 1


def test_ends_of_months_stay_ends():
    ahead = Frequency("month", 1, 31).advance(stamps("2024-01-31")[[0] * 4], np.arange(4))
    days = ahead.astype("datetime64[ns]").astype("datetime64[D]").astype(str)
    assert days.tolist() == ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]


def test_the_clock_is_kept_when_months_go_on():
    ahead = Frequency("month", 3, 1).advance(stamps("2024-01-01T06:00"), np.array([1]))
    assert ahead.tolist() == stamps("2024-04-01T06:00").tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("monthly", Frequency("month")),
        ("Yearly", Frequency("month", 12)),
        ("15min", Frequency("minute", 15)),
        ("15 minutes", Frequency("minute", 15)),
        ("every 2 weeks", Frequency("week", 2)),
        ("2 quarters", Frequency("month", 6)),
        ("business days", Frequency("business day")),
        ("business daily", Frequency("business day")),
        ("h", Frequency("hour")),
        ("none", Frequency("order")),
    ],
)
def test_frequencies_have_names(text: str, expected: Frequency):
    assert parse_frequency(text) == expected


@pytest.mark.parametrize(
    "text", ["", "fortnightly", "0 days", "-1 h", "monthly monthly", "9" * 12 + "s"]
)
def test_other_names_are_errors(text: str):
    with pytest.raises(SettingsError, match="no frequency"):
        parse_frequency(text)


def test_the_same_as_pandas():
    pandas = pytest.importorskip("pandas")
    warnings.simplefilter("ignore")  # what `infer_freq` gives is to change
    with_name = {
        "YS": "yearly", "QS": "quarterly", "QE": "quarterly", "MS": "monthly", "ME": "monthly", "W": "weekly",
        "D": "daily", "B": "business daily", "h": "hourly", "15min": "every 15 minutes", "5s": "every 5 seconds",
        "2MS": "every 2 months", "YE": "yearly",
    }  # fmt: skip
    for alias, name in with_name.items():
        index = pandas.date_range("2019-11-13", periods=40, freq=alias)
        assert pandas.infer_freq(index).startswith(alias), alias
        times = index.to_numpy().astype("datetime64[ns]").astype(np.int64)
        found = infer_frequency(times)
        assert found.name == name
        ahead = found.advance(np.full(5, times[-6]), np.arange(1, 6))
        np.testing.assert_array_equal(ahead, times[-5:])

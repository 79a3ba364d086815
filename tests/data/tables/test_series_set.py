"""Sets of series: cutting, choosing, their future, and what the calendar says."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhapsode.data.tables import (
    Frequency,
    SeriesSet,
    calendar_features,
    calendar_names,
    format_time,
    future_times,
    read_series,
)
from rhapsode.errors import DataError
from tests.data.tables.helpers import series_of

DAY = 86_400 * 10**9


def made(*lengths: int) -> SeriesSet:
    count = sum(lengths)
    places = np.concatenate([np.arange(length) for length in lengths]).astype(np.int64)
    return SeriesSet(
        tuple(f"s{n}" for n in range(len(lengths))), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        places * DAY, np.arange(count, dtype=float)[:, None], ("v",), "time", (Frequency("day"),) * len(lengths),
        np.arange(2.0 * count).reshape(count, 2), ("p", "q"), np.arange(float(len(lengths)))[:, None], ("size",),
        np.arange(len(lengths))[:, None], ("kind",), (tuple("abcdefgh"[: len(lengths)]),),
    )  # fmt: skip


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 10))
def test_a_tail_and_the_rows_before_it_make_the_whole(lengths: list[int], horizon: int):
    whole = made(*lengths)
    tails = np.where(whole.lengths > horizon, horizon, 0)
    middle = whole.offsets[1:] - tails
    head, tail = whole.cut(whole.offsets[:-1], middle), whole.cut(middle, whole.offsets[1:])
    for number, expected in enumerate(tails.tolist()):
        assert tail.lengths[number] == expected
        both = np.concatenate([part.values_NK[part.rows(number)] for part in (head, tail)])
        np.testing.assert_array_equal(both, whole.values_NK[whole.rows(number)])
        known = np.concatenate([part.known_NC[part.rows(number)] for part in (head, tail)])
        np.testing.assert_array_equal(known, whole.known_NC[whole.rows(number)])
        if expected:
            np.testing.assert_array_equal(
                future_times(head, number, horizon), tail.times_N[tail.rows(number)]
            )


def test_some_of_a_set():
    part = made(2, 3, 4).select([2, 0])
    assert part.ids == ("s2", "s0")
    assert part.lengths.tolist() == [4, 2]
    assert part.values_NK[:, 0].tolist() == [5, 6, 7, 8, 0, 1]
    assert part.static_SA.tolist() == [[2], [0]]
    assert part.categories_SA.tolist() == [[2], [0]]
    assert len(part) == len(part.frequencies) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        part.ids = ()  # type: ignore[misc]


def test_the_future(tmp_path: Path):
    airline = read_series("airline")
    ahead = future_times(airline, 0, 3).astype("datetime64[ns]").astype("datetime64[M]").astype(str)
    assert ahead.tolist() == ["1961-01", "1961-02", "1961-03"]
    order = series_of(tmp_path, "v\n5\n6\n7\n")
    assert future_times(order, 0, 2).tolist() == [3, 4]
    steps = series_of(tmp_path, "t,v\n2,1\n4,1\n6,2\n")
    assert future_times(steps, 0, 2).tolist() == [8, 10]
    with pytest.raises(DataError, match="a single time has no time step"):
        future_times(series_of(tmp_path, "d,v\n2020-01-01,5\n"), 0, 1)
    odd = series_of(
        tmp_path,
        "d,v\n2020-01-01 00:00:01,1\n2020-01-01 00:00:14,1\n2020-01-03 10:00:00,2\n2020-01-03 10:00:13,1\n",
    )
    assert (future_times(odd, 0, 2) - odd.times_N[-1]).tolist() == [13 * 10**9, 26 * 10**9]


def test_the_calendar_as_in_gluonts():
    times = np.array(["2023-12-31T23:59:59", "2024-01-01T00:00:00"], "datetime64[ns]").astype(
        np.int64
    )
    features = calendar_features(times, Frequency("second"))
    assert calendar_names(Frequency("second")) == (
        "second of minute", "minute of hour", "hour of day", "day of week", "day of month", "day of year",
    )  # fmt: skip
    np.testing.assert_allclose(features[0], [0.5, 0.5, 0.5, 0.5, 0.5, 364 / 365 - 0.5])
    np.testing.assert_allclose(features[1], [-0.5, -0.5, -0.5, -0.5, -0.5, -0.5])
    assert calendar_features(times, Frequency("month"))[:, 0].tolist() == [0.5, -0.5]
    weekly = calendar_features(times, Frequency("week"))
    np.testing.assert_allclose(weekly[:, 1], [51 / 52 - 0.5, -0.5])
    new_year = np.array(["2026-01-01", "2020-12-31"], "datetime64[ns]").astype(np.int64)
    np.testing.assert_allclose(calendar_features(new_year, Frequency("week"))[:, 1], [-0.5, 0.5])
    for frequency in (Frequency("month", 12), Frequency("step"), Frequency("order")):
        assert calendar_features(times, frequency).shape == (2, 0)
    assert calendar_features(times, Frequency("hour"), "order").shape == (2, 0)


@given(
    st.lists(st.integers(-(9 * 10**18), 9 * 10**18), min_size=1),
    st.sampled_from(["month", "week", "day", "hour", "minute", "second"]),
)
def test_the_calendar_stays_in_its_range(times: list[int], unit: str):
    features = calendar_features(np.array(times), Frequency(unit))
    assert features.min() >= -0.5
    assert features.max() <= 0.5


@pytest.mark.parametrize(
    ("time", "frequency", "expected"),
    [
        ("1949-03-01", Frequency("month", 1, 1), "1949-03"),
        ("1949-03-15", Frequency("month", 1, 15), "1949-03-15"),
        ("1949-03-31", Frequency("month", 3, 31), "1949Q1"),
        ("1949-01-01", Frequency("month", 12, 1), "1949"),
        ("1949-03-31", Frequency("day"), "1949-03-31"),
        ("1949-03-31", Frequency("hour"), "1949-03-31 00:00"),
        ("1949-03-31T01:02:03", Frequency("second"), "1949-03-31 01:02:03"),
        ("1949-03-31T01:02:03.5", Frequency("order"), "1949-03-31 01:02:03.500"),
    ],
)
def test_times_in_words(time: str, frequency: Frequency, expected: str):
    number = int(np.datetime64(time, "ns").astype(np.int64))
    assert format_time(number, "time", frequency) == expected
    assert format_time(7, "integer", Frequency("step")) == "7"

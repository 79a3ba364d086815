"""Lengths of time: what people type is read, nonsense is refused by name, and the short form is short."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.config import format_duration, parse_duration
from rhapsode.errors import SettingsError

PROVE = settings(derandomize=True, deadline=None)
YEAR = 366 * 86400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("1", 1),
        ("3m", 180),
        ("1.5m", 90),
        ("0.5h", 1800),
        ("1h30m", 5400),
        ("1h30m15s", 5415),
        (" 3M ", 180),
        ("1h 30m", 5400),
        ("3 m", 180),
        ("8784h", YEAR),
    ],
)
def test_durations_are_read(text: str, seconds: float):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "m",
        "3x",
        "three minutes",
        "-3m",
        "+3m",
        "3m!",
        "1e3",
        "3mm",
        "m3",
        "1:30",
        "3,5m",
        ".5m",
        "5.m",
        "nan",
        "inf",
        "3m\n4",
    ],
)
def test_nonsense_is_refused(text: str):
    with pytest.raises(SettingsError) as caught:
        parse_duration(text)
    assert str(caught.value).startswith(f"--budget: {text!r}".replace("\n", "\\n"))
    assert "write 90s, 3m or 1h30m" in str(caught.value)


@pytest.mark.parametrize("text", ["1h30", "30 1h", "3 0m"])
def test_a_part_without_its_unit_is_refused(text: str):
    with pytest.raises(SettingsError, match="lacks a unit"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0", "0s", "0.9s", "0h0m0s", "8785h", "9" * 400])
def test_times_out_of_range_are_refused(text: str):
    with pytest.raises(SettingsError, match="out of range"):
        parse_duration(text)


def test_the_place_is_named():
    with pytest.raises(SettingsError, match=r"^run\.toml: 'soon'"):
        parse_duration("soon", where="run.toml")


@PROVE
@given(st.text(st.characters() | st.sampled_from("0123456789.hms "), max_size=12))
def test_any_text_is_a_time_in_range_or_an_error_of_ours(text: str):
    try:
        seconds = parse_duration(text)
    except SettingsError:
        return
    assert 1 <= seconds <= YEAR


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"),
        (0, "0s"),
        (0.4, "0s"),
        (42, "42s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (60, "1m00s"),
        (185, "3m05s"),
        (3599.4, "59m59s"),
        (3599.6, "1h00m"),
        (7380, "2h03m"),
        (360000, "100h00m"),
    ],
)
def test_times_are_written_short(seconds: float, text: str):
    assert format_duration(seconds) == text


@PROVE
@given(st.integers(1, 3599))
def test_what_is_written_below_an_hour_reads_back(seconds: int):
    assert parse_duration(format_duration(seconds)) == seconds


@PROVE
@given(st.integers(3600, YEAR))
def test_what_is_written_beyond_an_hour_reads_back_to_the_minute(seconds: int):
    assert parse_duration(format_duration(seconds)) == seconds // 60 * 60

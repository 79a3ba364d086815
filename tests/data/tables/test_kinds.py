"""Each kind of awkward table that users met, in further variants."""

from pathlib import Path

import numpy as np
import pytest

import rhapsode as rh
from rhapsode.data.tables import calendar_features, format_time, future_times, parse_frequency, read
from rhapsode.errors import DataError
from tests.data.tables.helpers import series_of, told


def days(count: int, row: str = "2024-01-{n:02},{n}\n") -> str:
    return "".join(row.format(n=n, v=f"{n * 1000.5:.2f}") for n in range(1, count + 1))


@pytest.mark.parametrize(
    ("body", "ids", "frequency", "rows", "word"),
    [
        # Preambles, padded or not, of pairs, with and without blank lines.
        ("Report of sales,\n,\ndate,v\n" + days(9), ("v",), "daily", 9, "1 line before"),
        ("Source,Bureau\nUnit,kg\n\ndate,v\n" + days(9), ("v",), "daily", 9, "2 lines before"),
        ("Station: Oslo;;\n;;\nDate;A;B\n" + days(9, "{n:02}.01.2024;{n},5;{n}\n"), ("A", "B"), "daily", 9, "before the table"),
        ("sep=,\ndate,v\n" + days(9), ("v",), "daily", 9, ""),
        ("# a comment\n# another\ndate,v\n" + days(9), ("v",), "daily", 9, ""),
        # Further rows of headings and units.
        ("time,temp,wind\n,degC,m/s\n" + days(9, "2024-01-{n:02},{n},{n}\n"), ("temp", "wind"), "daily", 9, "another header row"),
        ("Ticker,A,A,B\nPrice,Open,Close,Open\nDate,,,\n" + days(9, "2024-01-{n:02},{n},{n},{n}\n"), ("A/Open", "A/Close", "B/Open"), "daily", 9, "header"),
        # Notes, totals and sources below the table; trailing delimiters.
        ("date,a,b\n" + days(9, "2024-01-{n:02},{n},{n}\n") + "Total,45,45\n", ("a", "b"), "daily", 9, "skipped: Total"),
        ("date,a\n" + days(9) + "\nSource: ours, theirs, and others\nUpdated: today\n", ("a",), "daily", 9, "and 1 more"),
        ("date,a,\n" + days(9, "2024-01-{n:02},{n},\n"), ("a",), "daily", 9, "empty column"),
        ("date,a\n" + days(9, "2024-01-{n:02},{n},\n"), ("a",), "daily", 9, ""),
        # A row a year and a column a month; quarters; hours of days.
        ("Year,Jan,Feb,Mar,Apr,May,Jun,Jul,Aug,Sep,Oct,Nov,Dec\n" + "".join(f"{y},1,2,3,4,5,6,7,8,9,10,11,12\n" for y in (1990, 1991)), ("value",), "monthly", 24, "names of columns"),
        ("year;1;2;3;4;5;6;7;8;9;10;11;12;Total\n" + "".join(f"{y};1;2;3;4;5;6;7;8;9;10;11;12;78\n" for y in (1990, 1991)), ("value",), "monthly", 24, "left out"),
        ("Year,Q1,Q2,Q3,Q4\n2000,1,2,3,4\n2001,5,6,7,\n", ("value",), "quarterly", 7, "names of columns"),
        ("country,year,Jan,Feb,Mar,Apr\n" + "".join(f"{c},2000,1,2,3,4\n" for c in "AB"), ("A", "B"), "monthly", 4, "names of columns"),
        ("Year,Month,v\n" + "".join(f"2020,{m},1\n" for m in ("Jan", "Feb", "Mar")), ("v",), "monthly", 3, "'Year' and 'Month'"),
        ("year;quarter;v\n" + "".join(f"2020;Q{q};1\n" for q in (1, 2, 3)), ("v",), "quarterly", 3, "'year' and 'quarter'"),
        ("Date,Hour Ending,MW\n" + "".join(f"2024-01-01,{h},1\n" for h in range(1, 25)), ("MW",), "hourly", 24, "'Date' and 'Hour Ending'"),
        ("Place,Lat,1/1/20,1/2/20,1/3/20\nA,5.5,1,2,3\nB,7.5,4,5,6\n", ("A", "B"), "daily", 3, "attributes of series: 'Lat'"),
        ("# year month v\n1990,1,5\n1990,2,6\n1990,3,7\n", ("v",), "monthly", 3, "'year' and 'month'"),
        ("date," + ",".join(f"{h}:00" for h in range(24)) + "\n" + days(3, "2024-01-{n:02}" + ",{n}" * 24 + "\n"), ("value",), "hourly", 72, "names of columns"),
    ],
)  # fmt: skip
def test_the_shape_is_found(  # noqa: PLR0917
    tmp_path: Path, body: str, ids: tuple[str, ...], frequency: str, rows: int, word: str
):
    found = series_of(tmp_path, body)
    assert found.ids == ids
    assert found.frequency.name == frequency
    assert found.lengths.tolist() == [rows] * len(ids)
    assert word in told(found)


def test_a_row_a_year_is_read_in_order(tmp_path: Path):
    body = "Year,Jan,Feb,Mar,Apr,May,Jun\n1990,1,2,3,4,5,6\n"
    found = series_of(tmp_path, body)
    assert found.values_NK[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    assert "1990-01 to 1990-06" in found.notes[0]


@pytest.mark.parametrize(
    ("stamps", "frequency", "first"),
    [
        (("2022-W05", "2022-W06", "2022-W07"), "weekly", "2022-01-31"),
        (("2022W05", "2022W06", "2022W07"), "weekly", "2022-01-31"),
        (("1949M01", "1949M02", "1949M03"), "monthly", "1949-01"),
        (("2020Q1", "2020Q2", "2020Q3"), "quarterly", "2020Q1"),
        (("Q1-2020", "Q2-2020", "Q3-2020"), "quarterly", "2020Q1"),
        (("Jan-21", "Feb-21", "Mar-21"), "monthly", "2021-01"),
        (("Jan '21", "Feb '21", "Mar '21"), "monthly", "2021-01"),
        (("1 de enero de 2020", "1 de febrero de 2020", "1 de marzo de 2020"), "monthly", "2020-01"),
        (("1 maart 2020", "1 april 2020", "1 mei 2020"), "monthly", "2020-03"),
        (("01.02.2020", "02.02.2020", "03.02.2020"), "daily", "2020-02-01"),
        (("01.2020", "02.2020", "03.2020"), "monthly", "2020-01"),
        (("2019-01-01T00", "2019-01-01T01", "2019-01-01T02"), "hourly", "2019-01-01 00:00"),
        (("2020年1月", "2020年2月", "2020年3月"), "monthly", "2020-01"),
        (("1609459200", "1609462800", "1609466400"), "hourly", "2021-01-01 00:00"),
        (("1609459200000", "1609459260000", "1609459320000"), "every minute", "2021-01-01 00:00"),
        (("2015070100", "2015070101", "2015070102"), "hourly", "2015-07-01 00:00"),
        (("20200101000000", "20200101001500", "20200101003000"), "every 15 minutes", "2020-01-01 00:00"),
    ],
)  # fmt: skip
def test_dates_of_usual_forms_in_any_column(
    tmp_path: Path, stamps: tuple[str, ...], frequency: str, first: str
):
    rows = "".join(f"{number},{stamp}\n" for number, stamp in enumerate(stamps))
    found = series_of(tmp_path, f"value,date\n{rows}")
    assert found.ids == ("value",)
    assert (found.frequency.name, found.values_NK[:, 0].tolist()) == (frequency, [0, 1, 2])
    assert format_time(int(found.times_N[0]), "time", found.frequency) == first


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["950", "1.2K", "3M"], [950, 1200, 3e6]),
        (["US$ 5.25", "US$ 1,000.00"], [5.25, 1000]),
        (["12.5 %", "-3 %"], [12.5, -3]),
        (["1.234,50 EUR", "-12,50 EUR"], [1234.5, -12.5]),
        (["(12.5)", "7"], [-12.5, 7]),
        (["-$5.25", "$4"], [-5.25, 4]),
        (["3 Mio", "2,5 Mio"], [3e6, 2.5e6]),
    ],
)
def test_decorated_numbers(tmp_path: Path, cells: list[str], values: list[float]):
    rows = "".join(f"2024-01-0{n};{cell}\n" for n, cell in enumerate(cells, 1))
    found = series_of(tmp_path, f"date;price\n{rows}")
    assert found.values_NK[:, 0].tolist() == values
    assert "read without their signs" in told(found)


@pytest.mark.parametrize(("yes", "no"), [("True", "False"), ("yes", "no"), ("Y", "N")])
def test_words_of_truth_known_ahead_are_1_and_0(tmp_path: Path, yes: str, no: str):
    rows = days(9, "2024-01-{n:02},{n}," + f"{yes}\n").replace(f",5,{yes}", f",5,{no}")
    found = series_of(tmp_path, f"date,v,promo\n{rows}", known=("promo",))
    assert found.known_NC[:, 0].tolist() == [1, 1, 1, 1, 0, 1, 1, 1, 1]
    assert "true and false read as 1 and 0" in told(found)


def test_words_known_ahead_are_covariates_each(tmp_path: Path):
    rows = "".join(
        f"2024-01-{n:02},{n},{('sun', 'rain', '')[n % 3]},{n / 2}\n" for n in range(1, 10)
    )
    found = series_of(tmp_path, f"date,v,sky,price\n{rows}", known=("sky", "price"))
    assert found.known_names == ("sky=rain", "sky=sun", "price")
    assert found.known_of == ("sky", "sky", "")
    np.testing.assert_array_equal(found.known_NC[:3, :2], [[1, 0], [np.nan, np.nan], [0, 1]])
    assert "'sky': 2 words" in told(found)
    many = "".join(f"2024-01-{n % 28 + 1:02},{n},w{n}\n" for n in range(200))
    with pytest.raises(DataError, match="200 different words in a covariate"):
        series_of(tmp_path, f"date,v,sky\n{many}", known=("sky",), value_columns=("v",))


@pytest.mark.parametrize(
    ("hours", "zone"),
    [
        (["00:00+01:00", "01:00+01:00", "03:00+02:00", "04:00+02:00"], "+02:00"),
        (["00:00Z", "01:00Z", "02:00Z", "03:00Z"], "Z"),
        (["00:00-05:00", "01:00-05:00", "02:00-05:00", "03:00-05:00"], "-05:00"),
    ],
)
def test_times_keep_their_offset(tmp_path: Path, hours: list[str], zone: str):
    body = "t,v\n" + "".join(f"2020-03-29T{hour},{n}\n" for n, hour in enumerate(hours))
    found = series_of(tmp_path, body)
    assert found.zone is not None
    written = [format_time(int(t), "time", found.frequency, found.zone) for t in found.times_N]
    assert written == [f"2020-03-29 {hour}" for hour in hours]
    (ahead,) = future_times(found, 0, 1)
    assert format_time(int(ahead), "time", found.frequency, found.zone).endswith(zone)
    # The hour of the day is that of the clock on the wall.
    hour = calendar_features(found.zone.local(found.times_N), found.frequency)[:, 0]
    assert np.rint((hour + 0.5) * 23).tolist() == [float(each[:2]) for each in hours]


def test_offsets_that_differ_at_one_instant_are_utc(tmp_path: Path):
    rows = [
        f"{city},2020-01-01T{hour + shift:02}:00{zone},{hour}"
        for city, shift, zone in (("x", 1, "+01:00"), ("y", 5, "+05:00"))
        for hour in range(4)
    ]
    found = series_of(tmp_path, "\n".join(["id,t,v", *rows]))
    assert found.ids == ("x", "y")
    assert "several offsets from UTC: turned into UTC" in told(found)
    assert found.times_N[:4].tolist() == found.times_N[4:].tolist()


def test_the_end_of_a_table_without_values_is_told(tmp_path: Path):
    found = series_of(tmp_path, "date,v\n" + days(9) + "2024-01-10,\n2024-01-11,NA\n")
    assert found.lengths.tolist() == [9]
    assert "begins after 2024-01-09, and reaches the end of the table, 2024-01-11, with --horizon 2" in told(found)  # fmt: skip


@pytest.mark.parametrize("body", [
    "date,text,n\n" + days(9, "2024-01-{n:02},a few words of text number {n},{n}\n"),
    "id,review\n" + "".join(f"{n},the {n}th of many short reviews\n" for n in range(9)),
    "n,text\n" + "".join(f"{n},今天我们去公园看花看到第{n}朵\n" for n in range(9)),
])  # fmt: skip
def test_free_text_is_told_apart_from_labels(tmp_path: Path, body: str):
    assert series_of(tmp_path, body).texts in {("text",), ("review",)}
    labels = "date,place,n\n" + days(9, "2024-01-{n:02},the old town of Oslo,{n}\n")
    assert series_of(tmp_path, labels).texts == ()


@pytest.mark.parametrize(("name", "same"), [
    ("MS", "monthly"), ("2ME", "2 months"), ("QS-OCT", "quarterly"), ("YE-DEC", "yearly"), ("BQE", "quarterly"),
    ("W-MON", "weekly"), ("30T", "30 minutes"), ("2H", "2 hours"), ("3D", "3 days"), ("1w", "weekly"), ("1q", "quarterly"),
])  # fmt: skip
def test_names_of_libraries(name: str, same: str):
    assert parse_frequency(name) == parse_frequency(same)


def test_a_table_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    parsed = []
    whole = read.assemble
    monkeypatch.setattr(read, "assemble", lambda *given: parsed.append(1) or whole(*given))
    path = tmp_path / "t.csv"
    path.write_text("date,v\n" + days(28, "2024-01-{n:02},{n}\n"))
    rh.plan(str(path))
    assert len(parsed) == 1

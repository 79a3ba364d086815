"""Tables as spreadsheets, banks, exchanges and agencies export them; and what is told where polars is missing."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from rhapsode.data.tables import Frequency, parse_frequency, read_series
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError, MissingExtraError
from tests.data.tables.helpers import series_of, told


def days(count: int, row: str = "{n},{n}") -> str:
    return "".join(f"2024-01-{n:02},{row.format(n=n)}\n" for n in range(1, count + 1))


def test_a_first_line_may_name_the_delimiter(tmp_path: Path):
    body = "sep=;\r\nDatum;Umsatz\r\n" + "".join(
        f"{n:02}.01.2024;1.0{n:02},5\r\n" for n in range(1, 9)
    )
    found = series_of(tmp_path, body)
    assert found.ids == ("Umsatz",)
    assert found.values_NK[:3, 0].tolist() == [1001.5, 1002.5, 1003.5]
    assert found.frequency == Frequency("day")


def test_a_title_above_two_columns_is_passed_over(tmp_path: Path):
    rows = "2022-01-02,20\n2022-01-09,21\n2022-01-16,22\n"
    found = series_of(tmp_path, f"Category: All\n\nWeek,coin: (World)\n{rows}")
    assert found.ids == ("coin: (World)",)
    assert found.frequency.name == "weekly"
    assert "1 line before the table skipped" in told(found)
    with pytest.raises(DataError, match=r"line 4, column 'coin': not a number: '<1'"):
        series_of(tmp_path, f"Category: All\n\nWeek,coin\n2021-12-26,<1\n{rows}")


def test_years_in_the_header_below_a_preamble(tmp_path: Path):
    years = ",".join(f'"{year}"' for year in range(1990, 1996))
    body = (
        f'"Source","Indicators",\n\n"Updated","2024-03-28",\n\n"Name","Code",{years},\n'
        '"Aruba","ABW","1","2","3","4","5","6",\n"Yemen, Rep.","YEM","","7","8","9","10","11",\n'
        '"Nowhere","NWH","","","","","","",\n'
    )
    found = series_of(tmp_path, body)
    assert found.ids == ("Aruba", "Yemen, Rep.")
    assert found.frequency.name == "yearly"
    assert found.lengths.tolist() == [6, 5]
    assert "series without any value left out: 'Nowhere'" in told(found)


def test_further_rows_of_headings_are_passed_over(tmp_path: Path):
    body = "Price,Close,Volume\nTicker,MSFT,MSFT\nDate,,\n" + days(9, "{n},10")
    found = series_of(tmp_path, body)
    assert found.ids == ("Close", "Volume")
    assert "line 2, another header row, skipped: Ticker, MSFT, MSFT" in told(found)


@pytest.mark.parametrize(
    ("stamps", "frequency"),
    [
        (("2015070100", "2015070101", "2015070102"), "hourly"),
        (("202001010000", "202001010015", "202001010030"), "every 15 minutes"),
        (("20200101000000", "20200101000010", "20200101000020"), "every 10 seconds"),
        (("2019-01-01T00", "2019-01-01T01", "2019-01-01T02"), "hourly"),
        (("20180401T07Z", "20180401T08Z", "20180401T09Z"), "hourly"),
        (("2022-W05", "2022-W06", "2022-W07"), "weekly"),
        (("Q1 2020", "Q2 2020", "Q3 2020"), "quarterly"),
        (("Jan-21", "Feb-21", "Mar-21"), "monthly"),
        (("1-01", "1-02", "1-03"), "monthly"),
        (("1. Januar 2020", "1. Februar 2020", "1. März 2020"), "monthly"),
        (("1 août 2020", "1 septembre 2020", "1 octobre 2020"), "monthly"),
        (("Wed Jan 1 10:00:00 2020", "Wed Jan 1 11:00:00 2020", "Wed Jan 1 12:00:00 2020"), "hourly"),
    ],
)  # fmt: skip
def test_stamps_of_every_usual_form(tmp_path: Path, stamps: tuple[str, ...], frequency: str):
    found = series_of(tmp_path, "when,v\n" + "".join(f"{s},{n}\n" for n, s in enumerate(stamps)))
    assert found.kind == "time"
    assert found.frequency.name == frequency


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (['"$1,203.50"', '"$1,206.50"'], [1203.5, 1206.5]),
        (["0.1%", "-0.2%"], [0.1, -0.2]),
        (["1.2M", "350k"], [1.2e6, 350e3]),
        (['"(1,234)"', '"(2,000)"'], [-1234, -2000]),
        (['"€ 1.234,50"', '"€ 12,50"'], [1234.5, 12.5]),
    ],
)
def test_signs_of_currency_and_the_like(tmp_path: Path, cells: list[str], values: list[float]):
    rows = "".join(f"2024-01-0{n},{cell}\n" for n, cell in enumerate(cells, 1))
    found = series_of(tmp_path, f"date,price\n{rows}")
    assert found.values_NK[:, 0].tolist() == values
    assert "column 'price': numbers read without" in told(found)


def test_words_for_true_and_false_are_1_and_0_where_they_are_asked_for(tmp_path: Path):
    body = "date,sales,promo\n2024-01-01,5,True\n2024-01-02,6,False\n2024-01-03,7,True\n"
    found = series_of(tmp_path, body, known=("promo",))
    assert found.known_NC[:, 0].tolist() == [1, 0, 1]
    assert series_of(tmp_path, body).left_out == ("promo",)


def test_a_lone_text_below_the_table_is_no_row(tmp_path: Path):
    found = series_of(tmp_path, f"date,a,b\n{days(5)}\nSales of three years\n")
    assert found.lengths.tolist() == [5, 5]
    assert "line 8, below the table, skipped: Sales of three years" in told(found)


def test_decimal_commas_between_commas_are_named(tmp_path: Path):
    with pytest.raises(DataError, match="as numbers with decimal commas"):
        series_of(tmp_path, "time,a,b\n01.11.2017,0,02375,0,19375\n02.11.2017,0,02375,0,19375\n")


def test_year_and_month_are_found_without_a_header(tmp_path: Path):
    body = "1950;01;1950.042;0.5\n1950;02;1950.125;3.8\n1950;03;1950.208;7.6\n"
    found = series_of(tmp_path, body)
    assert found.frequency.name == "monthly"
    assert found.ids == ("column 4",)
    assert "a time again: 'column 3'" in told(found)


def test_times_may_be_named_by_their_order(tmp_path: Path):
    body = "1950;01;0.5\n1950;02;3.8\n1950;03;7.6\n"
    found = series_of(tmp_path, body, time_column=("column 1", "column 2"))
    assert found.frequency.name == "monthly"
    assert found.ids == ("column 3",)


@pytest.mark.parametrize(
    ("name", "frequency"),
    [
        ("MS", Frequency("month")), ("ME", Frequency("month")), ("BMS", Frequency("month")),
        ("QE", Frequency("month", 3)), ("QE-DEC", Frequency("month", 3)), ("YE", Frequency("month", 12)),
        ("W-SUN", Frequency("week")), ("2W-MON", Frequency("week", 2)), ("15T", Frequency("minute", 15)),
        ("2H", Frequency("hour", 2)), ("B", Frequency("business day")), ("1mo", Frequency("month")),
        ("ms", Frequency("millisecond")), ("10us", Frequency("microsecond", 10)),
    ],
)  # fmt: skip
def test_frequencies_are_named_as_libraries_name_them(name: str, frequency: Frequency):
    assert parse_frequency(name) == frequency


def test_a_grid_that_is_nearly_empty_is_refused(tmp_path: Path):
    body = "date,v\n" + "".join(f"{1949 + n // 12}-{n % 12 + 1:02}-01,{n}\n" for n in range(60))
    assert series_of(tmp_path, body, frequency="MS").lengths.tolist() == [60]
    with pytest.raises(DataError, match="every millisecond has 155,088,000,001 times for 60 rows"):
        series_of(tmp_path, body, frequency="ms")


def test_without_polars_embedded_series_are_there_and_tables_name_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "polars", None)
    assert read_series("airline").frequency == Frequency("month", 1, 1)
    with pytest.raises(
        MissingExtraError, match=r"install it with: pip install 'rhapsode\[series\]'"
    ):
        series_of(tmp_path, "d,v\n2020-01-01,1\n")


@pytest.mark.parametrize("name", ["airline", "sine-trend", "regimes", "ar2"])
def test_embedded_series_are_what_reading_their_text_gives(name: str):
    text = read_series(name)
    table = read_series(name, SeriesSettings(duplicates="last"))
    assert (table.ids, table.kind, table.notes) == (text.ids, text.kind, text.notes)
    assert table.frequencies == text.frequencies
    np.testing.assert_array_equal(table.times_N, text.times_N)
    np.testing.assert_array_equal(table.values_NK, text.values_NK)


def test_a_table_on_standard_input_may_have_any_dialect(monkeypatch: pytest.MonkeyPatch):
    text = "sep=;\nt;v\n1;2,5\n2;3,5\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert read_series("-").values_NK[:, 0].tolist() == [2.5, 3.5]

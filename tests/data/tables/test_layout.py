"""Which column is what: found by rules, or said; and the series that come of it."""

from pathlib import Path

import numpy as np
import pytest

from rhapsode.data.tables import Frequency
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError, SettingsError
from tests.data.tables.helpers import series_of, told

LONG = "id,date,y,price,kind\n" + "".join(
    f"{name},2020-01-{day:02},{day * scale},{day % 3},{kind}\n"
    for name, scale, kind, days in (("b", 1, "k1", 9), ("a", 100, "k2", 5))
    for day in range(1, days + 1)
)


def test_a_long_table_is_found(tmp_path: Path):
    found = series_of(tmp_path, LONG)
    assert found.ids == ("b/y", "b/price", "a/y", "a/price")
    found = series_of(tmp_path, LONG, value_columns=("y",))
    assert found.ids == ("b", "a")
    assert "sorted" not in told(found)
    assert found.lengths.tolist() == [9, 5]
    assert found.values_NK[found.rows(1), 0].tolist() == [100, 200, 300, 400, 500]
    assert found.category_names == ("kind",)
    assert found.category_levels == (("k1", "k2"),)
    assert found.categories_SA.tolist() == [[0], [1]]
    assert found.notes[0] == (
        "time: column 'date' (daily, 2020-01-01 to 2020-01-09); id: 'id'; value: 'y'; 2 series of 5 to 9"
    )


def test_values_together(tmp_path: Path):
    found = series_of(tmp_path, LONG, joint=True)
    assert found.ids == ("b", "a")
    assert found.values_NK.shape == (14, 2)
    assert found.names == ("y", "price")
    wide = series_of(
        tmp_path, "date,u,v\n2020-01-01,1,2\n2020-01-02,,4\n2020-01-03,5,\n", joint=True
    )
    assert wide.ids == ("u+v",)
    np.testing.assert_array_equal(wide.values_NK, [[1, 2], [np.nan, 4], [5, np.nan]])
    np.testing.assert_array_equal(wide.observed_NK, [[1, 1], [0, 1], [1, 0]])


def test_covariates_and_attributes(tmp_path: Path):
    found = series_of(tmp_path, LONG, value_columns=("y",), known=("price",), static=("kind",))
    assert found.known_names == ("price",)
    assert found.known_NC[found.rows(1), 0].tolist() == [1, 2, 0, 1, 2]
    body = "id,t,y,size\na,1,5,10\na,2,6,10\nb,1,7,20\nb,2,8,20\n"
    found = series_of(tmp_path, body, static=("size",))
    assert (found.static_names, found.static_SA.tolist()) == (("size",), [[10], [20]])
    with pytest.raises(DataError, match="line 3, column 'size': an attribute of a series changes"):
        series_of(tmp_path, body.replace("a,2,6,10", "a,2,6,11"), static=("size",))


def test_rows_at_the_end_that_hold_only_covariates_are_the_future(tmp_path: Path):
    body = "date,y,promo\n" + "".join(
        f"2020-01-{d:02},{d if d < 8 else ''},{d % 2}\n" for d in range(1, 11)
    )
    found = series_of(tmp_path, body, known=("promo",))
    assert found.lengths.tolist() == [10]
    assert np.isnan(found.values_NK[7:, 0]).all()
    assert found.known_NC[-1, 0] == 0
    assert series_of(tmp_path, body, value_columns=("y",)).lengths.tolist() == [7]


def test_several_columns_make_an_id(tmp_path: Path):
    rows = [
        f"2020Q{q},{r},{s},{p},{q}"
        for r, s in (("north", "A"), ("south", "A"), ("west", "B"))
        for p in ("x", "y")
        for q in range(1, 5)
    ]
    found = series_of(tmp_path, "\n".join(["when,region,state,purpose,trips", *rows]))
    assert found.ids == ("north/x", "north/y", "south/x", "south/y", "west/x", "west/y")
    assert found.category_names == ("region", "state", "purpose")
    assert found.frequency.name == "quarterly"
    assert found.categories_SA[:, 1].tolist() == [0, 0, 0, 0, 1, 1]


def test_series_come_in_the_order_of_the_table(tmp_path: Path):
    names = ("A,x", "B,y", "A,y", "C,x")
    rows = [f"{t},{name},{10 * n + t}" for n, name in enumerate(names) for t in (1, 2)]
    found = series_of(tmp_path, "\n".join(["t,item,shop,v", *rows]))
    assert found.ids == ("A/x", "B/y", "A/y", "C/x")
    assert found.values_NK[:, 0].tolist() == [1, 2, 11, 12, 21, 22, 31, 32]
    rows = [f"{store},{t},{store * t}" for store in (30, 7, 12) for t in (1, 2)]
    found = series_of(tmp_path, "\n".join(["store,t,v", *rows]))
    assert found.ids == ("30", "7", "12")
    assert found.values_NK[:, 0].tolist() == [30, 60, 7, 14, 12, 24]


def test_text_that_changes_within_a_series_is_no_attribute(tmp_path: Path):
    rows = [f"{name},{t},{t},{wind}" for name in "ab" for t, wind in ((1, "N"), (2, "S"))]
    found = series_of(tmp_path, "\n".join(["id,t,v,wind", *rows]))
    assert found.ids == ("a", "b")
    assert found.category_names == ()
    assert "holding no numbers: 'wind'" in told(found)


def test_columns_with_numbers_in_their_names_are_no_row(tmp_path: Path):
    found = series_of(tmp_path, "id,a1,b2,c3\nx,1,2,3\ny,4,5,6\n")
    assert found.ids == ("a1", "b2", "c3")


def test_year_and_quarter(tmp_path: Path):
    found = series_of(tmp_path, "year,quarter,month,v\n2020,3,8,1\n2020,4,10,2\n")
    assert found.ids == ("v",)
    found = series_of(tmp_path, "year,quarter,v\n2020,3,1\n2020,4,2\n")
    stamps = found.times_N.astype("datetime64[ns]").astype("datetime64[M]").astype(str)
    assert stamps.tolist() == ["2020-07", "2020-10"]


def test_a_series_in_each_row(tmp_path: Path):
    body = "id,V2,V3,V4,V5\na,1,2,3,4\nb,5,6,,\nc,,7,8,9\n"
    found = series_of(tmp_path, body)
    assert found.ids == ("a", "b", "c")
    assert found.lengths.tolist() == [4, 2, 3]
    assert found.times_N.tolist() == [0, 1, 2, 3, 0, 1, 0, 1, 2]
    assert found.kind == "order"
    assert series_of(tmp_path, body, frequency="hourly").period == 24
    years = "country,1990,1991,1992,1993\nA,1,2,3,4\nB,5,,7,8\n"
    found = series_of(tmp_path, years)
    assert found.frequency == Frequency("month", 12, 1)
    assert found.times_N[found.rows(1)].astype("datetime64[ns]").astype("datetime64[Y]").astype(str).tolist() == [
        "1990", "1991", "1992", "1993",
    ]  # fmt: skip
    assert "the names of columns (yearly, 1990 to 1993)" in told(found)
    gap = series_of(tmp_path, "c,2020-01,2020-02,2020-04\nA,1,2,3\nB,1,2,3\n")
    assert gap.lengths.tolist() == [4, 4]
    with pytest.raises(DataError, match="line 3: the series 'a' occurs twice"):
        series_of(tmp_path, "id,V2,V3,V4\na,1,2,3\na,5,6,7\n", id_column=("id",))
    forced = series_of(tmp_path, "q,w,e\n1,2,3\n4,5,6\n", layout="rows")
    assert forced.ids == ("row 1", "row 2")


def numbered_years(step: int) -> str:
    """Rows with numbers, values and years that rise or fall."""
    return "Obs,v,YEAR\n" + "".join(f"{n},{n * n % 7},{1950 + step * n}\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("body", "words", "frequency"),
    [
        ("year,month,v\n2020,11,1\n2020,12,2\n2021,1,3\n", "columns 'year' and 'month'", "monthly"),
        ("year,month,day,hour,v\n2020,2,28,23,1\n2020,2,29,0,2\n", "'year', 'month', 'day' and 'hour'", "hourly"),
        ("year,quarter,v\n2020,3,1\n2020,4,2\n2021,1,3\n", "'year' and 'quarter'", "quarterly"),
        ("year,v\n1990,1\n1991,2\n1992,3\n", "column 'year' of years", "yearly"),
        ("date,v\n20200227,1\n20200228,2\n20200229,3\n", "dates in eight digits", "daily"),
        ("month,v\n202011,1\n202012,2\n202101,3\n", "months in six digits", "monthly"),
        ("ts,v\n1577836800,1\n1577840400,2\n1577844000,3\n", "seconds since 1970", "hourly"),
        ("ts,v\n1577836800000,1\n1577836800500,2\n1577836801000,3\n", "milliseconds since 1970", "every 500 milliseconds"),
        ("t,v\n0,1\n1,2\n2,5\n", "column 't' of whole numbers", "whole numbers"),
        (",v\n0,1\n1,2\n2,5\n", "column '' of whole numbers", "whole numbers"),
        (",0\n1821,269\n1822,321\n1823,585\n", "column '' of years", "yearly"),
        (numbered_years(1), "column 'YEAR' of years", "yearly"),
        (numbered_years(-1), "column 'Obs' of whole numbers", "whole numbers"),
        ("day,clock,v\n1/31/2020,22:30,1\n1/31/2020,23:00,2\n1/31/2020,23:30,4\n", "'day' and 'clock'", "every 30 minutes"),
        ("v,w\n5,1\n4,1\n4,2\n", "time: none", "no regular time"),
    ],
)  # fmt: skip
def test_times_in_every_guise(tmp_path: Path, body: str, words: str, frequency: str):
    found = series_of(tmp_path, body)
    assert words in found.notes[0]
    assert found.frequency.name == frequency


def test_times_that_are_said(tmp_path: Path):
    body = "x,v\n5,1\n3,2\n4,3\n"
    assert series_of(tmp_path, body).ids == ("x", "v")
    found = series_of(tmp_path, body, time_column=("x",))
    assert found.values_NK[:, 0].tolist() == [2, 3, 1]
    assert "2 rows come before" not in told(found)
    assert "1 row comes before an earlier time" in told(found) or "sorted by time" in told(found)
    with pytest.raises(DataError, match=r"line 3, column 'x': not a time: 2.5"):
        series_of(tmp_path, body.replace("3,2", "2.5,2"), time_column=("x",))
    with pytest.raises(DataError, match=r"line 2, column 'w': not a time: 'ab'"):
        series_of(tmp_path, "w,v\nab,1\ncd,2\n", time_column=("w",))
    with pytest.raises(DataError, match="cannot be combined into a time"):
        series_of(tmp_path, body, time_column=("x", "v"))
    with pytest.raises(DataError, match="a time of day without a date"):
        series_of(tmp_path, "c,v\n10:00,1\n11:00,2\n", time_column=("c",))


def test_names_that_are_not_there(tmp_path: Path):
    with pytest.raises(DataError, match=r"no column 'z'; columns: 'id', 'date'"):
        series_of(tmp_path, LONG, value_columns=("z",))
    with pytest.raises(DataError, match="attributes of series need a column"):
        series_of(tmp_path, "d,v,s\n2020-01-01,1,2\n2020-01-02,1,2\n", static=("s",))
    with pytest.raises(DataError, match="no column that identifies the series was found"):
        series_of(tmp_path, "d,v\n2020-01-01,1\n2020-01-02,1\n", layout="long")


def test_counters_and_text_are_left_out_aloud(tmp_path: Path):
    found = series_of(
        tmp_path, "No,date,wind,v\n1,2020-01-01,N,4\n2,2020-01-02,S,5\n3,2020-01-03,N,6\n"
    )
    assert found.ids == ("v",)
    assert "numbering the rows: 'No'" in told(found)
    assert "holding no numbers: 'wind'" in told(found)


@pytest.mark.parametrize(
    "wrong",
    [
        {"known": ("a",), "value_columns": ("a",)},
        {"value_columns": ("a", "a")},
        {"layout": "wide", "id_column": ("a",)},
        {"layout": "rows", "time_column": ("a",)},
        {"layout": "rows", "joint": True},
    ],
)
def test_settings_that_contradict_each_other(wrong: dict[str, object]):
    with pytest.raises(SettingsError):
        SeriesSettings(**wrong)  # type: ignore[arg-type]


def test_an_id_may_be_an_attribute_too():
    assert SeriesSettings(id_column=("a",), static=("a",)).static == ("a",)

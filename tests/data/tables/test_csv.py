"""CSV and its dialects: what is written comes back."""

import bz2
import csv
import gzip
import io
import lzma
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rhapsode.data.tables import NoNumbersError, read, read_series
from rhapsode.data.tables.parsing.columns import Table
from rhapsode.data.tables.parsing.text_table import text_table
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError
from tests.data.tables.helpers import series_of, told

DAY = 86_400 * 10**9
VALUE = st.one_of(
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False, width=64),
    st.integers(-(10**6), 10**6).map(float),
    st.decimals(-10_000, 10_000, places=3).map(float),
)
MISSING = ["", "NA", "nan", "null", "-", "?", "None", " "]


def plain(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.integers(1, 3).flatmap(
        lambda width: st.lists(st.lists(VALUE, min_size=width, max_size=width), min_size=1, max_size=12)
    ),
    st.data(),
)  # fmt: skip
def test_what_is_written_comes_back(
    tmp_path: Path, rows: list[list[float | None]], data: st.DataObject
):
    delimiter = data.draw(st.sampled_from(",;\t|"))
    comma = delimiter != "," and data.draw(st.booleans())
    names = data.draw(
        st.sampled_from([["a", "b", "c"], ["销量", "价格", "库存"], ["x y", 'q"z', "β;,"]])
    )
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    ends = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    missing = data.draw(st.sampled_from(MISSING))
    if quoting == csv.QUOTE_MINIMAL and comma:
        missing = missing.replace(".", "")
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=ends, quoting=quoting)
    width = len(rows[0])
    if data.draw(st.booleans()):
        text.write(f"# made for a test{ends}{ends}")
    writer.writerow(["date", *names[:width]])
    first = np.datetime64("2024-02-27") + data.draw(st.integers(-30_000, 30_000))
    for number, row in enumerate(rows):
        cells = [missing if v is None else plain(v) for v in row]
        writer.writerow(
            [str(first + number), *(c.replace(".", ",") if comma else c for c in cells)]
        )
        if data.draw(st.integers(0, 9)) == 0:
            text.write(ends)
    raw = text.getvalue().encode(encoding)
    packed, suffix = data.draw(
        st.sampled_from(
            [(bytes, ""), (gzip.compress, ".gz"), (bz2.compress, ".bz2"), (lzma.compress, ".xz")]
        )
    )
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes(packed(raw))
    asked = SeriesSettings(decimal="comma" if comma else "point", value_columns=())
    columns = {name: [row[k] for row in rows] for k, name in enumerate(names[:width])}
    there = {name: [i for i, v in enumerate(c) if v is not None] for name, c in columns.items()}
    if not any(there.values()):
        with pytest.raises(DataError, match="there are no values"):
            read_series(path, asked)
        return
    found = read_series(path, asked)
    assert found.ids == tuple(name for name in columns if there[name])
    for number, name in enumerate(found.ids):
        begin, end = there[name][0], there[name][-1] + 1
        got = found.values_NK[found.rows(number), 0]
        expected = [math.nan if v is None else v for v in columns[name][begin:end]]
        np.testing.assert_array_equal(got, expected)
        days = found.times_N[found.rows(number)] // DAY
        assert days.tolist() == [(first + i).astype(int) for i in range(begin, end)]


@pytest.mark.parametrize(
    ("body", "expected", "word"),
    [
        ("d;v\n2020-01-01;1,5\n2020-01-02;2,25\n", [1.5, 2.25], "decimal commas"),
        ("d;v\n2020-01-01;1.234,5\n2020-01-02;2\n", [1234.5, 2], "decimal commas"),
        ('d,v\n2020-01-01,"1,234.5"\n2020-01-02,"2,000"\n', [1234.5, 2000], "separate thousands"),
        (
            'd,v\n2020-01-01,"1,234"\n2020-01-02,"2,000"\n',
            [1234, 2000],
            "otherwise use --decimal comma",
        ),
        (
            "d;v\n2020-01-01;1,234\n2020-01-02;2,000\n",
            [1.234, 2.0],
            "otherwise use --decimal point",
        ),
        ("d\tv\n2020-01-01\t1.234.567\n2020-01-02\t2,0\n", [1234567, 2], "decimal commas"),
        ("d|v\n2020-01-01|1 234\n2020-01-02|12\n", [1234, 12], ""),
        ("d;v\n2020-01-01;1'234.5\n2020-01-02;\N{MINUS SIGN}2\n", [1234.5, -2], ""),
        ("d,v\n2020-01-01, 1.5 \n2020-01-02,+2e-3\n", [1.5, 0.002], ""),
        ("d,v\n2020-01-01,.5\n2020-01-02,5.\n", [0.5, 5], ""),
    ],
)
def test_numbers_in_the_manner_of_countries(
    tmp_path: Path, body: str, expected: list[float], word: str
):
    found = series_of(tmp_path, body)
    assert found.values_NK[:, 0].tolist() == expected
    assert word in told(found)


def test_the_manner_can_be_said(tmp_path: Path):
    body = "d;v\n2020-01-01;1,234\n2020-01-02;2,000\n"
    assert series_of(tmp_path, body, decimal="point").values_NK[:, 0].tolist() == [1234, 2000]
    body = 'd,v\n2020-01-01,"1,234"\n2020-01-02,"2,000"\n'
    assert series_of(tmp_path, body, decimal="comma").values_NK[:, 0].tolist() == [1.234, 2]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("d,v\n2020-01-01,1\n2020-01-02,2\n2020-01-03,x7\n2020-01-04,3\n", "line 4, column 'v': not a number: 'x7'"),
        ("d,v\n2020-01-01,1\n\n# c\n2020-01-02,inf\n", "line 5, column 'v': an infinite number: inf"),
        ("d,v\n2020-01-01,1\n2020-01-02,-Infinity\n", "line 3, column 'v': an infinite number: -inf"),
        ("d,v\n2020-01-01,1\n2020-01-02,1_000\n2020-01-03,4\n", "line 3, column 'v': not a number: '1_000'"),
        ("d,v\n2020-01-01,1\n2020-01-02,1,5\n", "line 3: 3 cells in a table of 2 columns, '5' too many"),
        ("d,v\n2020-01-01,1\n2020-02-30,2\n", "line 3, column 'd': not a time: '2020-02-30'"),
        ("d,v\n2020-01-01,1\n1500-01-30,2\n", "line 3, column 'd': a year out of reach: '1500-01-30'"),
        ("d,v\n2020-01-01,1\n,2\n", "line 3: a row of values without a time"),
        ("d,v\n2020-01-01,1\n2020-01-02,2\n2020-01-01,4\n", "line 4: the time 2020-01-01 00:00 occurs twice, first in line 2"),
        ("d,v\n2020-01-01,NA\n2020-01-02,\n", "line 2: there are no values"),
        ("d,v\n", "a table without rows"),
        ("", "the file is empty"),
        ("\n\n\n", "the table is empty"),
        ("# only\n", "the table is empty"),
        ('d,v\n2020-01-01,"1\n2020-01-02,2\n', "malformed table"),
        ("word\nother\nthird\n", "no column holds numbers to learn (columns: 'word')"),
        ("d,v\n2020-01-01,12%\n2020-01-02,3\n2020-01-03,3\n", "line 2, column 'v': not a number: '12%'"),
    ],
)  # fmt: skip
def test_an_error_says_where(tmp_path: Path, body: str, message: str):
    with pytest.raises(DataError) as caught:
        series_of(tmp_path, body)
    assert str(caught.value).startswith(str(tmp_path / "t.csv"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_far_down_names_its_line(tmp_path: Path):
    lines = ["t,v", *(f"{number},{number}" for number in range(1_200))]
    lines[1_101] = "1100,oops"
    lines[1_181] = "1180,again"
    with pytest.raises(DataError, match=r"line 1102, column 'v': not a number: 'oops'"):
        series_of(tmp_path, "\n".join(lines))
    lines[1_101] = '"1100","7\n"'
    lines[1_181] = "1180,5"
    lines[1_151] = "1150,inf"
    with pytest.raises(DataError, match=r"line 1153, column 'v': an infinite"):
        series_of(tmp_path, "\n".join(lines))


def test_labels_that_begin_as_numbers_far_down_are_ids(tmp_path: Path):
    rows = [f"{s},{t},{t}" for s in ("007", "010") for t in range(300)]
    found = series_of(
        tmp_path, "\n".join(["id,step,v", *rows, "A1,0,5", "A1,1,6"]), id_column=("id",)
    )
    assert found.ids == ("007", "010", "A1")
    found = series_of(tmp_path, "\n".join(["store,step,v", *rows]))
    assert found.ids == ("007", "010")


def test_values_that_stand_for_missing(tmp_path: Path):
    body = "d;v;w\n2020-01-01;-200,0;1\n2020-01-02;1,5;-200\n2020-01-03;2;3\n2020-01-04;n.v.;1\n2020-01-05;4;1\n"
    found = series_of(tmp_path, body, missing_values=("-200", "n.v."))
    assert found.ids == ("v", "w")
    np.testing.assert_array_equal(found.values_NK[found.rows(0), 0], [1.5, 2, np.nan, 4])
    np.testing.assert_array_equal(found.values_NK[found.rows(1), 0], [1, np.nan, 3, 1, 1])
    body = "d,v\n2020-01-01,1\n2020-01-02,inf\n2020-01-03,2\n"
    found = series_of(tmp_path, body, missing_values=("inf",))
    np.testing.assert_array_equal(found.values_NK[:, 0], [1, np.nan, 2])


def test_a_number_for_missing_is_hinted_at(tmp_path: Path):
    rows = [f"{t},{-200 if t % 10 == 3 else 20 + t % 7}" for t in range(100)]
    assert "if it marks missing values, use --missing-values -200" in told(
        series_of(tmp_path, "\n".join(["t,v", *rows]))
    )
    rows = [f"{t},{-200 if t in {3, 9} else 20 + t % 7}" for t in range(100)]
    assert "missing-values" not in told(series_of(tmp_path, "\n".join(["t,v", *rows])))
    rows = [f"{t},{t % 7 - 3}" for t in range(100)]
    assert "missing-values" not in told(series_of(tmp_path, "\n".join(["t,v", *rows])))


def test_headers(tmp_path: Path):
    body = "2020-01-01,1\n2020-01-02,2\n"
    found = series_of(tmp_path, body)
    assert found.ids == ("column 2",)
    assert len(found.times_N) == 2
    assert "no header" in told(found)
    assert len(series_of(tmp_path, body, header="yes").times_N) == 1
    assert series_of(tmp_path, "#date,v\n" + body).ids == ("v",)
    assert series_of(
        tmp_path, "A report of ours\n\ndate,v,w\n2020-01-01,1,2\n2020-01-02,2,4\n"
    ).ids == ("v", "w")
    found = series_of(tmp_path, "d,v,v\n2020-01-01,1,2\n2020-01-02,2,3\n")
    assert found.ids == ("v", "v (2)")
    assert series_of(tmp_path, "5\n6\n7\n").values_NK[:, 0].tolist() == [5, 6, 7]
    assert series_of(tmp_path, "v\n6\n7\n").values_NK[:, 0].tolist() == [6, 7]
    assert series_of(tmp_path, "1 2.5\n2 3.5\n3  5\n4 6\n", header="no").values_NK[
        :4, 0
    ].tolist() == [1, 2, 3, 4]


def test_what_stands_before_the_table_is_passed_over_aloud(tmp_path: Path):
    found = series_of(tmp_path, "A report\n\ndate,v,w\n2020-01-01,1,2\n2020-01-02,2,4\n")
    assert found.ids == ("v", "w")
    assert "1 line before the table skipped" in told(found)


def test_line_ends_may_be_cut_in_two():
    table = text_table("t,v\r\n1,2\r\n2,3\r3,4\r", "t.csv", SeriesSettings(), tabs=False)
    assert table.rows == 3
    assert table.line(2) == "line 4"


def test_short_rows_count_as_missing(tmp_path: Path):
    found = series_of(tmp_path, "d,v,w\n2020-01-01,1,2\n2020-01-02,3\n2020-01-03,3,4\n")
    np.testing.assert_array_equal(found.values_NK[found.rows(1), 0], [2, np.nan, 4])
    assert "1 row is shorter" in told(found)


def test_other_sources_are_told_apart(tmp_path: Path):
    with pytest.raises(DataError, match="no such file"):
        read_series(tmp_path / "none.csv")
    with pytest.raises(DataError, match="a folder"):
        read_series(tmp_path)
    with pytest.raises(DataError, match="the table is empty"):
        series_of(tmp_path, "[]", name="a.json")
    with pytest.raises(DataError, match="record 2: not an object"):
        series_of(tmp_path, '[{"t": 1, "v": 2}, 3]', name="a.json")
    with pytest.raises(DataError, match=r"\.feather files are not read"):
        series_of(tmp_path, "1,2", name="a.feather")
    with pytest.raises(DataError, match="a int cannot be read as series"):
        read_series(5)


def test_text_of_another_encoding_is_told(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_bytes("日期;销量\n2020-01-01;1\n2020-01-02;2\n".encode("gb18030"))
    found = read_series(path)
    assert found.ids == ("销量",)
    assert "read as gb18030" in told(found)


@pytest.mark.parametrize("line", ["so many words, and others", "好，很多字", '7""'])
def test_a_large_file_of_text_is_refused_by_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    lengths = []

    def measured(text: str, *rest: Any, **more: Any) -> Table:
        lengths.append(len(text))
        return text_table(text, *rest, **more)

    monkeypatch.setattr(read, "text_table", measured)
    quoted = f'"{line}\nof several lines","{line}"\n'
    text = "title,review\n" + quoted * (5 * 2**20 // len(quoted.encode()))
    with pytest.raises(NoNumbersError, match="no column holds numbers"):
        series_of(tmp_path, text)
    assert max(lengths) <= 2**20
    numbers = "id,value\n" + "word,1\n" * (5 * 2**20 // 7)
    assert series_of(tmp_path, numbers).values_NK.any()
    assert max(lengths) == len(numbers)

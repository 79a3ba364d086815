"""Records: fields, templates and prompts out of JSON, tables and Parquet, streamed and told with their place."""

import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.config import SourceSettings
from rhapsode.data.sources import Found, read_pieces, textfile
from rhapsode.data.sources.fields import record_tables as tables
from rhapsode.data.sources.fields.json_records import json_records
from rhapsode.data.sources.fields.record_tables import csv_records
from rhapsode.data.sources.fields.selector import Selector
from rhapsode.errors import DataError, SettingsError
from tests.data.reading import read_sources

PROVE = settings(derandomize=True, deadline=None, max_examples=80)
FIELD = Selector(SourceSettings(field="a"))


def put(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def texts(path: Path | str, **options: object) -> list[str]:
    reading = read_sources([str(path)], SourceSettings(**options))  # type: ignore[arg-type]
    return [document.text for document in reading.documents]


def in_pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@PROVE
@given(st.lists(JSON), st.integers(1, 30), st.sampled_from([None, 1]), st.booleans())
def test_streaming_json_is_loading_it(records: list, size: int, indent: int | None, escaped: bool):
    text = json.dumps(records, indent=indent, ensure_ascii=escaped)
    expected = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    assert list(json_records(iter(in_pieces(text, size)), "a.json", FIELD)) == expected


@PROVE
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), min_size=2), st.integers(1, 30))
def test_streaming_json_lines_is_loading_each(records: list, size: int):
    text = "".join(json.dumps(record) + "\n" for record in records)
    expected = [
        json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
        for line in text.splitlines()
    ]
    assert list(json_records(iter(in_pieces(text, size)), "a.jsonl", FIELD)) == expected


CELL = st.text(st.characters(exclude_characters="\0\r", codec="utf-8"), min_size=1)


@PROVE
@given(st.lists(st.tuples(CELL, CELL), min_size=1), st.integers(1, 9), st.sampled_from("\n\r"))
def test_streaming_a_table_is_reading_it(rows: list, size: int, end: str):
    import csv

    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b"), *rows])
    found = list(csv_records(iter(in_pieces(out.getvalue(), size)), "a.csv", FIELD, ","))
    assert found == [{"a": a, "b": b} for a, b in rows if a.strip() or b.strip()]


POEM = {
    "author": "李白",
    "paragraphs": ["床前明月光", "疑是地上霜"],
    "year": 726,
    "x": {"y": "deep"},
}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"field": "author"}, "李白"),
        ({"field": "paragraphs"}, "床前明月光\n疑是地上霜"),
        ({"field": "year"}, "726"),
        ({"field": "x.y"}, "deep"),
        ({"template": "{author}: {paragraphs} {{{x.y}}}"}, "李白: 床前明月光 疑是地上霜 {deep}"),
        ({"prompt_field": "author", "completion_field": "year"}, "李白\n726"),
    ],
)
@pytest.mark.parametrize("form", ["array", "lines", "inside", "one", "gz"])
def test_fields_of_json(tmp_path: Path, options: dict, expected: str, form: str):
    text = json.dumps(POEM, ensure_ascii=False)
    content: str | bytes = {
        "array": f"[{text},\n{text}]",
        "lines": f"{text}\n{text}\n",
        "inside": f'{{"n": 2, "data": [{text}, {text}]}}',
        "one": text,
        "gz": gzip.compress(f"{text}\n{text}".encode()),
    }[form]
    path = put(tmp_path / ("a.jsonl.gz" if form == "gz" else "a.json"), content)
    assert texts(path, **options) == [expected] * (1 if form == "one" else 2)
    (first, *_) = read_sources([str(path)], SourceSettings(**options)).documents
    assert first.name == f"{path}#0"
    assert first.prompt == (len("李白") + 1 if "prompt_field" in options else 0)


def test_records_that_lack_a_field_are_left_out_and_counted(tmp_path: Path):
    records = [{"t": "one"}, {}, {"t": None}, {"t": ""}, {"t": []}, 7, {"t": " "}, {"t": "two"}]
    path = put(tmp_path / "a.json", json.dumps(records))
    reading = read_sources([str(path)], SourceSettings(field="t"))
    assert [document.name for document in reading.documents] == [f"{path}#0", f"{path}#7"]
    assert reading.found.incomplete == 6


def test_a_field_of_no_record_is_told_with_those_there_are(tmp_path: Path):
    for name, content in (
        ("a.json", '[{"title": "x", "text": "y"}]'),
        ("a.csv", "title,text\nx,y\n"),
    ):
        path = put(tmp_path / name, content)
        with pytest.raises(DataError) as caught:
            texts(path, field="titel")
        assert "no record has a field 'titel'; did you mean 'title'? known: title, text" in str(
            caught.value
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"a": 1},\n {"a": }]', "line 2, column 8"),
        ('[{"a": 1}\n {"a": 2}]', "line 2, column 2: Expecting ',' or ']'"),
        ('[{"a": 1},', "the text ends where a value should follow"),
        ('[{"a": "open', "line 1, column 8: Unterminated string"),
        ('{"a": 1}\n{"a": x}\n', "line 2, column 7"),
        ("[" * 200_000, "nested too deeply"),
        ('[{"a": 1},]', "line 1, column 11"),
        ("// note\n[]", "line 1, column 1"),
        ('[{"a": "\\ud8"}]', "malformed JSON"),
    ],
)
def test_malformed_json_is_told_with_its_place(tmp_path: Path, content: str, message: str):
    path = put(tmp_path / "a.json", content)
    with pytest.raises(DataError) as caught:
        texts(path, field="a")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_deep_lists_are_told(tmp_path: Path):
    path = put(tmp_path / "a.json", '[{"a":' + "[" * 900 + '"x"' + "]" * 900 + "}]")
    with pytest.raises(DataError, match="nested too deeply"):
        texts(path, field="a")


def test_odd_values_of_json_become_text(tmp_path: Path):
    digits = "9" * 5000
    path = put(
        tmp_path / "a.json",
        f'[{{"a": {digits}}}, {{"a": 1.10}}, {{"a": "x\\ud800y\\u0000\\r\\nz"}}, {{"a": true}},'
        ' {"a": NaN}, {"a": -Infinity}, {"a": ["l", 2, null, ["m"]]}]',
    )
    assert texts(path, field="a") == [
        digits, "1.10", "x\ufffdy\nz", "true", "-Infinity", "l\n2\nm",
    ]  # fmt: skip
    assert texts(path, field="a", newlines="keep")[2] == "x\ufffdy\r\nz"


def test_a_field_that_is_a_record_is_told(tmp_path: Path):
    path = put(tmp_path / "a.json", '[{"a": {"b": 1}}]')
    with pytest.raises(DataError, match=r"a.json#0: the field 'a' is a record, not a text; .*a\.b"):
        texts(path, field="a")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{a", "'{' is not closed at character 1"),
        ("x {a{b}", "'{' is not closed at character 3"),
        ("x}", "'}' closes nothing at character 2"),
        ("{}", "a field without a name at character 1"),
        ("plain", "no field in it"),
        ("{{a}}", "no field in it"),
    ],
)
def test_a_malformed_template_is_told(tmp_path: Path, template: str, message: str):
    path = put(tmp_path / "a.json", '[{"a": 1}]')
    with pytest.raises(SettingsError) as caught:
        texts(path, template=template)
    assert message in str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_of_a_table_is_found(tmp_path: Path, delimiter: str):
    rows = [("id", "text"), ("1", '"one, two; three | four\tfive"'), ("2", '"line\nbreak"')]
    path = put(tmp_path / "a.csv", "\n".join(delimiter.join(row) for row in rows))
    assert texts(path, field="text") == ["one, two; three | four\tfive", "line\nbreak"]


def test_a_table_of_one_column_keeps_its_commas(tmp_path: Path):
    path = put(tmp_path / "a.csv", 'text\nWell, well\n"quoted, too"\n')
    assert texts(path, field="text") == ["Well, well", "quoted, too"]


def test_an_odd_table_is_read(tmp_path: Path):
    path = put(tmp_path / "a.csv", 'a,b,b\r1,2,3,4\r\r5\r"x\0y",z,\r')
    reading = read_sources([str(path)], SourceSettings(field="a"))
    assert [document.text for document in reading.documents] == ["1", "5", "xy"]
    with pytest.raises(DataError, match="2 columns are named 'b'"):
        texts(path, field="b")
    path = put(tmp_path / "b.tsv", 'a\tb\n"left open\tx\n' + "y\n" * 9)
    assert texts(path, field="a") == ['"left open', *"yyyyyyyyy"]


def test_a_first_row_of_sentences_is_a_record(tmp_path: Path):
    jokes = [f"Why did {n} ducks cross? Because, well, {n}." for n in range(9)]
    path = put(tmp_path / "a.csv", "".join(f'"{joke}"\n' for joke in jokes))
    reading = read_sources([str(path)], SourceSettings(field="column 1"))
    assert [document.text for document in reading.documents] == jokes
    assert reading.found.notes == [f"{path}: no header: fields are named 'column 1' and so on"]
    assert texts(path, field=jokes[0]) == jokes[1:]  # asked for by that name, it is one
    plain = put(tmp_path / "b.csv", "one,two\nthree,four\n")
    assert texts(plain, field="column 2", header="no") == ["two", "four"]
    assert texts(plain, field="two") == ["four"]


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ('"What?" she said.\tx', ['"What?" she said.', "x"]),
        ('He said "no"\t"why" not', ['He said "no"', '"why" not']),
        ('"quoted"\t"two ""marks"""', ["quoted", 'two "marks"']),
        ('a\t"two\nlines"', ["a", "two\nlines"]),
        ('a\t"left open', ["a", '"left open']),
    ],
)
def test_stray_quotation_marks_between_tabs_are_text(tmp_path: Path, line: str, cells: list[str]):
    path = put(tmp_path / "a.tsv", f"p\tq\n{line}\nlast\trow\n")
    for name, cell in zip("pq", cells, strict=True):
        assert texts(path, field=name) == [cell, "last" if name == "p" else "row"]


def test_a_table_without_end_of_a_cell_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "_LONGEST_CELL", 1000)
    path = put(tmp_path / "a.csv", 'a,b\n"left open,x\n' + "y\n" * 1000)
    with pytest.raises(DataError, match=r"malformed table near line .*quotation mark left open"):
        texts(path, field="a")


def test_a_cell_may_be_long(tmp_path: Path):
    path = put(tmp_path / "a.csv", "a,b\n" + "x" * 300_000 + ",1\n")
    assert texts(path, field="a") == ["x" * 300_000]


def test_parquet(tmp_path: Path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    table = pa.table({"t": ["one", None, "two"], "n": [1, 2, 3], "l": [["a", "b"], [], ["c"]]})
    pq.write_table(table, path)
    assert texts(path, field="t") == ["one", "two"]
    assert texts(path, template="{t} {n} {l}") == ["one 1 a b", "two 3 c"]
    put(tmp_path / "b.parquet.gz", gzip.compress(path.read_bytes()))
    assert texts(tmp_path / "b.parquet.gz", field="t", limit=1) == ["one"]
    with pytest.raises(DataError, match=r"holds columns: t, n, l; .*--field"):
        texts(path)
    with pytest.raises(DataError, match="no record has a field 'x'"):
        texts(path, field="x")
    for cut in (0, 3, 100, -5):
        put(tmp_path / "cut.parquet", path.read_bytes()[:cut])
        with pytest.raises(DataError):
            texts(tmp_path / "cut.parquet", field="t")
    put(tmp_path / "note.txt", "text")
    (tmp_path / "cut.parquet").unlink()
    reading = read_sources([str(tmp_path)])
    assert [document.text for document in reading.documents] == ["text"]
    assert "holds columns" in reading.skipped[0]


def test_limit_counts_records_over_all_sources(tmp_path: Path):
    first = put(tmp_path / "a.jsonl", '{"a": 1}\n{"b": 2}\n{"a": 3}\n')
    second = put(tmp_path / "b.csv", "a\n4\n5\n")
    reading = read_sources([str(first), str(second)], SourceSettings(field="a", limit=3))
    assert [document.text for document in reading.documents] == ["1", "3", "4"]


def test_in_a_folder_other_files_are_passed_over(tmp_path: Path):
    put(tmp_path / "a.jsonl", '{"a": 1}\n')
    put(tmp_path / "b.txt", "text")
    reading = read_sources([str(tmp_path)], SourceSettings(field="a"))
    assert [document.text for document in reading.documents] == ["1"]
    assert "b.txt: not a file of records" in reading.skipped[0]


@pytest.mark.parametrize("content", ['[{"a": "1"}]', '{"a": "1"}', "a;b\n1;2\n"])
def test_a_named_file_of_unknown_kind_is_looked_at(tmp_path: Path, content: str):
    assert texts(put(tmp_path / "data", content), field="a") == ["1"]


def test_a_long_record_comes_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(textfile, "PIECE", 10)
    path = put(tmp_path / "a.json", json.dumps([{"p": "q" * 12, "c": "x" * 25}]))
    options = SourceSettings(prompt_field="p", completion_field="c")
    found = list(read_pieces([str(path)], options, Found()))
    assert "".join(piece.text for piece in found) == "q" * 12 + "\n" + "x" * 25
    assert [piece.opening for piece in found] == [True] + [False] * (len(found) - 1)
    assert [piece.complete for piece in found] == [False] * (len(found) - 1) + [True]
    assert sum(piece.prompt for piece in found) == 13


def test_a_dotted_field_below_a_column_without_it_is_told(tmp_path: Path):
    pq = pytest.importorskip("pyarrow.parquet")
    pa = pytest.importorskip("pyarrow")
    pq.write_table(pa.table({"a": ["x", "y"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"no record has a field 'a\.b'; known: a"):
        texts(tmp_path / "a.parquet", field="a.b")

"""Texts and records that lie in memory, as sources."""

from collections import UserDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.config import SourceSettings
from rhapsode.data import holds_documents
from rhapsode.errors import DataError
from rhapsode.modalities.choose import choose_modality
from tests.data.reading import read_sources

TEXTS = ["first\r\nline", "second", "third\x00"]


def texts_of(source: Any, **settings: Any) -> list[str]:
    return [
        document.text for document in read_sources([source], SourceSettings(**settings)).documents
    ]


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_a_list_is_read_as_the_files_of_a_folder_are(texts: list[str]) -> None:
    texts = ["x" + text for text in texts]
    read = texts_of(texts, newlines="keep")
    assert read == [text.replace("\0", "") for text in texts]


def test_any_iterable_of_texts_is_read_once() -> None:
    wanted = ["first\nline", "second", "third"]
    for source in (TEXTS, tuple(TEXTS), iter(TEXTS), np.array(TEXTS, dtype=object)):
        assert texts_of(source) == wanted
    assert texts_of((text for text in TEXTS), limit=2) == wanted[:2]


def test_records_by_field_template_and_pairs() -> None:
    records = [
        {"q": "why?", "a": "so", "n": 1},
        {"q": "", "a": "left out"},
        {"q": "who?", "a": "I"},
    ]
    assert texts_of(records, field="a") == ["so", "left out", "I"]
    assert texts_of([UserDict(record) for record in records], field="a")[0] == "so"
    assert texts_of(records, template="{q} - {a}") == ["why? - so", "who? - I"]
    pairs = read_sources(
        [records], SourceSettings(prompt_field="q", completion_field="a")
    ).documents
    assert [document.prompt for document in pairs] == [5, 5]


def test_the_only_text_of_records_is_taken_or_the_field_of_that_name() -> None:
    assert texts_of([{"id": 1, "body": "a"}, {"id": 2, "body": "b"}]) == ["a", "b"]
    assert texts_of([{"title": "t", "text": "a"}]) == ["a"]


@pytest.mark.parametrize(
    ("source", "settings", "what", "where"),
    [
        (["a", 2], {}, "neither a text nor a record, but int", "<list>#1"),
        (["a", {"text": "b"}], {}, "a record among texts", "<list>#1"),
        ([{"a": "x", "b": "y"}], {}, "the fields a, b", "<list>"),
        ([{"a": "x"}], {"field": "b"}, "no record has a field 'b'", "<list>"),
        (["a"], {"field": "b"}, "a text has no fields", "<list>"),
        (iter(()), {}, "it contains no text", "<tuple_iterator>"),
        ("a text\nof two lines", {}, "no such file", "a text"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(
    source: Any, settings: dict[str, Any], what: str, where: str
) -> None:
    with pytest.raises(DataError, match=what) as error:
        texts_of(source, **settings)
    assert str(error.value.where).startswith(where)


def test_a_text_that_is_no_path_is_told_where_it_goes() -> None:
    with pytest.raises(DataError) as error:
        texts_of("a text\nof two lines")
    assert "list" in str(error.value.hint)


def test_numbers_in_memory_are_no_documents(tmp_path: Path) -> None:
    assert not any(map(holds_documents, (np.arange(3.0), [1.0, 2.0], [], "path", tmp_path)))
    assert choose_modality([np.arange(300.0)], {})[0].name == "series.v1"
    assert choose_modality([TEXTS], {})[0].name == "text.v1"
    assert choose_modality([iter(TEXTS)], {})[0].name == "text.v1"


def test_each_collection_has_its_own_fields(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("from a file\n", encoding="utf-8")
    sources = [[{"text": "a"}], [{"body": "b"}], str(tmp_path / "t.txt"), ["c"]]
    read = [document.text for document in read_sources(sources).documents]
    assert read == ["a", "b", "from a file\n", "c"]

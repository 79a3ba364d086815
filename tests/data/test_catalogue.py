"""The corpora that travel with Python: there, the same every time, and text throughout."""

import ast
import itertools

import pytest

from rhapsode.data import CATALOGUE, catalogue_documents
from tests.data.reading import read_sources


def test_the_documentation_is_english_prose():
    documents = list(catalogue_documents("python-docs"))
    text = "".join(document.text for document in documents)
    assert len(text) > 200_000
    assert text.count(" the ") > 2_000
    assert documents == list(catalogue_documents("python-docs"))


def test_the_standard_library_is_source_code():
    documents = list(itertools.islice(catalogue_documents("python-code"), 12))
    assert len(documents) == 12
    for document in documents:
        ast.parse(document.text)
        assert document.name.startswith("python-code/")
        assert document.name.endswith(".py")
    names = [document.name for document in documents]
    assert len(set(names)) == 12


def test_names_are_sources():
    reading = read_sources(["python-docs"])
    assert reading.documents == tuple(catalogue_documents("python-docs"))
    assert all(document.complete and document.text for document in reading.documents)


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_entry_says_what_it_is(name: str):
    entry = CATALOGUE[name]
    assert entry.title
    assert entry.licence
    text = "embedded" if entry.download is None else "fetched"
    assert entry.kind == ("series" if entry.series else text)

"""Stretches of text are found where they stand: document, character, line; and never across two documents."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.counts.suffix import SuffixIndex
from rhapsode.counts.suffix_file import read_index, write_index
from rhapsode.errors import BundleError
from rhapsode.modalities.text.quality.text_index import Passage, Place, TextIndex

PROVE = settings(derandomize=True, deadline=None, max_examples=150)
TEXT = st.text(st.sampled_from("ab\n漢😀\ud800"), max_size=12)
CORPUS = st.lists(TEXT, min_size=1, max_size=4).filter(any)


def built(*passages: Passage | tuple[str, str], **limits: int) -> TextIndex:
    index = TextIndex.build(passages, **limits)
    assert isinstance(index, TextIndex)
    return index


def places_of(index: TextIndex, text: str, most: int = 100) -> list[Place]:
    """The first places where a text stands."""
    pattern_M = index._query(text)
    return [index.place(at, len(text)) for at in index.suffixes.find(pattern_M, most=most).tolist()]


def found_by_hand(texts: list[str], wanted: str) -> list[tuple[str, int]]:
    return [
        (str(number), at)
        for number, text in enumerate(texts)
        for at in range(len(text))
        if text.startswith(wanted, at)
    ]


@PROVE
@given(texts=CORPUS, wanted=TEXT.filter(bool))
def test_a_text_is_found_wherever_it_stands(texts: list[str], wanted: str):
    index = built(*((str(number), text) for number, text in enumerate(texts)))
    hits = found_by_hand(texts, wanted)
    places = places_of(index, wanted)
    assert [(place.document, place.offset) for place in places] == hits
    for place in places:
        text = texts[int(place.document)]
        end = place.offset + len(wanted)
        assert place.line == 1 + text[: place.offset].count("\n")
        assert place.before == text[max(0, place.offset - 40) : place.offset]
        assert place.after == text[end : end + 40]


@PROVE
@given(texts=CORPUS, query=st.text(st.sampled_from("ab\n漢😀\ud800z\x00"), max_size=15))
def test_match_lengths_and_the_longest_copy(texts: list[str], query: str):
    index = built(*((str(number), text) for number, text in enumerate(texts)))
    lengths = [
        max(n for n in range(len(query) - i + 1) if any(query[i : i + n] in text for text in texts))
        for i in range(len(query))
    ]
    assert index.match_lengths(query).tolist() == lengths
    copied = index.longest_copy(query)
    if not any(lengths):
        assert copied is None
        return
    assert copied is not None
    start = lengths.index(max(lengths))
    assert (copied.start, len(copied.text)) == (start, max(lengths))
    assert copied.text == query[start : start + max(lengths)]
    hits = found_by_hand(texts, copied.text)
    assert copied.count == len(hits)
    assert (copied.place.document, copied.place.offset) == hits[0]


def test_passages_of_one_document_are_joined_and_keep_their_places():
    index = built(
        Passage("a", "one\ntw"),
        Passage("a", "o\nthree", opening=False),
        Passage("b", "four\n", offset=100, line=7),
        Passage("b", "five", opening=False),
    )
    assert places_of(index, "two") == [Place("a", 4, 2, "one\n", "\nthree")]
    assert places_of(index, "five") == [Place("b", 105, 8, "four\n", "")]
    assert places_of(index, "threefour") == []
    assert len(index) == 22


def test_places_are_found_far_inside(prose: str):
    lines = prose.splitlines(keepends=True)
    index = built(("first", "x" * 1000), ("second", prose))
    copied = index.longest_copy("§" + "".join(lines[300:304]) + "§")
    assert copied is not None
    assert copied.place.document == "second"
    assert copied.place.line == 301
    assert copied.place.offset == len("".join(lines[:300]))
    assert copied.text == "".join(lines[300:304])
    assert prose[copied.place.offset - 40 : copied.place.offset] == copied.place.before
    mapping = copied.to_mapping()
    assert mapping["line"] == 301
    assert mapping["after"] == copied.place.after


@pytest.mark.parametrize("alphabet", [255, 256, 65_535, 65_536])
def test_alphabets_of_every_width(alphabet: int):
    codes = [code for code in range(alphabet + 3000) if not 0xD800 <= code < 0xE000][:alphabet]
    text = "".join(map(chr, codes))
    index = built(("all", text))
    width = {255: 1, 256: 2, 65_535: 2, 65_536: 4}[alphabet]
    assert index.suffixes.elements_N.dtype.itemsize == width
    assert index.text(0, alphabet) == text
    assert places_of(index, text[-3:])[0].offset == alphabet - 3


def test_words_with_nothing_beside_them():
    index = built(("a", "the cat's toys, the_end e\u0301tude"), ("b", "scatter"), ("c", "end"))
    assert index.has_word("cat")
    assert index.has_word("cat's")
    assert index.has_word("end")
    assert index.has_word("e\u0301tude")
    assert not index.has_word("scat")
    assert not index.has_word("toy")
    assert not index.has_word("e")
    assert not index.has_word("dog")


def test_too_much_text_and_none_give_the_reason():
    def endless():
        yield "a", "x" * 60
        yield "b", "y" * 60
        raise AssertionError("read on")

    reason = TextIndex.build(endless(), most_characters=100)
    assert reason == "the text has more than 100 characters, the most that are indexed"
    assert isinstance(TextIndex.build([("a", "x" * 100)], most_characters=100), TextIndex)
    assert TextIndex.build([]) == "there is no text to index"
    assert TextIndex.build([("a", "")]) == "there is no text to index"


def test_what_is_written_is_read_again(tmp_path: Path):
    index = built(("文", "漢字\nand more"), Passage("b\ud800", "more\nand", offset=5, line=2))
    path = tmp_path / "index.safetensors"
    index.save(path)
    again = TextIndex.load(path)
    assert again.names == index.names
    for query in ("and", "more", "字", "x"):
        assert places_of(again, query) == places_of(index, query)
    assert again.longest_copy("no more\nand no") == index.longest_copy("no more\nand no")
    with pytest.raises(BundleError, match=r"no rhapsode\.suffix_index"):
        SuffixIndex.load(path)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("names", np.frombuffer(b'["a"]', dtype=np.uint8)),
        ("names", np.frombuffer(b'["a", 2]', dtype=np.uint8)),
        ("names", np.frombuffer(b"[", dtype=np.uint8)),
        ("names", np.frombuffer(b'"ab"', dtype=np.uint8)),
        ("names", None),
        ("characters", np.array([97], dtype=np.uint32)),
        ("characters", np.array([98, 97], dtype=np.uint32)),
        ("characters", np.array([97, 0x110000], dtype=np.uint32)),
        ("characters", np.zeros(0, dtype=np.uint32)),
        ("characters", np.array([97, 98], dtype=np.int64)),
        ("starts", np.array([0, 99], dtype=np.int64)),
        ("starts", np.array([-1, 3], dtype=np.int64)),
        ("starts", np.array([0, 0], dtype=np.int64)),
        ("starts", np.array([0, 3], dtype=np.int32)),
        ("offsets", np.array([0], dtype=np.int64)),
        ("lines", None),
        ("elements", None),
    ],
)
def test_hostile_files_are_refused(name: str, values: np.ndarray | None, tmp_path: Path):
    path = tmp_path / "index"
    built(("a", "ab"), ("b", "ba")).save(path)
    arrays, facts = read_index(path, "rhapsode.text_index")
    assert isinstance(TextIndex.load(path), TextIndex)
    arrays[name] = values
    if values is None:
        del arrays[name]
    hostile = tmp_path / "hostile"
    write_index(hostile, "rhapsode.text_index", arrays, facts)
    with pytest.raises(BundleError, match="damaged"):
        TextIndex.load(hostile)

"""Subwords: nothing is lost, ids follow use, no piece reaches over a line end, sizes and samples are bounded."""

from itertools import pairwise
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhapsode.encoding import ENCODERS, UNKNOWN_ID, Encoder, contract
from rhapsode.encoding.text.learnt import Sample
from rhapsode.errors import SettingsError
from tests.contracts.encoder_contract import PROVE, EncoderContract, texts
from tests.encoding.normal import normal

ALL = ["bpe.v1", "wordpiece.v1", "unigram.v1"]
TEXT = "the cat sat on the mat, and the dog sat on the cat.\nthat is that!\n" * 20


class TestBpe(EncoderContract):
    encoding = "bpe.v1"


class TestWordPiece(EncoderContract):
    encoding = "wordpiece.v1"


class TestUnigram(EncoderContract):
    encoding = "unigram.v1"


class TestSmallBpe(EncoderContract):
    encoding = "bpe.v1"
    settings: ClassVar[dict[str, Any]] = {"lowercase": True, "unicode": "nfkc"}

    def normalised(self, text: str) -> str:
        return normal(text, **self.settings)


def learn(name: str, *texts: str, **settings: Any) -> Encoder:
    return ENCODERS.get(name).learn(texts, settings)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("learnt", ["", TEXT], ids=["nothing", "text"])
@PROVE
@given(text=st.text(st.characters(exclude_categories=("Cs",))) | texts())
def test_all_text_comes_back_whatever_was_learnt(name: str, learnt: str, text: str):
    encoder = LEARNT[name, learnt]
    ids_N = encoder.encode(text)
    assert encoder.decode(ids_N) == text
    assert UNKNOWN_ID not in ids_N
    assert encoder.unknown(text) == []


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "text",
    [
        "  a   b\n\n\tc  ",
        "\0\0a\0",
        "\r\n\r\n\r",
        "👩\u200d👩\u200d👧",
        "\U000e0fff\uffff",
        "a" * 999,
        "‿a‿",
        "##a",
    ],
    ids=ascii,
)
def test_awkward_text_comes_back(name: str, text: str):
    for encoder in (LEARNT[name, ""], LEARNT[name, TEXT], learn(name, text * 3)):
        assert encoder.decode(encoder.encode(text)) == text


@pytest.mark.parametrize("name", ALL)
def test_frequent_words_are_single_elements(name: str):
    encoder = LEARNT[name, TEXT]
    # A unigram model of so little text finds single letters nearly as good.
    few = 2 if name == "unigram.v1" else 1
    assert len(encoder.encode(" the")) <= few
    assert len(encoder.encode(TEXT)) < len(TEXT) * few / 2


@pytest.mark.parametrize("name", ALL)
def test_ids_follow_use(name: str):
    encoder = LEARNT[name, TEXT]
    counts_V = np.bincount(encoder.encode(TEXT), minlength=encoder.vocab_size)[2:]
    assert all(before >= after for before, after in pairwise(counts_V.tolist()))


@pytest.mark.parametrize("name", ALL)
def test_learning_twice_gives_the_same(name: str):
    assert learn(name, TEXT).fingerprint == LEARNT[name, TEXT].fingerprint


@pytest.mark.parametrize("name", ALL)
def test_no_element_reaches_over_a_line_end(name: str):
    encoder = learn(name, "a\n\n\n\nb\r\n\r\n" * 50)
    shown = [encoder.decode([element]) for element in range(2, encoder.vocab_size)]
    assert all("\n" not in piece[:-1] for piece in shown)


@pytest.mark.parametrize("name", ALL)
def test_reading_long_texts_in_parts_changes_nothing(name: str):
    encoder = LEARNT[name, TEXT]
    whole_N = encoder.encode(TEXT)
    with mock.patch.object(contract, "CHUNK", 7):
        np.testing.assert_array_equal(encoder.encode(TEXT), whole_N)


@pytest.mark.parametrize("name", ALL)
def test_vocab_size_is_kept_to_and_too_small_a_one_is_named(name: str):
    assert learn(name, TEXT, vocab_size=530).vocab_size <= 530
    with pytest.raises(SettingsError, match="at least"):
        learn(name, TEXT, vocab_size=200)


@pytest.mark.parametrize("name", ALL)
def test_labels_can_be_read(name: str):
    encoder = LEARNT[name, TEXT]
    labels = {encoder.label(element) for element in range(encoder.vocab_size)}
    assert {"0x0a", "0xff", "<end>", "e"} <= labels
    assert " the" in labels or name == "unigram.v1"


def test_the_size_grows_with_the_text():
    assert learn("bpe.v1", TEXT).vocab_size <= 1024
    many = "".join(chr(0x4E00 + index) for index in range(2000)) * 10
    assert 2000 < learn("bpe.v1", many).vocab_size <= 256 + 2 * 2000


def test_a_sample_is_evenly_spaced_and_bounded():
    lines = [f"{index:07}\n" for index in range(1000)]
    with mock.patch.object(contract, "CHUNK", 1):
        sample = Sample(iter(lines), 800)
    assert sample.bytes == 8000
    kept = [int(chunk) for chunk in sample.chunks]
    assert len({after - before for before, after in pairwise(kept)}) == 1
    assert 50 <= len(kept) <= 100
    assert Sample(lines, 10_000).chunks == lines


@pytest.mark.parametrize("name", ALL)
def test_settings_out_of_range_are_named(name: str):
    for setting in ("vocab_size", "min_count"):
        with pytest.raises(SettingsError, match=setting):
            learn(name, "abc", **{setting: -1})


LEARNT = {(name, text): learn(name, text) for name in ALL for text in ("", TEXT)}

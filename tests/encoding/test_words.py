"""Words: the space before a word comes back, frequency decides ids, and what is lost is lost as named."""

from typing import Any, ClassVar
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhapsode.encoding import UNKNOWN_ID, Encoder, contract
from rhapsode.encoding.text.words import WordEncoder
from rhapsode.errors import SettingsError
from tests.contracts.encoder_contract import PROVE, EncoderContract, texts
from tests.encoding.normal import normal


class TestWords(EncoderContract):
    encoding = "words.v1"


class TestSmallLetters(EncoderContract):
    encoding = "words.v1"
    settings: ClassVar[dict[str, Any]] = {"lowercase": True}

    def normalised(self, text: str) -> str:
        return text.lower()


class TestWhitespace(EncoderContract):
    encoding = "words.v1"
    settings: ClassVar[dict[str, Any]] = {"split": "whitespace"}

    def normalised(self, text: str) -> str:
        return "\n".join(" ".join(line.split()) for line in text.split("\n"))


class TestSpelled(EncoderContract):
    encoding = "words.v1"
    settings: ClassVar[dict[str, Any]] = {"unknown": "spell"}


class TestFewSpelled(EncoderContract):
    encoding = "words.v1"
    settings: ClassVar[dict[str, Any]] = {"unknown": "spell", "lowercase": True, "unicode": "nfd"}

    def normalised(self, text: str) -> str:
        return normal(text, **self.settings)


def learn(*texts: str, **settings: Any) -> Encoder:
    return WordEncoder.learn(texts, settings)


def test_a_word_remembers_the_space_before_it():
    encoder = learn("the cat, the dog (the cat)")
    assert set(encoder.vocabulary) == {"the", " the", " cat", ",", " dog", " (", ")"}
    assert encoder.decode(encoder.encode("the dog, the cat")) == "the dog, the cat"


def test_ids_follow_frequency_and_ties_follow_the_text():
    encoder = learn("b\nb\nb\na\na\nc\nc")
    assert encoder.vocabulary == ("\n", "b", "a", "c")


def test_apostrophes_stay_within_a_word_and_marks_stand_alone():
    encoder = learn("don't stop... it’s 3.5")
    assert {"don't", " stop", ".", " it’s", " 3", "5"} == set(encoder.vocabulary)


def test_max_vocabulary_and_min_count():
    text = "a a a a b b b c c d"
    assert len(learn(text, max_vocabulary=4).vocabulary) == 2
    assert " d" not in learn(text, min_count=2).vocabulary
    assert learn(text, max_vocabulary=4).encode("a d")[-1] == UNKNOWN_ID


def test_unknown_words_are_named_in_order():
    assert learn("the the cat").unknown("the dog saw the bird, dog") == ["dog", "saw", "bird", ","]


@pytest.mark.parametrize(
    ("settings", "text", "back"),
    [
        ({}, "A  cat,\n\ta dog.\r\n", "A  cat,\n\ta dog.\r\n"),
        ({"lowercase": True}, "A Cat", "a cat"),
        ({"split": "whitespace"}, " A  cat,\n\t a dog. ", "A cat,\na dog."),
        ({"punctuation": False}, "A cat, a dog.", "A cat a dog"),
        ({"strip_html": True}, "A<br />cat", "A cat"),
    ],
    ids=str,
)
def test_what_is_lost_is_lost_as_named(settings: dict[str, Any], text: str, back: str):
    encoder = learn(text, **settings)
    assert encoder.decode(encoder.encode(text)) == back
    assert (encoder.round_trip == "lossless") == (not settings)


@PROVE
@given(text=st.lists(texts(4), max_size=8).map("\n".join), size=st.integers(1, 9))
def test_reading_long_texts_in_parts_changes_no_word(text: str, size: int):
    encoder = learn(text)
    whole_N = encoder.encode(text)
    with mock.patch.object(contract, "CHUNK", size):
        assert set(learn(text).vocabulary) == set(encoder.vocabulary)
        np.testing.assert_array_equal(encoder.encode(text), whole_N)


@pytest.mark.parametrize(
    ("setting", "value"), [("split", "lines"), ("max_vocabulary", 2), ("min_count", 0)]
)
def test_settings_out_of_range_are_named(setting: str, value: Any):
    with pytest.raises(SettingsError, match=setting):
        learn("abc", **{setting: value})


def test_unknown_words_are_spelled_in_characters():
    encoder = learn("the cat the dog", unknown="spell", max_vocabulary=14)
    assert encoder.vocab_size == 14
    assert encoder.decode(encoder.encode("a god\tthe")) == "a god\N{REPLACEMENT CHARACTER}the"
    assert encoder.unknown("a god\tthe") == ["\t"]
    assert len(encoder.encode(" the")) == 1
    counts = np.bincount(encoder.encode("the cat the dog"), minlength=14)[2:].tolist()
    assert counts == sorted(counts, reverse=True)


def test_few_elements_are_the_frequent_characters():
    assert learn("aaa aaa b", unknown="spell", max_vocabulary=4).vocabulary == ("a", " ")


def test_words_without_their_spaces_cannot_be_spelled():
    with pytest.raises(SettingsError, match="spelled"):
        learn("a b", unknown="spell", split="whitespace")


@pytest.mark.parametrize(
    ("settings", "stated"),
    [
        ({"unicode": "nfc"}, "with Unicode NFC"),
        ({"lowercase": True, "punctuation": False}, "without capitals, punctuation"),
        (
            {"lowercase": True, "unicode": "nfkc", "chinese": "traditional"},
            "without capitals, with Unicode NFKC, traditional Chinese",
        ),
    ],
    ids=str,
)
def test_normal_forms_are_stated(settings: dict[str, Any], stated: str):
    assert learn("a", **settings).round_trip == stated

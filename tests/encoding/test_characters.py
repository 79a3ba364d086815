"""Characters: ids by frequency, limits of the vocabulary, and grapheme clusters kept whole."""

import json
from typing import Any, ClassVar
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhapsode.encoding import UNKNOWN_ID, contract, encoder_from_mapping
from rhapsode.encoding.text import CharacterEncoder
from rhapsode.errors import BundleError, SettingsError
from tests.contracts.encoder_contract import PROVE, EncoderContract, texts
from tests.encoding.normal import normal


class TestCharacters(EncoderContract):
    encoding = "characters.v1"


class TestGraphemes(EncoderContract):
    encoding = "characters.v1"
    settings: ClassVar[dict[str, Any]] = {"graphemes": True}


class TestSmallComposed(EncoderContract):
    encoding = "characters.v1"
    settings: ClassVar[dict[str, Any]] = {"lowercase": True, "unicode": "nfc"}

    def normalised(self, text: str) -> str:
        return normal(text, **self.settings)

    searched = normalised


def learn(*texts: str, **settings: Any) -> CharacterEncoder:
    return CharacterEncoder.learn(texts, settings)


def test_ids_follow_frequency_and_ties_follow_code_points():
    encoder = learn("zzz", "bbaaz", "\n漢é")
    assert encoder.vocabulary == ("z", "a", "b", "\n", "é", "漢")
    assert encoder.encode("zabz\n").tolist() == [2, 3, 4, 2, 5]


@PROVE
@given(text=texts(), graphemes=st.booleans())
def test_counts_never_rise_along_the_vocabulary(text: str, graphemes: bool):
    encoder = learn(text, graphemes=graphemes)
    ids_N = encoder.encode(text)
    counts = np.bincount(ids_N, minlength=encoder.vocab_size)[2:].tolist()
    order = [(-count, piece) for count, piece in zip(counts, encoder.vocabulary, strict=True)]
    assert order == sorted(order)
    assert all(counts)


def test_ids_do_not_depend_on_how_the_text_is_divided():
    assert learn("abc", "cab").vocabulary == learn("abccab").vocabulary


@pytest.mark.parametrize("graphemes", [False, True])
def test_max_vocabulary_keeps_the_most_frequent(graphemes: bool):
    encoder = learn("aaabbc", max_vocabulary=4, graphemes=graphemes)
    assert encoder.vocab_size == 4
    assert encoder.vocabulary == ("a", "b")
    assert encoder.encode("abc").tolist() == [2, 3, UNKNOWN_ID]


@pytest.mark.parametrize("graphemes", [False, True])
def test_min_count_drops_the_rare(graphemes: bool):
    encoder = learn("aaabbc", min_count=2, graphemes=graphemes)
    assert encoder.vocabulary == ("a", "b")
    assert learn("aaabbc", min_count=4, graphemes=graphemes).vocabulary == ()


def test_a_large_max_vocabulary_changes_nothing():
    assert learn("abc", max_vocabulary=1000).vocabulary == learn("abc").vocabulary


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_vocabulary", 2),
        ("max_vocabulary", "ten"),
        ("min_count", 0),
        ("min_count", 1.5),
        ("graphemes", "yes"),
    ],
)
def test_settings_out_of_range_are_named(setting: str, value: Any):
    with pytest.raises(SettingsError, match=setting):
        learn("abc", **{setting: value})


def test_a_misspelt_setting_is_suggested():
    with pytest.raises(SettingsError, match="did you mean 'graphemes'"):
        learn("abc", grapheme=True)


def test_settings_and_vocabulary_both_decide_the_fingerprint():
    prints = {
        learn("ab").fingerprint,
        learn("abb").fingerprint,
        learn("abc").fingerprint,
        learn("ab", graphemes=True).fingerprint,
    }
    assert len(prints) == 4
    assert learn("ab").fingerprint == learn("ba").fingerprint


@pytest.mark.parametrize(
    "cluster",
    [
        "e\u0301",
        "a\u0323\u0302\u0301",
        "\r\n",
        "🇨🇳",
        "👍🏽",
        "👩\u200d👩\u200d👧\u200d👦",
        "❤\ufe0f",
        "\u1112\u1161\u11ab",
        "각",
    ],
)
def test_a_grapheme_cluster_is_one_element(cluster: str):
    encoder = learn(f"x{cluster}y", graphemes=True)
    assert set(encoder.vocabulary) == {"x", cluster, "y"}
    assert len(encoder.encode(f"{cluster}{cluster}x")) == 3
    assert len(learn(cluster).vocabulary) == len(set(cluster))


def test_separate_clusters_stay_separate():
    encoder = learn("🇨🇳🇫🇷\n\u0301", graphemes=True)
    assert set(encoder.vocabulary) == {"🇨🇳", "🇫🇷", "\n", "\u0301"}


@PROVE
@given(text=st.lists(texts(4), max_size=8).map("\n".join), size=st.integers(1, 9))
def test_reading_long_texts_in_parts_changes_no_cluster(text: str, size: int):
    encoder = learn(text, graphemes=True)
    whole_N = encoder.encode(text)
    with mock.patch.object(contract, "CHUNK", size):
        assert learn(text, graphemes=True).vocabulary == encoder.vocabulary
        np.testing.assert_array_equal(encoder.encode(text), whole_N)


def test_unknown_pieces_are_named_in_order_of_appearance():
    encoder = learn("abc")
    assert encoder.unknown("zabyzx") == ["z", "y", "x"]
    assert encoder.without_unknown("zabyzxc") == "abc"


def test_unknown_clusters_are_named_whole():
    encoder = learn("ae\u0301", graphemes=True)
    assert encoder.unknown("e👍🏽ae\u0301e") == ["e", "👍🏽"]
    assert encoder.without_unknown("e👍🏽ae\u0301e") == "ae\u0301"


def test_a_grapheme_encoder_drops_until_nothing_unknown_is_left():
    encoder = learn("a", "\u0301", graphemes=True)
    rest = encoder.without_unknown("a\n\u0301")
    assert encoder.unknown(rest) == []


@pytest.mark.parametrize("piece", ["ab", "", "e\u0301", chr(0xD800), chr(0xDC80)], ids=ascii)
def test_an_entry_that_is_not_one_character_is_refused(piece: str):
    table = {"<end>": 0, "<unknown>": 1, piece: 2}
    described = {
        "name": "characters.v1",
        "settings": {},
        "tokenizer": json.dumps({"model": {"vocab": table}}),
    }
    with pytest.raises(BundleError):
        encoder_from_mapping(described)

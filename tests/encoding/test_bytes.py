"""Bytes: every byte has its element, whatever arrives, and malformed UTF-8 decodes as elsewhere."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from rhapsode.encoding import encoder_from_mapping
from rhapsode.encoding.text import ByteEncoder
from rhapsode.errors import BundleError, EncodingError
from tests.contracts.encoder_contract import PROVE, EncoderContract, texts


class TestBytes(EncoderContract):
    encoding = "bytes.v1"


@PROVE
@given(text=texts())
def test_an_element_is_its_byte_plus_two(text: str):
    assert ByteEncoder().encode(text).tolist() == [byte + 2 for byte in text.encode()]
    assert ByteEncoder().vocab_size == 258


@PROVE
@given(text=texts())
def test_nothing_is_unknown(text: str):
    assert ByteEncoder.learn(["a"], {}).unknown(text) == []
    assert ByteEncoder.learn(["a"], {}).without_unknown(text) == text


@PROVE
@given(raw=st.binary(max_size=24))
def test_malformed_bytes_decode_as_in_python_and_in_the_tokenizers_library(raw: bytes):
    encoder = ByteEncoder()
    ids = [byte + 2 for byte in raw]
    assert encoder.decode(ids) == raw.decode("utf-8", "replace")
    theirs = Tokenizer.from_str(encoder.to_tokenizer_json())
    assert theirs.decode(ids) == encoder.decode(ids)


@PROVE
@given(raw=st.binary(max_size=16))
def test_bytes_that_python_escaped_are_themselves_again(raw: bytes):
    escaped = raw.decode("utf-8", "surrogateescape")
    assert ByteEncoder().encode(escaped).tolist() == [byte + 2 for byte in raw]


@pytest.mark.parametrize(
    ("text", "place"),
    [(chr(0xD800), 0), (f"ab{chr(0xD83D)}", 2), (f"é{chr(0xDE00)}", 1)],
    ids=ascii,
)
def test_half_a_surrogate_pair_is_refused_with_its_place(text: str, place: int):
    with pytest.raises(EncodingError, match=f"character {place}$"):
        ByteEncoder().encode(text)


def test_a_stream_holds_a_character_back_until_it_is_whole():
    decoder = ByteEncoder().decoder()
    shown = [decoder.feed([byte + 2]) for byte in "é€👍".encode()]
    assert shown == ["", "é", "", "", "€", "", "", "", "👍"]
    assert decoder.finish() == ""


def test_a_stream_that_ends_within_a_character_says_so_at_the_end():
    decoder = ByteEncoder().decoder()
    assert decoder.feed([byte + 2 for byte in "a👍".encode()[:3]]) == "a"
    assert decoder.finish() == "\N{REPLACEMENT CHARACTER}"


def test_labels_are_printable():
    encoder = ByteEncoder()
    labels = [encoder.label(element) for element in range(encoder.vocab_size)]
    assert all(label.isprintable() for label in labels)
    assert labels[:2] == ["<end>", "<unknown>"]
    assert encoder.label(ord("a") + 2) == "a"
    assert encoder.label(0x0A + 2) == "0x0a"
    assert encoder.label(0xC3 + 2) == "0xc3"


def test_another_vocabulary_is_not_the_bytes():
    whole = ByteEncoder().to_mapping()
    tokenizer = json.loads(whole["tokenizer"])
    table = tokenizer["model"]["vocab"]
    table["a"], table["b"] = table["b"], table["a"]
    with pytest.raises(BundleError, match="256 bytes"):
        encoder_from_mapping({**whole, "tokenizer": json.dumps(tokenizer)})


def test_dtype_holds_the_highest_id():
    assert np.iinfo(ByteEncoder().encode("ÿ").dtype).max >= 257

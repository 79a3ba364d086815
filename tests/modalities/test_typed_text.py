"""Prompts as people type them: spaces at the end, escapes, Unicode forms, stop texts that cannot be written."""

import itertools
import unicodedata
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhapsode.config import unescaped
from rhapsode.data import catalogue_documents
from rhapsode.encoding import Encoder
from rhapsode.encoding.text import (
    BpeEncoder,
    ByteEncoder,
    CharacterEncoder,
    UnigramEncoder,
    WordEncoder,
    WordPieceEncoder,
)
from rhapsode.modalities.ids.typed_text import TrainedText, can_write, named
from tests.contracts.filter_contract import PROVE

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "café", "déjà"]
TEXT = "the cat sat on a mat, and a cat sat.\n    a café: déjà on the mat!\n" * 40


def trained(encoder: Encoder, text: str = TEXT) -> TrainedText:
    counts_V = np.bincount(encoder.encode(text).astype(np.int64), minlength=encoder.vocab_size)
    return TrainedText(encoder, counts_V)


SPACED: dict[str, TrainedText] = {
    kind.name: trained(kind.learn([TEXT], settings))
    for kind, settings in (
        (WordEncoder, {}),
        (BpeEncoder, {"vocab_size": 400}),
        (WordPieceEncoder, {"vocab_size": 620}),
    )
}
PROSE = "".join(document.text for document in catalogue_documents("python-docs"))[:60_000]
SPACED["unigram.v1"] = trained(UnigramEncoder.learn([PROSE], {}), PROSE)
SPACED["whitespace"] = trained(WordEncoder.learn([TEXT], {"split": "whitespace"}))
SENTENCE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)


@PROVE
@given(
    kind=st.sampled_from(sorted(SPACED)),
    text=SENTENCE,
    mark=st.sampled_from(["", ":", "!"]),
    spaces=st.integers(0, 4),
)
def test_a_prompt_goes_on_as_without_spaces_at_its_end(
    kind: str, text: str, mark: str, spaces: int
) -> None:
    assert SPACED[kind].without_open_space(text + mark + " " * spaces) == text + mark


def test_only_spaces_that_belong_to_the_next_element_are_left_out() -> None:
    for alone in (trained(CharacterEncoder.learn([TEXT], {})), trained(ByteEncoder())):
        assert alone.without_open_space("the cat ") == "the cat "
    for subwords in (SPACED["words.v1"], SPACED["bpe.v1"]):
        assert subwords.without_open_space("the cat\n") == "the cat\n"
        # The indentation of the training text: its last space belongs to the word after it.
        assert subwords.without_open_space("sat.\n    ") == "sat.\n   "
        assert subwords.without_open_space("   ") == ""


@PROVE
@given(text=SENTENCE, form=st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_a_prompt_in_another_unicode_form_is_read_in_that_of_the_training_text(
    text: str, form: str
) -> None:
    typed = unicodedata.normalize(form, text)
    decomposed = unicodedata.normalize("NFD", TEXT)
    for kind in (CharacterEncoder, ByteEncoder):
        assert trained(kind.learn([TEXT], {})).in_its_form(typed) == text
        other = trained(kind.learn([decomposed], {}), decomposed)
        assert other.in_its_form(typed) == unicodedata.normalize("NFD", text)


def test_compatible_characters_replace_only_those_never_seen() -> None:
    seen = trained(CharacterEncoder.learn([TEXT + "ｔ"], {}), TEXT + "ｔ")
    assert seen.in_its_form("ｔｈｅ cat") == "ｔhe cat"
    assert seen.in_its_form("ｚ") == "ｚ"  # the training text has no z either
    assert seen.unseen("zap ｚ\\") == ["z", "p", "ｚ", "\\"]


PIECES = st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4, unique=True)


@PROVE
@given(pieces=PIECES, stop=st.text("abcd", min_size=1, max_size=4))
def test_a_stop_text_can_be_written_if_some_elements_contain_it(
    pieces: list[str], stop: str
) -> None:
    encoder = WordEncoder(pieces, {})
    written = ("".join(some) for n in range(1, 6) for some in itertools.product(pieces, repeat=n))
    assert can_write(encoder, stop) == any(stop in text for text in written)


@pytest.mark.parametrize(
    ("encoder", "stop", "possible"),
    [
        (CharacterEncoder.learn([TEXT], {}), "t.\n", True),
        (CharacterEncoder.learn([TEXT], {}), "t.\n\N{SECTION SIGN}", False),
        (CharacterEncoder.learn([TEXT], {"lowercase": True}), "The", False),
        (WordEncoder.learn([TEXT], {}), "at on", True),
        (WordEncoder.learn([TEXT], {}), "dog", False),
        (WordEncoder.learn([TEXT], {"split": "whitespace"}), "cat sat", True),
        (ByteEncoder(), "\N{SECTION SIGN}", True),
        (BpeEncoder.learn([TEXT], {"vocab_size": 400}), "\N{SECTION SIGN} x", True),
    ],
)
def test_stop_texts_of_encoders(encoder: Encoder, stop: str, possible: bool) -> None:
    assert can_write(encoder, stop) is possible


@PROVE
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@pytest.mark.parametrize(
    "escape",
    [
        lambda text: text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t"),
        lambda text: "".join(f"\\U{ord(each):08x}" for each in text),
    ],
)
def test_escapes_are_read_back(escape: Callable[[str], str], text: str) -> None:
    assert unescaped(escape(text)) == text


def test_what_is_no_escape_stays() -> None:
    assert unescaped(r"\xe9\u00e9\t\\n") == "éé\t\\n"
    for text in (r"\d \q \x1 \u12", r"\ud83d", r"\Uffffffff", "\\"):
        assert unescaped(text) == text
    assert named([str(number) for number in range(11)], str) == "0, 1, 2, 3, 4, 5, 6, 7 and 3 more"

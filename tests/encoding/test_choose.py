"""Automatic choice of an encoding: characters, unless there are too many of them or too much text."""

from rhapsode.encoding import ENCODERS
from rhapsode.encoding.text import choose_encoding


def scripts(count: int) -> str:
    return "".join(chr(0x4E00 + index) for index in range(count))


def test_ordinary_text_is_characters():
    assert choose_encoding(["hello", " world"]) == (
        "characters.v1",
        "alphabetic text of 11 characters, 8 distinct characters",
    )


def test_scripts_are_named():
    assert choose_encoding(["我来到北京 abc"])[1].startswith("mostly Han text")
    assert choose_encoding(["ひらがなカタカナ漢"])[1].startswith("mostly Japanese text")
    assert choose_encoding(["한국어"])[1].startswith("mostly Korean text")
    assert choose_encoding(["12 34"])[1].startswith("text without letters")


def test_twelve_thousand_characters_are_the_limit():
    assert choose_encoding([scripts(12_000)])[0] == "characters.v1"
    name, reason = choose_encoding([scripts(12_000), "a"])
    assert name == "bpe.v1"
    assert "12,000" in reason


def test_long_texts_are_subwords():
    line = "some words in a line, and more\n" * 1000
    assert choose_encoding([line] * 600)[0] == "characters.v1"
    name, reason = choose_encoding(line for _ in range(700))
    assert name == "bpe.v1"
    assert "20,000,000" in reason
    assert choose_encoding([line], characters=30_000_000)[0] == "bpe.v1"
    assert choose_encoding([line], characters=len(line))[0] == "characters.v1"


def test_reading_stops_when_the_answer_is_known():
    def endless():
        yield scripts(12_001)
        raise AssertionError

    assert choose_encoding(endless())[0] == "bpe.v1"

    def long():
        yield "a" * 21_000_000
        raise AssertionError

    assert choose_encoding(long())[0] == "bpe.v1"


def test_choices_are_registered():
    for text in ("a", scripts(12_001)):
        name, _ = choose_encoding([text])
        assert ENCODERS.full_name(name) == name

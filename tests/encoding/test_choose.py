"""Automatic choice of an encoding: characters, unless there are too many of them."""

from rhapsode.encoding import ENCODERS, choose_encoding


def scripts(count: int) -> str:
    return "".join(chr(0x4E00 + index) for index in range(count))


def test_ordinary_text_is_characters():
    assert choose_encoding(["hello", " world"]) == ("characters.v1", "8 distinct characters")


def test_twelve_thousand_characters_are_the_limit():
    assert choose_encoding([scripts(12_000)])[0] == "characters.v1"
    name, reason = choose_encoding([scripts(12_000), "a"])
    assert name == "bytes.v1"
    assert "12,000" in reason


def test_reading_stops_when_the_answer_is_known():
    def endless():
        yield scripts(12_001)
        raise AssertionError

    assert choose_encoding(endless())[0] == "bytes.v1"


def test_choices_are_registered():
    for text in ("a", scripts(12_001)):
        name, _ = choose_encoding([text])
        assert ENCODERS.full_name(name) == name

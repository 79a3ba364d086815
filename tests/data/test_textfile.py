"""Decoding by blocks equals decoding whole; encodings are recognised; what is no text is told with its place."""

import codecs
import io
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.config import SourceSettings
from rhapsode.data.sources import Found, decoding, textfile
from rhapsode.data.sources.blob import NotText
from rhapsode.data.sources.decoding import find_codec
from rhapsode.data.sources.textfile import text_chunks
from rhapsode.errors import DataError, SettingsError

PROVE = settings(derandomize=True, deadline=None, max_examples=60)
RUSSIAN = (
    "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.\n"
)
POLISH = "Zażółć gęślą jaźń, powiedział łowca, źdźbło trawy zaś rosło i błyszczało w słońcu.\n"
KOREAN = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.\n"
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n"
SIMPLE = "我们的生活是很好的，他们说这个国家有很多人在工作，也不知道为什么。\n"
TRADITIONAL = "我們的生活是很好的，他們說這個國家有很多人在工作，也不知道為什麼。\n"
FRENCH = "Où êtes-vous allé hier ? « À la fenêtre », dit-elle, « ça m'a coûté dix œufs. »\n"
GERMAN = "Die Straße führt über die Brücke; später hörte man schöne Töne, größer als früher.\n"
PORTUGUESE = "Não há nada que não possa ser são, à exceção da ação.\n"
HUNGARIAN = "Öt szép szűzlány őrült írót nyúz, árvíztűrő tükörfúrógép.\n"
GREEK = "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.\n"


def opener(raw: bytes) -> Callable[[], io.BytesIO]:
    return lambda: io.BytesIO(raw)


def read(raw: bytes, found: Found | None = None, **options: str) -> str:
    found = Found() if found is None else found
    return "".join(text_chunks(opener(raw), "a.txt", SourceSettings(**options), found))


@PROVE
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), min_size=1),
    st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "gb18030"]),
    st.sampled_from(["lf", "keep"]),
    st.integers(1, 9),
)
def test_decoding_by_blocks_is_decoding_whole(text: str, codec: str, newlines: str, block: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textfile, "BLOCK", block)
        patch.setattr(decoding, "BLOCK", block)
        raw = text.encode(codec)
        expected = text
        if newlines == "lf":
            expected = text.replace("\r\n", "\n").replace("\r", "\n")
        assert read(raw, text_encoding=codec, newlines=newlines) == expected


def fault(raw: bytes) -> int | None:
    """Where bytes cease to be UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError as problem:
        return problem.start
    return None


@PROVE
@given(st.binary(min_size=1, max_size=60), st.integers(1, 7))
def test_replacing_by_blocks_is_replacing_whole(raw: bytes, block: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textfile, "BLOCK", block)
        patch.setattr(decoding, "BLOCK", block)
        found = Found()
        asked = SourceSettings(text_encoding="utf-8", errors="replace", newlines="keep")
        chunks = text_chunks(opener(raw), "a", asked, found, zeros=True)
        decoded = raw.decode("utf-8", "replace").removeprefix("\ufeff")
        assert "".join(chunks) == decoded.replace("\0", "")
        first = fault(raw)
        assert (found.undecodable > 0) == (first is not None)
        if first is not None:
            assert any(f"the first at offset {first}" in note for note in found.notes)


@PROVE
@given(st.binary(max_size=400))
def test_any_bytes_are_text_or_an_error_of_ours(raw: bytes):
    try:
        text = read(raw)
    except DataError:
        return
    assert "\0" not in text
    text.encode()


@pytest.mark.parametrize(
    ("text", "codec", "expected"),
    [
        (RUSSIAN, "cp1251", "cp1251"),
        (RUSSIAN, "koi8_r", "koi8_r"),
        (RUSSIAN, "cp866", "cp866"),
        (POLISH * 3, "cp1250", "cp1250"),
        (KOREAN, "euc_kr", "cp949"),
        (JAPANESE, "shift_jis", "cp932"),
        (JAPANESE, "euc_jp", "euc_jp"),
        (SIMPLE, "gb2312", "gb18030"),
        (TRADITIONAL, "big5", "big5hkscs"),
        (FRENCH, "cp1252", "cp1252"),
        (GERMAN, "latin-1", "cp1252"),
        (PORTUGUESE, "latin-1", "cp1252"),
        (HUNGARIAN, "cp1250", "cp1250"),
        (GREEK, "cp1253", "cp1253"),
        (RUSSIAN, "utf-16-le", "utf-16-le"),
        (RUSSIAN, "utf-16-be", "utf-16-be"),
        (SIMPLE * 9, "utf-16-le", "utf-16-le"),
        (GERMAN, "utf-32-be", "utf-32-be"),
    ],
)
def test_encodings_are_recognised(text: str, codec: str, expected: str):
    found = Found()
    assert read(text.encode(codec), found) == text
    assert found.encodings == {"a.txt": expected}


def test_an_encoding_is_recognised_behind_a_megabyte_of_ascii():
    found = Found()
    text = "plain words\n" * 90_000 + RUSSIAN * 20
    assert read(text.encode("cp1251"), found) == text
    assert found.encodings == {"a.txt": "cp1251"}


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_says_the_encoding_and_goes(codec: str):
    assert read(("\ufeff" + "é漢\ufeffb").encode(codec)) == "é漢\ufeffb"


def test_a_named_utf16_takes_its_order_from_the_mark_or_the_zeros():
    for raw in (codecs.BOM_UTF16_BE + "abc".encode("utf-16-be"), "abc".encode("utf-16-be")):
        assert read(raw, text_encoding="utf-16") == "abc"


def test_damaged_utf8_is_not_taken_for_something_else():
    raw = SIMPLE.encode() * 50 + b"\xff\xfe" + SIMPLE.encode() * 50
    offset = len(SIMPLE.encode()) * 50
    with pytest.raises(DataError, match=f"not UTF-8 text: byte 0xff at offset {offset}, line 51"):
        read(raw)
    found = Found()
    assert read(raw, found, errors="replace") == SIMPLE * 50 + "\ufffd\ufffd" + SIMPLE * 50
    assert found.undecodable == 2
    assert found.notes == [
        f"a.txt: 2 bytes that are not utf-8 replaced by U+FFFD, the first at offset {offset}"
    ]


def test_cut_utf8_is_told_at_its_last_character():
    with pytest.raises(DataError, match="byte 0xe6 at offset 9, line 1"):
        read("漢字漢".encode() + b"\xe6\xbc")


def test_few_zeros_are_dropped_and_many_are_no_text():
    found = Found()
    assert read(b"word " * 100 + b"\0" + b"word " * 100, found) == "word " * 200
    assert found.notes == ["a.txt: 1 zero byte dropped"]
    with pytest.raises(NotText, match="not a text file: a zero byte at offset 4"):
        read(b"text\0")
    with pytest.raises(NotText, match="a zero byte at offset 2"):
        read(b"\x7fE\0LF" * 9, text_encoding="utf-8")


def test_an_undecodable_named_encoding_says_where():
    with pytest.raises(DataError, match=r"not gb18030 text: byte 0xff at offset 3, line 2"):
        read(b"ab\n\xff", text_encoding="gb18030")


@pytest.mark.parametrize("name", ["rot13", "hex", "zlib", "unicode_escape", "base64", "idna"])
def test_codecs_that_are_no_encodings_of_text_are_refused(name: str):
    with pytest.raises(SettingsError, match="is not an encoding of text files"):
        find_codec(name)


@pytest.mark.parametrize("name", ["gb18031", "utf-88", "", "a\0b", "漢字", "x" * 999])
def test_unknown_encodings_are_told_with_a_hint(name: str):
    with pytest.raises(SettingsError, match="unknown encoding"):
        find_codec(name)
    with pytest.raises(SettingsError, match="did you mean 'gb18030'"):
        find_codec("gb18031")


def test_half_pairs_of_utf7_are_replaced():
    assert read(b"a+2AA-b", text_encoding="utf-7").encode()

"""Sources: files, folders and names become whole texts in order, and what is no text is told with its place."""

import io
import os
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.config import SourceSettings
from rhapsode.data import CATALOGUE
from rhapsode.data.sources import Found, decoding, read_pieces, textfile
from rhapsode.errors import DataError
from tests.data.reading import read_sources

PROVE = settings(derandomize=True, deadline=None, max_examples=50)
BOM = b"\xef\xbb\xbf"


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "text",
    ["a", "one\r\ntwo\rthree\n", "é漢👍", "\ufeff after the mark", "no line end", "\x01\x1b\x7f"],
    ids=ascii,
)
def test_a_file_is_one_document_kept_as_it_is(tmp_path: Path, text: str):
    for mark in (b"", BOM):
        raw = mark + text.encode()
        if not mark and text.startswith("\ufeff"):
            continue
        path = put(tmp_path / "a.txt", raw)
        (document,) = read_sources([str(path)], SourceSettings(newlines="keep")).documents
        assert document.text == text
        (turned,) = read_sources([str(path)]).documents
        assert turned.text == text.replace("\r\n", "\n").replace("\r", "\n")
        assert document.name == str(path)
        assert document.complete


def test_sources_keep_their_order_and_may_repeat(tmp_path: Path):
    first, second = put(tmp_path / "b.txt", "1"), put(tmp_path / "a.txt", "2")
    reading = read_sources([str(first), str(second), str(first)])
    assert [document.text for document in reading.documents] == ["1", "2", "1"]
    assert reading.skipped == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\0", "not a text file: a zero byte at offset 0"),
        (b"text\0", "not a text file: a zero byte at offset 4"),
        (b"\x81\x8d\x01", "not UTF-8 text: byte 0x81 at offset 0, line 1"),
        (
            b"\xe6\xbc\xa2 \xe6\xbc\xa2\ncut \xe6\xbc",
            "not UTF-8 text: byte 0xe6 at offset 12, line 2",
        ),
        (b"\xff\xfea\0b", "not utf-16-le text: byte 0x62 at offset 4, line 1"),
        (BOM, "it contains no text"),
    ],
)
def test_what_is_no_text_is_told_with_its_place(tmp_path: Path, content: bytes, message: str):
    path = put(tmp_path / "a.txt", content)
    with pytest.raises(DataError) as caught:
        read_sources([str(path)])
    assert str(caught.value).startswith(f"{path}: {message}")


def test_offset_and_line_count_the_byte_order_mark(tmp_path: Path):
    path = put(tmp_path / "a.txt", BOM + b"a\nb\x80")
    with pytest.raises(DataError, match="byte 0x80 at offset 6, line 2"):
        read_sources([str(path)])


@PROVE
@given(st.binary(min_size=1, max_size=40))
def test_any_bytes_are_their_own_text_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
):
    path = put(tmp_path_factory.getbasetemp() / "any.bin", raw)
    asked = SourceSettings(text_encoding="utf-8", newlines="keep")
    try:
        text = raw.removeprefix(BOM).decode()
    except UnicodeDecodeError:
        text = ""
    if text and "\0" not in text:
        (document,) = read_sources([str(path)], asked).documents
        assert document.text == text
    else:
        with pytest.raises(DataError):
            read_sources([str(path)], asked)


@pytest.mark.parametrize("name", ["no-such-file", "python-dcos", "a\0b", "x" * 5000], ids=len)
def test_a_missing_path_hints_at_the_names(name: str):
    with pytest.raises(DataError) as caught:
        read_sources([name])
    assert "\n" not in str(caught.value)
    for known in CATALOGUE:
        assert known in str(caught.value)


def test_no_source_at_all_is_an_error():
    with pytest.raises(DataError, match="no source was given"):
        read_sources([])


def test_an_empty_name_is_not_the_folder_one_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    put(tmp_path / "a.txt", "text")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError):
        read_sources([""])
    assert len(read_sources(["."]).documents) == 1


def test_a_path_within_a_file_is_missing(tmp_path: Path):
    path = put(tmp_path / "a.txt", "text")
    with pytest.raises(DataError, match="no such file or folder"):
        read_sources([str(path / "inner")])


def test_a_folder_is_read_whole_in_order_of_names(tmp_path: Path):
    for name in ("b.txt", "a/z.md", "a/deep/er/y", "c", "B.txt"):
        put(tmp_path / name, name)
    reading = read_sources([str(tmp_path)])
    names = [Path(document.name).relative_to(tmp_path).as_posix() for document in reading.documents]
    assert names == ["B.txt", "a/deep/er/y", "a/z.md", "b.txt", "c"]
    assert [document.text for document in reading.documents] == names


def test_hidden_files_and_folders_are_ignored(tmp_path: Path):
    for name in (
        "a.txt",
        ".hidden.txt",
        "~$a.docx",
        ".git/config",
        "sub/.cache/x.txt",
        "sub/b.txt",
    ):
        put(tmp_path / name, name)
    reading = read_sources([str(tmp_path)])
    assert [document.text for document in reading.documents] == ["a.txt", "sub/b.txt"]
    assert reading.skipped == ()


def test_a_hidden_folder_that_is_named_is_read(tmp_path: Path):
    put(tmp_path / ".notes" / "a.txt", "text")
    assert len(read_sources([str(tmp_path / ".notes")]).documents) == 1


def test_files_of_a_folder_that_are_no_text_are_skipped_with_the_reason(tmp_path: Path):
    put(tmp_path / "a.txt", "text")
    put(tmp_path / "picture.png", b"\x89PNG\0")
    put(tmp_path / "unknown.txt", b"\x81\x8d\x01 noise")
    put(tmp_path / "latin.txt", b"caf\xe9")
    put(tmp_path / "empty.txt", b"")
    put(tmp_path / "mark.txt", BOM)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    reading = read_sources([str(tmp_path)])
    assert [document.text for document in reading.documents] == ["text", "café"]
    assert reading.found.encodings == {str(tmp_path / "latin.txt"): "cp1252"}
    reasons = "\n".join(reading.skipped)
    assert "picture.png: not a text file: a zero byte at offset 4" in reasons
    assert "unknown.txt: not UTF-8 text: byte 0x81 at offset 0, line 1" in reasons
    assert "empty.txt: the file is empty" in reasons


@pytest.mark.parametrize("content", [None, b"\0", b""])
def test_a_folder_without_text_is_an_error(tmp_path: Path, content: bytes | None):
    if content is not None:
        put(tmp_path / "a.bin", content)
    put(tmp_path / ".hidden", "text")
    kind = "file" if content is None else "text file"
    with pytest.raises(DataError, match=f"no {kind} in this folder") as caught:
        read_sources([str(tmp_path)])
    assert str(caught.value).startswith(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for root")
def test_an_unreadable_file_is_named(tmp_path: Path):
    path = put(tmp_path / "a.txt", "text")
    path.chmod(0)
    with pytest.raises(DataError, match="cannot read: Permission denied"):
        read_sources([str(path)])


def test_a_file_that_fails_while_being_read_is_named(tmp_path: Path):
    path = put(tmp_path / "a.txt", "text")
    failing = mock.Mock(read=mock.Mock(side_effect=OSError(5, "Input/output error")))
    with (
        mock.patch.object(Path, "open", return_value=failing),
        pytest.raises(DataError, match="cannot read: Input/output error") as caught,
    ):
        read_sources([str(path)])
    assert str(caught.value).startswith(str(path))


def test_a_path_that_exists_wins_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(tmp_path / "python-docs", "my own")
    monkeypatch.chdir(tmp_path)
    assert [document.text for document in read_sources(["python-docs"]).documents] == ["my own"]


@PROVE
@given(st.text("ab \n\r", max_size=80), st.integers(2, 9), st.integers(1, 20))
def test_pieces_join_to_the_whole(
    tmp_path_factory: pytest.TempPathFactory, text: str, piece: int, block: int
):
    path = put(tmp_path_factory.getbasetemp() / "pieces.txt", text + "x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textfile, "PIECE", piece)
        patch.setattr(textfile, "BLOCK", block)
        patch.setattr(decoding, "BLOCK", block)
        found = list(read_pieces([str(path)], SourceSettings(newlines="keep")))
    assert "".join(document.text for document in found) == text + "x"
    assert [document.opening for document in found] == [True] + [False] * (len(found) - 1)
    assert [document.complete for document in found] == [False] * (len(found) - 1) + [True]
    for document, after in pairwise(found):
        assert len(document.text) <= 2 * piece
        assert document.text.endswith("\n") or "\n" not in document.text[piece:]
        assert not (document.text.endswith("\r") and after.text.startswith("\n"))


def test_standard_input_is_a_source(monkeypatch: pytest.MonkeyPatch):
    raw = io.BytesIO("caf\u00e9\r\n".encode("cp1252"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=raw))
    (document,) = read_sources(["-"]).documents
    assert (document.name, document.text) == ("-", "caf\u00e9\n")


def test_a_pipe_is_a_source_and_a_device_is_none(tmp_path: Path):
    read, write = os.pipe()
    os.write(write, b"text")
    os.close(write)
    try:
        assert read_sources([f"/dev/fd/{read}"]).documents[0].text == "text"
    finally:
        os.close(read)
    with pytest.raises(DataError, match="neither a file, a pipe nor a folder"):
        read_sources(["/dev/zero"])
    os.mkfifo(tmp_path / "pipe")
    put(tmp_path / "a.txt", "text")
    assert len(read_sources([str(tmp_path)]).documents) == 1


def test_a_pattern_may_be_the_source(tmp_path: Path):
    for name in ("a.txt", "b.txt", "c.md", "sub/d.txt", "[x].txt"):
        put(tmp_path / name, name)
    found = read_sources([f"{tmp_path}/?.txt"])
    assert [document.text for document in found.documents] == ["a.txt", "b.txt"]
    found = read_sources([f"{tmp_path}/**/*.txt"])
    assert len(found.documents) == 4
    assert read_sources([f"{tmp_path}/[x].txt"]).documents[0].text == "[x].txt"
    with pytest.raises(DataError, match="no file matches this pattern"):
        read_sources([f"{tmp_path}/*.json"])


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["a.txt", "sub/b.txt", "sub/deep/c.txt"]),
        ("sub/*.txt", ["sub/b.txt"]),
        ("sub/**/*.txt", ["sub/b.txt", "sub/deep/c.txt"]),
        ("**/c.*", ["sub/deep/c.txt"]),
        ("[ab].txt", ["a.txt", "sub/b.txt"]),
    ],
)
def test_a_pattern_chooses_files_of_a_folder(tmp_path: Path, pattern: str, expected: list[str]):
    for name in ("a.txt", "sub/b.txt", "sub/deep/c.txt", "sub/d.md"):
        put(tmp_path / name, name)
    found = read_sources([str(tmp_path)], SourceSettings(pattern=pattern))
    assert [document.text for document in found.documents] == expected
    with pytest.raises(DataError, match=r"no text file that matches '\*\.html' in this folder"):
        read_sources([str(tmp_path)], SourceSettings(pattern="*.html"))


def test_limit_counts_lines_of_a_text_and_files_of_a_folder(tmp_path: Path):
    for name in ("a.txt", "b.txt", "c.txt"):
        put(tmp_path / name, "1\n2\n3")
    two = SourceSettings(limit=2)
    assert [d.text for d in read_sources([str(tmp_path / "a.txt")], two).documents] == ["1\n2\n"]
    assert len(read_sources([str(tmp_path)], two).documents) == 2
    assert len(read_sources(["kitchen"], two).documents) == 2


def test_undecodable_files_of_a_folder_stop_or_are_replaced_or_skipped(tmp_path: Path):
    put(tmp_path / "a.txt", "text")
    put(tmp_path / "b.txt", b"\xe6\xbc\xa2" * 9 + b"\xff")
    with pytest.raises(DataError, match=r"b\.txt: not UTF-8 text: byte 0xff at offset 27"):
        read_sources([str(tmp_path)])
    found = read_sources([str(tmp_path)], SourceSettings(errors="replace"))
    assert [document.text[-1] for document in found.documents] == ["t", "\ufffd"]
    assert found.found.undecodable == 1
    for codec in ("auto", "utf-8"):
        asked = SourceSettings(errors="skip", text_encoding=codec)
        found = read_sources([str(tmp_path)], asked)
        assert [document.text for document in found.documents] == ["text"]
        assert "b.txt: not UTF-8 text" in found.skipped[0]
        named = read_sources([str(tmp_path / "b.txt"), str(tmp_path / "a.txt")], asked)
        assert [document.text for document in named.documents] == ["text"]
        assert named.skipped == found.skipped


def test_links_that_loop_or_dangle_do_no_harm(tmp_path: Path):
    put(tmp_path / "sub" / "a.txt", "text")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "sub" / "self").symlink_to(tmp_path / "sub" / "self")
    (tmp_path / "sub" / "nowhere").symlink_to(tmp_path / "none")
    found = read_sources([str(tmp_path)])
    assert [document.text for document in found.documents] == ["text"]
    assert any("a link to a folder" in reason for reason in found.skipped)
    with pytest.raises(DataError, match="no such file or folder"):
        read_sources([str(tmp_path / "sub" / "self")])


def test_what_is_found_is_filled_on_the_way(tmp_path: Path):
    found = Found()
    path = put(tmp_path / "a.txt", "caf\u00e9".encode("cp1252"))
    list(read_pieces([str(path)], found=found))
    assert found.encodings == {str(path): "cp1252"}


def test_memory_stays_bounded(tmp_path: Path):
    import tracemalloc

    path = tmp_path / "big.txt"
    with path.open("wb") as file:
        for _ in range(24):
            file.write(b"a line of some sixty characters that is repeated over and over\n" * 32_768)
    tracemalloc.start()
    total = sum(len(piece.text) for piece in read_pieces([str(path)]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == path.stat().st_size
    assert peak < 30 << 20


def test_a_closed_standard_input_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError, match="-: standard input is closed"):
        read_sources(["-"])


def test_what_a_folder_leaves_out_is_told_with_the_first_reason(tmp_path: Path):
    put(tmp_path / "a.png", b"\x89PNG\0\0\0\0" * 99)
    with pytest.raises(DataError, match=r"1 file left out, the first: .*a\.png: not a text file"):
        read_sources([str(tmp_path)])


def test_a_link_to_nowhere_in_a_folder_is_counted(tmp_path: Path):
    put(tmp_path / "a.txt", "text")
    (tmp_path / "gone").symlink_to(tmp_path / "none")
    found = read_sources([str(tmp_path)])
    assert found.skipped == (f"{tmp_path / 'gone'}: missing, or a broken link",)


def test_damage_in_a_folder_says_how_to_read_on(tmp_path: Path):
    put(tmp_path / "a.txt", "text")
    put(tmp_path / "b.gz", b"no such thing")
    with pytest.raises(DataError, match="or leave the file out with --errors skip"):
        read_sources([str(tmp_path)])
    with pytest.raises(DataError) as caught:
        read_sources([str(tmp_path / "b.gz")])
    assert "--errors" not in str(caught.value)

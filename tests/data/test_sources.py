"""Sources: files, folders and names become whole texts in order, and what is no text is told with its place."""

import os
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.data import CATALOGUE, read_sources
from rhapsode.errors import DataError

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
        (document,) = read_sources([str(path)]).documents
        assert document.text == text
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
        (b"\xff", "not UTF-8 text: byte 0xff at offset 0, line 1"),
        (b"one\ntwo\nth\xe9ee\n", "not UTF-8 text: byte 0xe9 at offset 10, line 3"),
        (b"cut \xe6\xbc", "not UTF-8 text: byte 0xe6 at offset 4, line 1"),
        (b"\xff\xfea\0b\0", "not a text file: a zero byte at offset 3"),
        (b"\xed\xa0\x80", "not UTF-8 text: byte 0xed at offset 0"),
        (BOM, "there is no text in it"),
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
    try:
        text = raw.removeprefix(BOM).decode()
    except UnicodeDecodeError:
        text = ""
    if text and "\0" not in text:
        (document,) = read_sources([str(path)]).documents
        assert document.text == text
    else:
        with pytest.raises(DataError):
            read_sources([str(path)])


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
    for name in ("a.txt", ".hidden.txt", ".git/config", "sub/.cache/x.txt", "sub/b.txt"):
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
    put(tmp_path / "latin.txt", b"caf\xe9")
    put(tmp_path / "empty.txt", b"")
    put(tmp_path / "mark.txt", BOM)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    reading = read_sources([str(tmp_path)])
    assert [document.text for document in reading.documents] == ["text"]
    reasons = "\n".join(reading.skipped)
    assert "picture.png: not a text file: a zero byte at offset 4" in reasons
    assert "latin.txt: not UTF-8 text: byte 0xe9 at offset 3, line 1" in reasons
    assert "empty.txt: the file is empty" in reasons


@pytest.mark.parametrize("content", [None, b"\0", b""])
def test_a_folder_without_text_is_an_error(tmp_path: Path, content: bytes | None):
    if content is not None:
        put(tmp_path / "a.bin", content)
    put(tmp_path / ".hidden", "text")
    with pytest.raises(DataError, match="no text file in this folder") as caught:
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
    failing = mock.Mock(side_effect=OSError(5, "Input/output error"))
    with (
        mock.patch.object(Path, "read_bytes", failing),
        pytest.raises(DataError, match="cannot read: Input/output error") as caught,
    ):
        read_sources([str(path)])
    assert str(caught.value).startswith(str(path))


def test_a_path_that_exists_wins_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(tmp_path / "python-docs", "my own")
    monkeypatch.chdir(tmp_path)
    assert [document.text for document in read_sources(["python-docs"]).documents] == ["my own"]

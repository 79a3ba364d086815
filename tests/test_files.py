"""Files appear whole or not at all: whatever fails, the old content stays and no scratch file is left."""

import os
import stat
from pathlib import Path
from unittest import mock

import pytest

from rhapsode.errors import RunError
from rhapsode.files import write_atomically


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_bytes_replace_what_was_there(tmp_path: Path):
    path = tmp_path / "a.txt"
    write_atomically(path, b"first")
    assert path.read_bytes() == b"first"
    write_atomically(path, b"second\0\r\n")
    assert path.read_bytes() == b"second\0\r\n"
    assert names(tmp_path) == ["a.txt"]


def test_a_writer_is_given_a_scratch_path_in_the_same_folder(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    seen: list[Path] = []

    def write(scratch: Path) -> None:
        seen.append(scratch)
        assert path.read_text() == "old"
        scratch.write_text("new")

    write_atomically(path, write)
    assert path.read_text() == "new"
    assert seen[0].parent == tmp_path
    assert names(tmp_path) == ["a.txt"]


def test_a_writer_may_replace_the_scratch_file_itself(tmp_path: Path):
    path = tmp_path / "a.txt"

    def write(scratch: Path) -> None:
        scratch.unlink()
        scratch.write_text("new")

    write_atomically(path, write)
    assert path.read_text() == "new"


def test_the_file_can_be_read_by_others(tmp_path: Path):
    write_atomically(tmp_path / "a.txt", b"")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(scratch: Path) -> None:
        scratch.write_text("half of the n")
        raise OSError(28, "No space left on device")

    with pytest.raises(RunError, match="No space left on device") as caught:
        write_atomically(path, write)
    assert str(path) in str(caught.value)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_interrupted_writer_leaves_the_old_file(tmp_path: Path, kind: type[BaseException]):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write(scratch: Path) -> None:
        scratch.write_text("half of the n")
        raise kind

    with pytest.raises(kind):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_of_the_disk_leaves_the_old_file(tmp_path: Path, step: str):
    path = tmp_path / "a.txt"
    path.write_text("old")
    failing = mock.Mock(side_effect=OSError(5, "Input/output error"))
    where = {"fsync": (os, "fsync"), "replace": (Path, "replace")}[step]
    with mock.patch.object(*where, failing), pytest.raises(RunError, match="Input/output error"):
        write_atomically(path, b"new")
    assert failing.called
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_that_is_missing_or_a_file_is_an_error(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "missing" / "a.txt", tmp_path / "file" / "a.txt"):
        with pytest.raises(RunError, match="cannot write") as caught:
            write_atomically(path, b"new")
        assert str(path) in str(caught.value)
    assert names(tmp_path) == ["file"]


def test_a_folder_in_the_way_is_an_error(tmp_path: Path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(RunError, match="cannot write"):
        write_atomically(tmp_path / "a.txt", b"new")
    assert names(tmp_path) == ["a.txt"]


def test_a_name_that_is_too_long_is_an_error(tmp_path: Path):
    with pytest.raises(RunError, match="cannot write"):
        write_atomically(tmp_path / ("a" * 300), b"new")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable for root")
def test_an_unwritable_folder_is_an_error(tmp_path: Path):
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    try:
        with pytest.raises(RunError, match="Permission denied"):
            write_atomically(folder / "a.txt", b"new")
    finally:
        folder.chmod(0o755)


def test_a_folder_that_refuses_new_files_is_an_error(tmp_path: Path):
    refusing = mock.Mock(side_effect=PermissionError(13, "Permission denied"))
    with (
        mock.patch("tempfile.mkstemp", refusing),
        pytest.raises(RunError, match="Permission denied"),
    ):
        write_atomically(tmp_path / "a.txt", b"new")

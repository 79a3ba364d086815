"""Folders and archives: their files, patterns of names, and paths into archives."""

import contextlib
import fnmatch
import os
import re
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, cast

from rhapsode.data.sources.blob import (
    Blob,
    Found,
    Guarded,
    Raw,
    Torn,
    Unreadable,
    file_blob,
    first_bytes,
    in_any_order,
    spooled,
    told,
)
from rhapsode.data.sources.compression import TAR_SUFFIXES, bare_name, compression_of, unpacked
from rhapsode.data.sources.formats.workbooks import is_workbook, sheets_of
from rhapsode.errors import DataError
from rhapsode.files import is_there

_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
# Beginnings of the names of files that people do not see; an office program keeps "~$name.docx"
# next to a document while it is open.
HIDDEN = (".", "~$")


def walk(folder: Path, found: Found) -> Iterator[Blob]:
    """Files of a folder and its subfolders, sorted by name.

    Links to folders are not followed.
    """
    waiting = [(folder, "")]
    while waiting:
        path, relative = waiting.pop()
        try:
            if path.is_dir() and (not path.is_symlink() or not relative):
                names = sorted(os.listdir(path), reverse=True)  # noqa: PTH208
                waiting += [
                    (path / name, f"{relative}/{name}" if relative else name)
                    for name in names
                    if not name.startswith(HIDDEN)
                ]
            elif path.is_dir():
                found.skipped.append(f"{path}: a link to a folder")
            elif path.is_file():
                yield file_blob(path, relative)
            elif not path.exists():
                found.skipped.append(f"{path}: missing, or a broken link")
        except OSError as problem:
            unread = DataError(f"cannot read: {problem.strerror}", where=str(path))
            found.skipped.append(str(unread))


def named_file(source: str) -> tuple[Blob, str] | None:
    """File or archive that a source names.

    The second entry is the path inside the archive; empty for none.

    Arguments:
        source: a path, a path that leads into an archive, or "-" for standard input.

    Returns:
        None for a source that names no file.
    """
    if source == "-":
        if sys.stdin is None:
            raise DataError("standard input is closed", where="-", hint="pipe data into it")
        return Blob("-", "-", spooled(sys.stdin.buffer, "-")), ""
    if source and is_there(Path(source)):
        return file_blob(Path(source)), ""
    parts = _inside(source)
    return (file_blob(parts[0]), parts[1]) if parts else None


def _inside(source: str) -> tuple[Path, str] | None:
    """Archive and inner path that a source names; None for others."""
    outer, mark, inner = source.partition("::")
    if mark and is_there(Path(outer)):
        return Path(outer), inner
    path = Path(source)
    for parent in path.parents:
        try:
            if parent.is_file():
                kind = archive_kind(file_blob(parent))
                return (parent, path.relative_to(parent).as_posix()) if kind else None
        except (OSError, ValueError):
            return None
    return None


def like(name: str, pattern: str) -> bool:
    """True if a path matches a pattern.

    In the pattern, ** stands for any folders.
    """
    made = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]*\])", pattern):
        if part.startswith("[") and len(part) > 2:
            made += fnmatch.translate(part)[4:-3]
        else:
            made += _WILD.get(part) or re.escape(part)
    return re.fullmatch(made, name, re.DOTALL) is not None


_TAR_MARK = 257  # where a tar file says "ustar"


def archive_kind(blob: Blob) -> str | None:
    """Format of an archive: "zip", "tar" or "workbook"; None for other files.

    A tar file may be compressed. The files of a workbook are its sheets.

    Raises:
        DataError: the compressed data is damaged.
    """
    name = Path(blob.relative).name.lower()
    suffix = Path(name).suffix
    bare = bare_name(name)
    if is_workbook(name):
        return "workbook"
    if suffix == ".zip":
        return "zip"
    if bare.endswith(".tar") or suffix in TAR_SUFFIXES:
        return "tar"
    head = first_bytes(blob.open, 8)
    if not suffix and head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if bare == name and compression_of(head) is None:
        return None
    inner = first_bytes(unpacked(blob).open, _TAR_MARK + 5)
    return "tar" if inner[_TAR_MARK:] == b"ustar" else None


@contextlib.contextmanager
def members(blob: Blob, kind: str, inner: str = "") -> Iterator[Iterator[Blob]]:
    """Files of an archive, sorted by name.

    Hidden files, folders and links are passed over.

    Arguments:
        blob: the archive.
        kind: result of `archive_kind`.
        inner: path of a file or folder inside it; empty for all files.

    Raises:
        DataError: it is damaged, locked, or holds no file there.
    """
    readers = {"zip": _zip, "tar": _tar, "workbook": sheets_of}
    with readers[kind](blob) as files:
        wanted = inner.strip("/")
        found = [
            file
            for file in files
            if (inner and wanted in {file.relative.strip("/"), file.name[len(blob.name) + 1 :]})
            or (
                file.relative.startswith(f"{wanted}/" if inner else "")
                and not _hidden(file.relative[len(wanted) :])
            )
        ]
        if not found:
            what = f"no file {inner!r} in this archive" if inner else "no file in this archive"
            hint = f"it has {', '.join(file.relative for file in files[:5])}" if files else None
            raise DataError(what, where=blob.name, hint=hint)
        if kind != "workbook":  # sheets keep their order
            found.sort(key=lambda file: file.relative.split("/"))
        yield iter(found)


def _hidden(name: str) -> bool:
    parts = [part for part in name.split("/") if part not in {".", ".."}]
    return any(part.startswith(HIDDEN) for part in parts) or parts[:1] == ["__MACOSX"]


@contextlib.contextmanager
def _zip(blob: Blob) -> Iterator[list[Blob]]:
    with in_any_order(blob) as file:
        if not file.read(1):
            raise DataError("the file is empty", where=blob.name)
        with told(blob.name):
            archive = zipfile.ZipFile(file)
        with archive:
            yield [
                _member(
                    blob,
                    entry.filename,
                    partial(archive.open, entry),
                    locked=bool(entry.flag_bits & 1),
                )
                for entry in archive.infolist()
                if not entry.is_dir() and not stat.S_ISLNK(entry.external_attr >> 16)
            ]


@contextlib.contextmanager
def _tar(blob: Blob) -> Iterator[list[Blob]]:
    plain = unpacked(blob)
    with in_any_order(plain) as file:
        if not file.read(1):
            raise DataError("the file is empty", where=blob.name)
        with told(blob.name):
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            archive = tarfile.TarFile(fileobj=file)
            entries = archive.getmembers()
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):  # where tarfile takes it for the end
                raise Torn("a header is cut short")
            ends = [entry.offset_data + entry.size for entry in entries if entry.isreg()]
            if ends and max(ends) > size:
                raise Torn("the last member is cut short")
        yield [
            _member(blob, entry.name, partial(archive.extractfile, entry))
            for entry in entries
            if entry.isreg()
        ]


def _member(
    blob: Blob, path: str, open_entry: Callable[[], IO[bytes] | None], *, locked: bool = False
) -> Blob:
    name = f"{blob.name}/{path}"

    def opened() -> Raw:
        if locked:
            raise Unreadable("protected by a password", where=name, hint="unpack it first")
        with told(name):
            file = cast(BinaryIO, open_entry())
        return Guarded(file, name, [file])

    return Blob(name, path, opened)

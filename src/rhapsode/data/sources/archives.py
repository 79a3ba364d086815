"""Zip and tar archives, read as folders are and never unpacked into named files."""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, cast

from rhapsode.data.sources.blob import (
    Blob,
    Guarded,
    Raw,
    Torn,
    first_bytes,
    in_any_order,
    told,
)
from rhapsode.data.sources.compression import TAR_SUFFIXES, bare_name, compression_of, unpacked
from rhapsode.data.sources.formats import Unreadable
from rhapsode.errors import DataError

_TAR_MARK = 257  # where a tar file says "ustar"


def archive_kind(blob: Blob) -> str | None:
    """Either "zip" or "tar" (compressed or not), or None for what is no archive.

    Raises:
        DataError: what is compressed is damaged.
    """
    name = Path(blob.relative).name.lower()
    suffix = Path(name).suffix
    bare = bare_name(name)
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
    """The files of an archive, sorted by name; hidden ones, folders and links are passed over.

    Arguments:
        blob: the archive.
        kind: what `archive_kind` says.
        inner: a file or folder inside it, to read no other.

    Raises:
        DataError: it is damaged, locked, or holds no file there.
    """
    with (_zip if kind == "zip" else _tar)(blob) as files:
        wanted = inner.strip("/")
        found = [
            file
            for file in files
            if (inner and file.relative.strip("/") == wanted)
            or (
                file.relative.startswith(f"{wanted}/" if inner else "")
                and not _hidden(file.relative[len(wanted) :])
            )
        ]
        if not found:
            what = f"no file {inner!r} in this archive" if inner else "no file in this archive"
            raise DataError(what, where=blob.name)
        yield iter(sorted(found, key=lambda file: file.relative.split("/")))


def _hidden(name: str) -> bool:
    parts = [part for part in name.split("/") if part not in {".", ".."}]
    return any(part.startswith(".") for part in parts) or parts[:1] == ["__MACOSX"]


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
            raise Unreadable("locked by a password", where=name, hint="unpack it first")
        with told(name):
            file = cast(BinaryIO, open_entry())
        return Guarded(file, name, [file])

    return Blob(name, path, opened)

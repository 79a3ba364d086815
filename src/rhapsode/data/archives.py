"""Compressed files and archives, read as streams and never unpacked into named files.

Knows names and bytes; what the bytes mean is not its business.
"""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from rhapsode.data.textfile import NotText, Open, Raw, Unreadable, read_up_to
from rhapsode.errors import DataError, MissingExtraError
from rhapsode.files import first_line

__all__ = ["Blob", "archive_kind", "bare_name", "file_blob", "members", "spooled", "unpacked"]

SPOOL = 64 << 20
_OUT_OF_REACH = frozenset({errno.EACCES, errno.EPERM, errno.ENOENT, errno.ELOOP})
_TAR_MARK = 257  # where a tar file says "ustar"
_SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zstd": "zstd"}
_MAGIC = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
_TAR_SUFFIXES = {".tgz": "gzip", ".tbz2": "bzip2", ".tbz": "bzip2", ".txz": "xz", ".tzst": "zstd"}


@dataclass(frozen=True)
class Blob:
    """Bytes with a name.

    Arguments:
        name: where they are, for messages and documents.
        relative: their path within the folder or archive they were found in.
        open: opens them from the start, as often as one likes.
        path: the file that holds just them, where there is one.
    """

    name: str
    relative: str
    open: Open
    path: Path | None = None


class _Guarded:
    """A stream whose failures are told as errors of ours."""

    def __init__(self, raw: BinaryIO, where: str, *owned: BinaryIO) -> None:
        self._raw = raw
        self._where = where
        self._owned = owned

    def read(self, size: int, /) -> bytes:
        with _told(self._where):
            return self._raw.read(size)

    def close(self) -> None:
        for file in (self._raw, *self._owned):
            file.close()


@contextlib.contextmanager
def _told(where: str) -> Iterator[None]:
    """Failures of files and of their compression as one line."""
    try:
        yield
    except (EOFError, zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error,
            struct.error, gzip.BadGzipFile, _Torn) as problem:  # fmt: skip
        raise Unreadable(
            f"the compressed data is damaged or cut short ({first_line(problem)})",
            where=where,
            hint="fetch or make the file again",
        ) from None
    except OSError as problem:
        if problem.errno is None:  # what bz2 says of bad data
            raise Unreadable(
                f"the compressed data is damaged ({first_line(problem)})",
                where=where,
                hint="fetch or make the file again",
            ) from None
        kind = NotText if problem.errno in _OUT_OF_REACH else DataError
        raise kind(f"cannot read: {problem.strerror}", where=where) from None
    except (NotImplementedError, RuntimeError, ValueError, OverflowError) as problem:
        # zipfile: a password, or a compression it does not know; tarfile: numbers out of range.
        raise Unreadable(f"cannot unpack: {first_line(problem)}", where=where) from None


class _Torn(Exception):  # noqa: N818
    """Compressed data that ends too early or is no such data."""


def file_blob(path: Path, relative: str | None = None) -> Blob:
    """A file on disk; a pipe is kept aside, so that it can be read twice.

    Raises:
        DataError: a device, or a pipe that fails.
    """
    name = str(path)
    with _told(name):
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode):
            with path.open("rb") as pipe:
                return Blob(name, relative or path.name, spooled(pipe, name))
    if not stat.S_ISREG(mode):
        raise NotText("neither a file, a pipe nor a folder", where=name)

    def opened() -> Raw:
        with _told(name):
            return _Guarded(path.open("rb"), name)

    return Blob(name, relative or path.name, opened, path)


def spooled(raw: Raw, where: str) -> Open:
    """A copy of a stream, in memory up to 64 MB and beyond that in a nameless temporary file.

    Raises:
        DataError: the stream fails, or there is no room for it.
    """
    kept = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=SPOOL))  # noqa: SIM115
    with _told(where):
        while block := raw.read(1 << 20):
            kept.write(block)

    def opened() -> Raw:
        kept.seek(0)
        return _Guarded(cast(BinaryIO, _Unclosed(kept)), where)

    weakref.finalize(opened, kept.close)
    return opened


class _Unclosed:
    """A stream that stays open, to be read again."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw

    def read(self, size: int = -1) -> bytes:
        return self._raw.read(size)

    def close(self) -> None:
        """Nothing: whoever made the stream keeps it."""


def bare_name(name: str) -> str:
    """A name without the suffix of a compression."""
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and f"{dot}{suffix}".lower() in _SUFFIXES else name


def unpacked(blob: Blob) -> Blob:
    """The same, decompressed where its first bytes or its suffix say that it is compressed."""
    suffix = Path(blob.relative).suffix.lower()
    method = _SUFFIXES.get(suffix) or _TAR_SUFFIXES.get(suffix)
    raw = blob.open()
    head = read_up_to(raw, 8)
    raw.close()
    if not head:
        return blob
    method = next((kind for magic, kind in _MAGIC if head.startswith(magic)), method)
    if method is None:
        return blob

    def opened() -> Raw:
        inner = blob.open()
        with _told(blob.name):
            return _Guarded(_decompressed(inner, method), blob.name, cast(BinaryIO, inner))

    return Blob(blob.name, blob.relative, opened)


def _decompressed(raw: Raw, method: str) -> BinaryIO:
    file = cast(BinaryIO, _Forward(raw))
    if method == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb"))
    if method == "bzip2":
        return cast(BinaryIO, bz2.BZ2File(file))
    if method == "xz":
        return cast(BinaryIO, lzma.LZMAFile(file))
    return cast(BinaryIO, io.BufferedReader(_Zstd(raw), 1 << 17))


class _Forward(io.RawIOBase):
    """A stream of bytes as the decompressors want it: no way back."""

    def __init__(self, raw: Raw) -> None:
        super().__init__()
        self._raw = raw

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._raw.read(size)

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        block = self._raw.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


class _Zstd(io.RawIOBase):
    """Frames of Zstandard, one after another, the last one whole."""

    def __init__(self, raw: Raw) -> None:
        super().__init__()
        try:
            import zstandard
        except ImportError:
            raise MissingExtraError("data", "reading Zstandard files") from None
        self._raw = raw
        self._error = zstandard.ZstdError
        self._maker = zstandard.ZstdDecompressor(max_window_size=1 << 31)
        self._frame = self._maker.decompressobj()
        self._begun = False
        self._left = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        while not self._ready:
            # Few bytes at a time: a kilobyte of zeros' compression is tens of megabytes.
            block = self._left or self._raw.read(1024)
            self._left = b""
            if not block:
                if self._begun:
                    raise _Torn("Zstandard data ended before the end of its frame")
                return 0
            self._begun = True
            try:
                self._ready = memoryview(self._frame.decompress(block))
            except self._error as problem:
                raise _Torn(first_line(problem)) from None
            if self._frame.eof:
                self._left = self._frame.unused_data
                self._frame = self._maker.decompressobj()
                self._begun = False
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


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
    if bare.endswith(".tar") or suffix in _TAR_SUFFIXES:
        return "tar"
    raw = blob.open()
    head = read_up_to(raw, 8)
    raw.close()
    if not suffix and head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if not (bare != name or any(head.startswith(magic) for magic, _ in _MAGIC)):
        return None
    raw = unpacked(blob).open()
    try:
        inner = read_up_to(raw, _TAR_MARK + 5)
    finally:
        raw.close()
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
    with contextlib.ExitStack() as stack:
        reader: Callable[..., AbstractContextManager[list[Blob]]] = _zip if kind == "zip" else _tar
        found = stack.enter_context(reader(blob))
        if inner:
            wanted = inner.strip("/")
            found = [
                member
                for member in found
                if member.relative.strip("/") == wanted
                or (
                    member.relative.startswith(f"{wanted}/")
                    and not _hidden(member.relative[len(wanted) :])
                )
            ]
        else:
            found = [member for member in found if not _hidden(member.relative)]
        if not found:
            what = f"no file {inner!r} in this archive" if inner else "no file in this archive"
            raise DataError(what, where=blob.name)
        yield iter(sorted(found, key=lambda member: member.relative.split("/")))


def _hidden(name: str) -> bool:
    parts = [part for part in name.split("/") if part not in {".", ".."}]
    return any(part.startswith(".") for part in parts) or parts[:1] == ["__MACOSX"]


@contextlib.contextmanager
def _whole(blob: Blob) -> Iterator[BinaryIO]:
    """The bytes as a file that can be read in any order."""
    if blob.path is not None:
        with _told(blob.name):
            file = blob.path.open("rb")
        with file:
            yield file
        return
    raw = blob.open()
    kept = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=SPOOL))  # noqa: SIM115
    try:
        with _told(blob.name):
            while block := raw.read(1 << 20):
                kept.write(block)
            kept.seek(0)
        yield kept
    finally:
        raw.close()
        kept.close()


@contextlib.contextmanager
def _zip(blob: Blob) -> Iterator[list[Blob]]:
    with _whole(blob) as file:
        if not file.read(1):
            raise DataError("the file is empty", where=blob.name)
        with _told(blob.name):
            archive = zipfile.ZipFile(file)
        with archive:
            yield [
                _zip_member(blob, archive, entry)
                for entry in archive.infolist()
                if not entry.is_dir() and not stat.S_ISLNK(entry.external_attr >> 16)
            ]


def _zip_member(blob: Blob, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Blob:
    name = f"{blob.name}/{entry.filename}"

    def opened() -> Raw:
        if entry.flag_bits & 1:
            raise Unreadable("locked by a password", where=name, hint="unpack it first")
        with _told(name):
            return _Guarded(cast(BinaryIO, archive.open(entry)), name)

    return Blob(name, entry.filename, opened)


@contextlib.contextmanager
def _tar(blob: Blob) -> Iterator[list[Blob]]:
    plain = unpacked(blob)
    with _whole(plain) as file:
        if not file.read(1):
            raise DataError("the file is empty", where=blob.name)
        with _told(blob.name):
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            archive = tarfile.TarFile(fileobj=file)
            entries = archive.getmembers()
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):  # where tarfile takes it for the end
                raise _Torn("a header is cut short")
            ends = [entry.offset_data + entry.size for entry in entries if entry.isreg()]
            if ends and max(ends) > size:
                raise _Torn("the last member is cut short")
        yield [_tar_member(blob, archive, entry) for entry in entries if entry.isreg()]


def _tar_member(blob: Blob, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> Blob:
    name = f"{blob.name}/{entry.name}"

    def opened() -> Raw:
        with _told(name):
            return _Guarded(cast(BinaryIO, archive.extractfile(entry)), name)

    return Blob(name, entry.name, opened)

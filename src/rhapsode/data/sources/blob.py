"""Named bytes that can be opened any number of times.

Each opening reads from the start. Failures become errors of this package.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import lzma
import stat
import struct
import tarfile
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, cast

from rhapsode.errors import DataError
from rhapsode.files import first_line

SPOOL = 64 << 20
_OUT_OF_REACH = frozenset({errno.EACCES, errno.EPERM, errno.ENOENT, errno.ELOOP})


class Raw(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes; none at the end."""

    def close(self) -> None:
        """Close the stream."""


Open = Callable[[], Raw]


@dataclass(frozen=True)
class Blob:
    """Bytes with a name.

    Arguments:
        name: where they are, for messages and documents.
        relative: their path within the folder or archive they were found in.
        open: opens them from the start, any number of times.
        path: the file that holds exactly these bytes, if there is one.
    """

    name: str
    relative: str
    open: Open
    path: Path | None = None


class Guarded:
    """A stream whose failures are raised as `DataError`.

    Arguments:
        raw: the stream.
        where: its name, for messages.
        owned: files that are closed with it.
    """

    def __init__(self, raw: BinaryIO, where: str, owned: Sequence[Raw]) -> None:
        self._raw, self._where, self._owned = raw, where, owned

    def read(self, size: int, /) -> bytes:
        with told(self._where):
            return self._raw.read(size)

    def close(self) -> None:
        for file in self._owned:
            file.close()


@contextlib.contextmanager
def told(where: str) -> Iterator[None]:
    """Raise failures of files and compression as a `DataError`."""
    try:
        yield
    except (EOFError, zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error,
            struct.error, gzip.BadGzipFile, Torn) as problem:  # fmt: skip
        raise _damaged(f"damaged or cut short ({first_line(problem)})", where) from None
    except OSError as problem:
        if problem.errno is None:  # what bz2 says of bad data
            raise _damaged(f"damaged ({first_line(problem)})", where) from None
        kind = NotText if problem.errno in _OUT_OF_REACH else DataError
        raise kind(f"cannot read: {problem.strerror}", where=where) from None
    except (NotImplementedError, RuntimeError, ValueError, OverflowError) as problem:
        # zipfile: a password, or a compression it does not know; tarfile: numbers out of range.
        raise Unreadable(f"cannot unpack: {first_line(problem)}", where=where) from None


def _damaged(state: str, where: str) -> Unreadable:
    what = f"the compressed data is {state}"
    return Unreadable(what, where=where, hint="fetch or make the file again")


class Torn(Exception):  # noqa: N818
    """Compressed data that is cut short or invalid."""


def file_blob(path: Path, relative: str | None = None) -> Blob:
    """Blob of a file on disk.

    A pipe is copied, so that it can be read twice.

    Raises:
        DataError: a device, or a pipe that fails.
    """
    name = str(path)
    with told(name):
        mode = path.stat().st_mode
        if stat.S_ISFIFO(mode):
            with path.open("rb") as pipe:
                return Blob(name, relative or path.name, spooled(pipe, name))
    if not stat.S_ISREG(mode):
        raise NotText("neither a file, a pipe nor a folder", where=name)

    def opened() -> Raw:
        with told(name):
            file = path.open("rb")
        return Guarded(file, name, [file])

    return Blob(name, relative or path.name, opened, path)


def spooled(raw: Raw, where: str) -> Open:
    """Copy of a stream that can be opened any number of times.

    It is in memory up to 64 MB, and beyond that in a nameless temporary file.

    Raises:
        DataError: the stream fails, or there is no room for it.
    """
    kept = _spool(raw, where)

    def opened() -> Raw:
        kept.seek(0)
        return Guarded(kept, where, [])

    weakref.finalize(opened, kept.close)
    return opened


def _spool(raw: Raw, where: str) -> BinaryIO:
    kept = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=SPOOL))  # noqa: SIM115
    try:
        with told(where):
            while block := raw.read(1 << 20):
                kept.write(block)
            kept.seek(0)
    except DataError:
        kept.close()
        raise
    return kept


@contextlib.contextmanager
def in_any_order(blob: Blob) -> Iterator[BinaryIO]:
    """Open a blob as a seekable file."""
    if blob.path is None:
        with contextlib.closing(blob.open()) as raw, _spool(raw, blob.name) as file:
            yield file
        return
    with told(blob.name):
        opened = blob.path.open("rb")
    with opened:
        yield opened


def first_bytes(opened: Open, size: int) -> bytes:
    """First `size` bytes of a file, fewer if it is shorter."""
    with contextlib.closing(opened()) as raw:
        return read_up_to(raw, size)


def read_up_to(raw: Raw, size: int) -> bytes:
    """Read `size` bytes of a stream, fewer only at its end."""
    parts = []
    while size > 0 and (part := raw.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class NotText(DataError):  # noqa: N818
    """A file that holds no text.

    It is an error if the file was named; files of a folder are passed over.
    """


class Unreadable(DataError):  # noqa: N818
    """Bytes that cannot be decoded or unpacked.

    It is an error unless such files are to be skipped.
    """


@dataclass
class Found:
    """Remarks of the readers, filled while iterating.

    Arguments:
        encodings: from file to the name of its encoding, where that is not UTF-8.
        skipped: files of folders and archives that were left out, each with the reason.
        incomplete: records left out because they lack a field.
        undecodable: bytes that were replaced.
        notes: remarks for the user, one line each.
        formats: files by format, where text was taken out of one.
        left_out: what such files hold beside their text, by kind.
        boilerplate: characters that belong to no text itself, by kind.
    """

    encodings: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    incomplete: int = 0
    undecodable: int = 0
    notes: list[str] = field(default_factory=list)
    formats: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    boilerplate: dict[str, int] = field(default_factory=dict)

    def count(
        self, what: Literal["formats", "left_out", "boilerplate"], name: str, n: int = 1
    ) -> None:
        """Add to one of the counts by name."""
        if n and name:
            counts: dict[str, int] = getattr(self, what)
            counts[name] = counts.get(name, 0) + n

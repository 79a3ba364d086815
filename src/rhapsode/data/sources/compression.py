"""Compressed files, read as streams: gzip, bzip2, xz and Zstandard, by first bytes or by suffix."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from pathlib import Path
from typing import BinaryIO, cast

from rhapsode.data.sources.blob import Blob, Guarded, Raw, Torn, read_up_to, told
from rhapsode.errors import MissingExtraError
from rhapsode.files import first_line

_SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zstd": "zstd"}
_MAGIC = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
TAR_SUFFIXES = {".tgz": "gzip", ".tbz2": "bzip2", ".tbz": "bzip2", ".txz": "xz", ".tzst": "zstd"}


def bare_name(name: str) -> str:
    """A name without the suffix of a compression."""
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and f"{dot}{suffix}".lower() in _SUFFIXES else name


def unpacked(blob: Blob) -> Blob:
    """The same, decompressed where its first bytes or its suffix say that it is compressed."""
    suffix = Path(blob.relative).suffix.lower()
    method = _SUFFIXES.get(suffix) or TAR_SUFFIXES.get(suffix)
    raw = blob.open()
    head = read_up_to(raw, 8)
    raw.close()
    if not head:
        return blob
    method = _by_content(head) or method
    if method is None:
        return blob

    def opened() -> Raw:
        inner = blob.open()
        with told(blob.name):
            return Guarded(_decompressed(inner, method), blob.name, cast(BinaryIO, inner))

    return Blob(blob.name, blob.relative, opened)


def is_compressed(head: bytes) -> bool:
    """Whether the first bytes of a file say so."""
    return _by_content(head) is not None


def _by_content(head: bytes) -> str | None:
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


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
                    raise Torn("Zstandard data ended before the end of its frame")
                return 0
            self._begun = True
            try:
                self._ready = memoryview(self._frame.decompress(block))
            except self._error as problem:
                raise Torn(first_line(problem)) from None
            if self._frame.eof:
                self._left = self._frame.unused_data
                self._frame = self._maker.decompressobj()
                self._begun = False
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

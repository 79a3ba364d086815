"""Compressed files as streams: gzip, bzip2, xz and Zstandard.

The first bytes or the suffix determine the compression.
"""

import bz2
import gzip
import io
import lzma
from pathlib import Path
from typing import Any, BinaryIO, cast

from rhapsode.data.sources.blob import Blob, Guarded, Raw, Torn, first_bytes, told
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
    """Decompressed blob, or the same blob if it is not compressed.

    The first bytes or the suffix determine the compression.
    """
    suffix = Path(blob.relative).suffix.lower()
    head = first_bytes(blob.open, 8)
    method = compression_of(head) or _SUFFIXES.get(suffix) or TAR_SUFFIXES.get(suffix)
    if method is None or not head:
        return blob

    def opened() -> Raw:
        inner = blob.open()
        with told(blob.name):
            file = _decompressed(inner, method)
        return Guarded(file, blob.name, [file, inner])

    return Blob(blob.name, blob.relative, opened)


def compression_of(head: bytes) -> str | None:
    """The compression of a file by its first bytes."""
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def _decompressed(raw: Raw, method: str) -> BinaryIO:
    if method == "zstd":
        return cast(BinaryIO, io.BufferedReader(_Zstd(raw), 1 << 17))
    openers: dict[str, Any] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    return cast(BinaryIO, openers[method](raw))


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

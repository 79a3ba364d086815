"""Uploaded files, in a folder of the server."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from rhapsode.errors import RunError
from rhapsode.serving.wire.api_errors import ApiError, refused

FILE_BYTES, ALL_BYTES = 256 << 20, 1 << 30
"""Limits of one file, and of all of them."""
_ID = re.compile(r"[0-9a-f]{16}")
# Characters of a name, and bytes, of which file systems take 255.
_LONGEST, _BYTES = 80, 160


@dataclass(frozen=True)
class Upload:
    """A file that was sent.

    Arguments:
        id: by which requests call it.
        path: the file.
    """

    id: str
    path: Path

    @property
    def name(self) -> str:
        """Its name."""
        return self.path.name

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.path.stat().st_size


class Uploads:
    """The folder of files that were sent.

    Arguments:
        folder: made with the first file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def save(self, name: str, parts: AsyncIterator[bytes]) -> Upload:
        """Write a file as it arrives.

        Arguments:
            name: as the client calls it; only a plain part of it is used.
            parts: of its content.

        Raises:
            ApiError: it is too large, empty, or the folder is full.
        """
        room = min(FILE_BYTES, ALL_BYTES - self._size())
        own = self._folder / secrets.token_hex(8)
        path, size, complete = own / plain_name(name), 0, False
        try:
            own.mkdir(parents=True)
            with path.open("wb") as file:
                async for part in parts:
                    size += len(part)
                    if size > room:
                        raise _too_large(room)
                    file.write(part)
            if not size:
                raise refused("the file is empty", param="name")
            complete = True
        except OSError as problem:
            raise RunError(f"the file cannot be stored: {problem.strerror}") from None
        finally:
            if not complete:
                path.unlink(missing_ok=True)
                if own.is_dir():
                    own.rmdir()
        return Upload(own.name, path)

    def get(self, key: object) -> Upload:
        """A file by its id.

        Raises:
            ApiError: there is none.
        """
        if isinstance(key, str) and _ID.fullmatch(key) and (self._folder / key).is_dir():
            for path in (self._folder / key).iterdir():
                return Upload(key, path)
        raise ApiError(404, "not_found", "there is no such file", param="upload")

    def _size(self) -> int:
        files = self._folder.glob("*/*") if self._folder.is_dir() else ()
        return sum(path.stat().st_size for path in files)


def plain_name(name: str) -> str:
    """A file name without folders; only letters, digits, points and hyphens stay."""
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r"[^\w.-]+", "-", last).strip(".-")
    stem, dot, suffix = plain.rpartition(".")
    if not dot:
        return _short(plain) or "file"
    return f"{_short(stem) or 'file'}.{suffix[:16]}"


def _short(name: str) -> str:
    return name[:_LONGEST].encode()[:_BYTES].decode(errors="ignore")


def _too_large(room: int) -> ApiError:
    if room < FILE_BYTES:
        return ApiError(413, "body_too_large", "the folder of uploaded files is full")
    return ApiError(413, "body_too_large", f"a file has at most {FILE_BYTES >> 20} MB")

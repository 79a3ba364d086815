"""Named files: in the folder that RHAPSODE_DATA names, in the cache, or fetched, checked and kept."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from rhapsode.data.store import cache_folder
from rhapsode.errors import DataError, RunError
from rhapsode.files import is_there, write_atomically

SECONDS = 30.0
MOST = 1 << 30


@dataclass(frozen=True)
class Download:
    """A file that can be fetched.

    Arguments:
        path: inside RHAPSODE_DATA and inside the cache.
        url: where it is.
        size: in bytes, where it is known.
        sha256: what it must hash to, in hexadecimal.
    """

    path: str
    url: str
    size: int | None
    sha256: str


def find_copy(download: Download) -> Path | None:
    """The file on this machine, if it is there: RHAPSODE_DATA first, then the cache."""
    named = os.environ.get("RHAPSODE_DATA")
    folders = [Path(named)] if named else []
    for folder in (*folders, cache_folder() / "corpora"):
        if is_there(folder / download.path):
            return folder / download.path
    return None


def local_copy(name: str, download: Download) -> Path:
    """The file, fetched if it is not there yet; its checksum agrees.

    Arguments:
        name: of the corpus, for messages.
        download: where it comes from.

    Raises:
        DataError: no network, a refusal, a wrong checksum, or a cache that cannot be written.
    """
    path = find_copy(download)
    if path is not None:
        try:
            _check(name, path.read_bytes(), download, str(path))
        except OSError as problem:
            raise DataError(f"cannot read: {problem.strerror}", where=str(path)) from None
        return path
    raw = _fetch(name, download)
    _check(name, raw, download, download.url)
    path = cache_folder() / "corpora" / download.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, raw)
    except (OSError, RunError) as problem:
        raise DataError(
            f"cannot keep the corpus {name!r}: {problem}",
            where=str(path.parent),
            hint="name another folder with RHAPSODE_CACHE",
        ) from None
    return path


def _check(name: str, raw: bytes, download: Download, where: str) -> None:
    found = hashlib.sha256(raw).hexdigest()
    if found != download.sha256:
        raise DataError(
            f"this is not the corpus {name!r}: its SHA-256 begins {found[:16]}, expected {download.sha256[:16]}",
            where=where,
            hint="delete it to have it fetched again, or put the right file there",
        )


def _fetch(name: str, download: Download) -> bytes:
    import urllib.error  # takes long to load, and few commands fetch
    import urllib.parse
    import urllib.request

    request = urllib.request.Request(  # noqa: S310 - the catalogue holds https only
        urllib.parse.quote(download.url, safe=":/"), headers={"User-Agent": "rhapsode"}
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            raw: bytes = answer.read(MOST)
    except (urllib.error.URLError, OSError, ValueError) as problem:
        reason = getattr(problem, "reason", None) or problem
        raise DataError(
            f"the corpus {name!r} is not on this machine and cannot be fetched ({reason})",
            where=download.url,
            hint=f"get the file by other means and put it at <folder>/{download.path}, with RHAPSODE_DATA=<folder>",
        ) from None
    return raw

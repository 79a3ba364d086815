"""Sources to a text store, read only when they have changed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from glob import iglob
from pathlib import Path
from typing import Any

from rhapsode import __version__
from rhapsode.config import SourceSettings
from rhapsode.data import (
    CATALOGUE,
    Document,
    Found,
    TextStore,
    cache_folder,
    find_copy,
    open_texts,
    read_pieces,
    write_texts,
)
from rhapsode.errors import DataError
from rhapsode.files import is_there, write_atomically

__all__ = ["Texts", "prepare_texts", "progress"]

LARGE = 8 << 20
"""Bytes from which on sources are known again by size and time; smaller ones are read anew, which costs nothing."""
SETTLED = 2.0
"""Seconds that a file must have been left alone to be known by its time."""
EVERY = 3.0

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Texts:
    """Decoded documents, and what was noticed when they were read."""

    store: TextStore
    found: Found = field(default_factory=Found)


def prepare_texts(sources: Sequence[Any], settings: SourceSettings, tell: Tell) -> Texts:
    """The documents of sources, decoded into the cache; large ones that have not changed are not read again.

    Arguments:
        sources: files, folders, glob patterns, "-", catalogue names.
        settings: how they are read.
        tell: takes lines of progress.

    Raises:
        DataError: a source that cannot be read, or a cache that cannot be written.
    """
    folder = cache_folder()
    key = _signature(sources, settings)
    known = folder / "sources" / f"{key}.json"
    if key is not None and is_there(known):
        try:
            kept = json.loads(known.read_text(encoding="utf-8"))
            return Texts(open_texts(folder / "texts" / kept["texts"]), Found(**kept["found"]))
        except (OSError, ValueError, TypeError, KeyError, DataError):
            pass  # read anew
    found = Found()
    pieces = progress(read_pieces(sources, settings, found), "reading", tell)
    store = write_texts(folder / "texts", pieces)
    if key is not None:
        known.parent.mkdir(parents=True, exist_ok=True)
        kept = {"texts": store.folder.name, "found": asdict(found)}
        write_atomically(known, json.dumps(kept).encode())
    return Texts(store, found)


def progress(pieces: Iterator[Document], doing: str, tell: Tell) -> Iterator[Document]:
    """The same pieces; what takes long says how far it is."""
    characters, last = 0, time.monotonic()
    for piece in pieces:
        yield piece
        characters += len(piece.text)
        if time.monotonic() - last > EVERY:
            last = time.monotonic()
            tell(f"{doing}: {characters / 1e6:,.0f} million characters ...")


def _signature(sources: Sequence[Any], settings: SourceSettings) -> str | None:
    """A key of names, sizes and times of large sources; None where they must be read to be known."""
    facts: list[tuple[str, int, int]] = []
    try:
        for source in sources:
            if not isinstance(source, str | Path):
                return None
            for path in _files(str(source)):
                status = path.stat()
                facts.append((str(path.resolve()), status.st_size, status.st_mtime_ns))
    except (OSError, ValueError):
        return None
    newest = max((when for _, _, when in facts), default=0)
    if sum(size for _, size, _ in facts) < LARGE or time.time() - newest / 1e9 < SETTLED:
        return None
    told = json.dumps([__version__, list(map(str, sources)), asdict(settings), facts])
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _files(source: str) -> Iterator[Path]:
    """The files that a source is made of.

    Raises:
        ValueError: it is not made of files.
    """
    path = Path(source)
    if is_there(path) and path.is_dir():
        yield from (inner for inner in sorted(path.rglob("*")) if inner.is_file())
    elif is_there(path) and path.is_file():
        yield path
    elif source in CATALOGUE:
        download = CATALOGUE[source].download
        copy = find_copy(download) if download is not None else None
        if copy is None:
            raise ValueError("not a file")
        yield copy
    else:
        # A pipe or a broken link would match itself for ever.
        if is_there(path) or not any(character in source for character in "*?["):
            raise ValueError("not a file")
        names = sorted(iglob(source, recursive=True))  # noqa: PTH207 - absolute patterns too
        matched = [name for name in names if Path(name).is_file() or Path(name).is_dir()]
        if not matched:
            raise ValueError("not a file")
        for name in matched:
            yield from _files(name)

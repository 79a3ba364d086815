"""Sources to a cached text store, and encoding in several processes."""

import hashlib
import json
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from glob import iglob
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rhapsode import __version__
from rhapsode.config import SourceSettings
from rhapsode.data import (
    CATALOGUE,
    PIECE,
    Document,
    Encoded,
    Found,
    TextStore,
    cache_folder,
    encode_piece,
    find_copy,
    open_texts,
    read_pieces,
    write_texts,
)
from rhapsode.encoding import CountingEncoder, Encoder, encoder_from_mapping
from rhapsode.errors import DataError
from rhapsode.files import is_there, write_atomically
from rhapsode.log import log

# Bytes from which on sources are known again by size and time; smaller ones are read anew, which
# costs nothing.
LARGE = 8 << 20
# Seconds that a file must have been left alone to be known by its time.
SETTLED = 2.0
EVERY = 3.0
# Characters from which on starting processes pays.
WORTH = 300_000
# Characters of a task.
TASK = 1 << 16
_begun: list[Any] = []


@dataclass(frozen=True)
class Texts:
    """Decoded documents, and notes on reading them."""

    store: TextStore
    found: Found = field(default_factory=Found)


def prepare_texts(sources: Sequence[Any], settings: SourceSettings) -> Texts:
    """Decode the documents of sources into the cache.

    Large sources that have not changed are not read again.

    Arguments:
        sources: files, folders, glob patterns, "-", catalogue names.
        settings: how they are read.

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
    pieces = progress(read_pieces(sources, settings, found), "reading")
    store = write_texts(folder / "texts", pieces)
    if key is not None:
        known.parent.mkdir(parents=True, exist_ok=True)
        kept = {"texts": store.folder.name, "found": asdict(found)}
        write_atomically(known, json.dumps(kept).encode())
    return Texts(store, found)


def progress(pieces: Iterator[Document], doing: str) -> Iterator[Document]:
    """Pass pieces through, and log progress if that takes long."""
    characters, last = 0, time.monotonic()
    for piece in pieces:
        yield piece
        characters += len(piece.text)
        if time.monotonic() - last > EVERY:
            last = time.monotonic()
            log.info(f"{doing}: {characters / 1e6:,.0f} million characters ...")


def _signature(sources: Sequence[Any], settings: SourceSettings) -> str | None:
    """Key of large sources by names, sizes and times; None for others."""
    if not all(isinstance(source, str | Path) for source in sources):
        return None
    try:
        files = [(path, path.stat()) for source in sources for path in _files(str(source))]
        facts = [
            (str(path.resolve()), status.st_size, status.st_mtime_ns) for path, status in files
        ]
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


def workers() -> int:
    """Cores that this process may use."""
    import loky

    return loky.cpu_count()  # type: ignore[no-any-return, unused-ignore]


def piece_size(kind: type[Encoder]) -> int:
    """Characters of the pieces that an encoding is given."""
    return TASK if kind.parallel == "processes" else PIECE


def counted(
    learner: type[Encoder],
    pieces: Iterable[Document],
    settings: Mapping[str, Any],
    characters: int,
) -> Encoder:
    """Learn an encoder on pieces of text, in parallel if faster.

    Arguments:
        learner: the encoding.
        pieces: training data.
        settings: of the encoding.
        characters: about how much there is.
    """
    if _alone(learner, characters) or not issubclass(learner, CountingEncoder):
        return learner.learn((piece.text for piece in pieces), settings)
    counts = learner.count([], settings)  # bad settings are an error here, not in another process
    tasks = (([piece.text for piece in group], dict(settings)) for group in _groups(pieces))
    for found in _in_order(learner.count, tasks):
        counts.update(found)
    return learner.from_counts(counts, settings)


def encoded(
    encoder: Encoder, characters: int
) -> Callable[[Iterator[Document]], Iterator[tuple[Document, Encoded]]] | None:
    """Function that encodes pieces in parallel; None if that is not faster.

    Arguments:
        encoder: the encoder.
        characters: about how much there is.
    """
    if _alone(type(encoder), characters):
        return None

    def each(pieces: Iterator[Document]) -> Iterator[tuple[Document, Encoded]]:
        # A worker reads the encoder once, not with every task.
        with tempfile.TemporaryDirectory(prefix="rhapsode-") as folder:
            file = Path(folder) / "encoder.json"
            file.write_text(json.dumps(encoder.to_mapping()), encoding="utf-8")
            tasks = ((str(file), group) for group in _groups(pieces))
            for done in _in_order(_encode, tasks):
                yield from done

    return each


def release() -> None:
    """End the processes, if there are any."""
    while _begun:
        _begun.pop().shutdown(wait=True, kill_workers=True)


def _alone(kind: type[Encoder], characters: int) -> bool:
    return (
        characters < WORTH
        or kind.parallel != "processes"
        or find_spec("loky") is None
        or workers() == 1
    )


def _in_order(work: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """Results in the order of tasks, with few tasks pending.

    The processes and what they have loaded are kept for the next call, until `release`.
    """
    # A fork of a process with threads may hang, and multiprocessing's own fresh processes run the
    # user's script again unless it guards against that; loky's do neither.
    import loky

    pool = loky.get_reusable_executor(workers(), timeout=60)
    _begun.append(pool)
    waiting: deque[Future[Any]] = deque()
    for task in tasks:
        waiting.append(pool.submit(work, *task))
        if len(waiting) > 4 * workers():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _groups(pieces: Iterable[Document]) -> Iterator[list[Document]]:
    group: list[Document] = []
    size = 0
    for piece in pieces:
        group.append(piece)
        size += len(piece.text)
        if size >= TASK:
            yield group
            group, size = [], 0
    if group:
        yield group


@lru_cache(maxsize=1)
def _read_encoder(file: str) -> Encoder:
    return encoder_from_mapping(json.loads(Path(file).read_text(encoding="utf-8")))


def _encode(file: str, group: list[Document]) -> list[tuple[Document, Encoded]]:
    encode = _read_encoder(file).encode
    return [(piece, encode_piece(piece, encode)) for piece in group]

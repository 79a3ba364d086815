"""Encoding and counting in several processes, for encoders whose work is slow Python."""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rhapsode.data import PIECE, Document, Encoded, encode_piece
from rhapsode.encoding import CountingEncoder, Encoder, encoder_from_mapping

__all__ = ["counted", "encoded", "piece_size", "release", "workers"]

WORTH = 300_000
"""Characters from which on starting processes pays."""
TASK = 1 << 16
"""Characters of a task."""

_begun: list[Any] = []


def workers() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def piece_size(kind: type[Encoder]) -> int:
    """Characters of the pieces that an encoding is given."""
    return TASK if kind.parallel == "processes" else PIECE


def counted(
    learner: type[Encoder],
    pieces: Iterable[Document],
    settings: Mapping[str, Any],
    characters: int,
) -> Encoder:
    """An encoder learnt on pieces of text; counting is shared among processes where that pays.

    Arguments:
        learner: the encoding.
        pieces: what to learn from.
        settings: of the encoding.
        characters: about how much there is.
    """
    if _alone(learner, characters) or not issubclass(learner, CountingEncoder):
        return learner.learn((piece.text for piece in pieces), settings)
    counts: Counter[str] = Counter()
    learner.count([], settings)  # bad settings are an error here, not in another process
    tasks = ((learner, group, dict(settings)) for group in _groups(pieces))
    for found in _in_order(_pool(), _count, tasks):
        counts.update(found)
    return learner.from_counts(counts, settings)


def encoded(
    encoder: Encoder, characters: int
) -> Callable[[Iterator[Document]], Iterator[tuple[Document, Encoded]]] | None:
    """What encodes pieces in several processes, in order; None where that does not pay.

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
            for done in _in_order(_pool(), _encode, tasks):
                yield from done

    return each


def _pool() -> Executor:
    """Processes that stay for the next task, with what they have loaded, until `release`."""
    # A fork of a process with threads may hang, and multiprocessing's own fresh processes run the user's script
    # again unless it guards against that; loky's do neither.
    import loky

    _begun.append(loky.get_reusable_executor(workers(), timeout=60))
    pool: Executor = _begun[-1]
    return pool


def release() -> None:
    """End the processes, if there are any."""
    while _begun:
        _begun.pop().shutdown(wait=True, kill_workers=True)


def _alone(kind: type[Encoder], characters: int) -> bool:
    """Whether other processes would not pay, or cannot be had."""
    small = workers() == 1 or characters < WORTH
    return small or kind.parallel != "processes" or find_spec("loky") is None


def _in_order(
    pool: Executor, work: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]
) -> Iterator[Any]:
    """Results in the order of tasks, of which only a few wait at a time."""
    waiting: deque[Future[Any]] = deque()
    for task in tasks:
        waiting.append(pool.submit(work, *task))
        if len(waiting) > 4 * workers():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _groups(pieces: Iterable[Document]) -> Iterator[list[Document]]:
    """Pieces, several short ones together."""
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


def _count(
    learner: type[CountingEncoder], group: list[Document], settings: dict[str, Any]
) -> Counter[str]:
    return learner.count([piece.text for piece in group], settings)


@lru_cache(maxsize=1)
def _read_encoder(file: str) -> Encoder:
    return encoder_from_mapping(json.loads(Path(file).read_text(encoding="utf-8")))


def _encode(file: str, group: list[Document]) -> list[tuple[Document, Encoded]]:
    encoder = _read_encoder(file)
    return [(piece, encode_piece(piece, encoder.encode)) for piece in group]

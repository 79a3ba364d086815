"""Long texts as documents in parts, and the beginnings of texts."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rhapsode.data.document import Document

T = TypeVar("T")
# Characters from which on a text is cut behind its next line end.
PIECE = 4 << 20


def chain(first: T, rest: Iterator[T]) -> Iterator[T]:
    """One, then the rest."""
    yield first
    yield from rest


def first_lines(chunks: Iterable[str], limit: int) -> Iterator[str]:
    """Text up to its Nth line end."""
    for chunk in chunks:
        lines = chunk.count("\n")
        if lines < limit:
            limit -= lines
            yield chunk
            continue
        end = -1
        for _ in range(limit):
            end = chunk.index("\n", end + 1)
        yield chunk[: end + 1]
        return


def cut(name: str, chunks: Iterable[str], prompt: int = 0) -> Iterator[Document]:
    """Text in documents of about PIECE characters, marked as parts of one."""
    waiting, opening = "", True
    for chunk in chunks:
        waiting += chunk
        while (end := _end(waiting, ended=False)) is not None:
            given = min(prompt, end)
            yield Document(waiting[:end], name, complete=False, opening=opening, prompt=given)
            waiting, opening, prompt = waiting[end:], False, prompt - given
    while (end := _end(waiting, ended=True)) is not None:
        given = min(prompt, end)
        yield Document(waiting[:end], name, complete=False, opening=opening, prompt=given)
        waiting, opening, prompt = waiting[end:], False, prompt - given
    if waiting:
        yield Document(waiting, name, opening=opening, prompt=min(prompt, len(waiting)))


def _end(text: str, *, ended: bool) -> int | None:
    """Where to cut; None if there is nothing to cut off yet, for something must be left behind it."""
    if len(text) <= PIECE:
        return None
    end = text.find("\n", PIECE - 1, 2 * PIECE) + 1
    if not end:
        if len(text) < 2 * PIECE and not ended:
            return None
        end = PIECE + (text[PIECE - 1 : PIECE + 1] == "\r\n")
    return end if end < len(text) else None

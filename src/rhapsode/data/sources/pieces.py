"""Long texts as documents in parts, and the beginnings of texts."""

import itertools
from collections.abc import Iterable, Iterator

from rhapsode.data.document import Document

# Characters from which on a text is cut behind its next line end.
PIECE = 4 << 20


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
    for chunk in itertools.chain(chunks, [None]):
        waiting += chunk or ""
        while (end := _end(waiting, ended=chunk is None)) is not None:
            given = min(prompt, end)
            yield Document(waiting[:end], name, complete=False, opening=opening, prompt=given)
            waiting, opening, prompt = waiting[end:], False, prompt - given
    if waiting:
        yield Document(waiting, name, opening=opening, prompt=min(prompt, len(waiting)))


def _end(text: str, *, ended: bool) -> int | None:
    """The place of a cut that leaves something after it; None if there is none yet."""
    if len(text) <= PIECE:
        return None
    end = text.find("\n", PIECE - 1, 2 * PIECE) + 1
    if not end and (ended or len(text) >= 2 * PIECE):
        end = PIECE + (text[PIECE - 1 : PIECE + 1] == "\r\n")
    return end if 0 < end < len(text) else None

"""Text of a file, decoded block by block.

Line ends are converted and zeros dropped. Memory stays at a few blocks, whatever the size.
"""

import io
import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import closing

from rhapsode.config import SourceSettings
from rhapsode.data.document import Document
from rhapsode.data.sources.blob import Found, NotText, Open, first_bytes
from rhapsode.data.sources.decoding import (
    BLOCK,
    REPLACE,
    Steps,
    find_codec,
    first_fault,
    undecodable,
)
from rhapsode.data.sources.detection import HEAD, byte_order, detect, refuse_zeros


def text_chunks(
    opened: Open, where: str, settings: SourceSettings, found: Found, *, zeros: bool = False
) -> Iterator[str]:
    """Text of a file in chunks of about a million characters.

    The byte order mark is left out.

    Arguments:
        opened: opens the file from its start; called more than once.
        where: its name, for messages.
        settings: `text_encoding`, `errors` and `newlines` are used.
        found: collects encodings, replaced bytes and dropped zeros.
        zeros: True if text may contain zero bytes.

    Raises:
        NotText: it is empty, or not text at all.
        DataError: bytes that are no text in the encoding, unless `errors` is "replace".
        SettingsError: an unknown encoding.
    """
    auto = settings.text_encoding == "auto"
    asked = "" if auto else find_codec(settings.text_encoding)
    head = first_bytes(opened, HEAD)
    if not head:
        raise NotText("the file is empty", where=where)
    if auto:
        codec = detect(opened, head, where, settings, zeros=zeros)
    else:
        codec = byte_order(head, asked)
        if not (zeros or codec.startswith(("utf-16", "utf-32"))):
            refuse_zeros(head, where)
        if settings.errors == "skip" and (fault := first_fault(opened, codec)):
            raise undecodable(fault, codec, where)
    if codec not in {"utf-8", "ascii"}:
        found.encodings[where] = codec
    return _decode(opened, codec, where, settings, found)


def _decode(
    opened: Open, codec: str, where: str, settings: SourceSettings, found: Found
) -> Iterator[str]:
    replace = settings.errors == "replace"
    turn = io.IncrementalNewlineDecoder(None, translate=True) if settings.newlines == "lf" else None
    steps = Steps(codec, REPLACE if replace else "strict")
    dropped, first, final = 0, True, False
    with closing(opened()) as raw:
        while not final:
            block = raw.read(BLOCK)
            final = not block
            text = steps.feed(block, final=final)
            if steps.fault:
                raise undecodable(steps.fault, codec, where)
            if first and text:
                first = False
                text = text.removeprefix("\N{BYTE ORDER MARK}") if _is_unicode(codec) else text
            if "\0" in text:
                dropped += text.count("\0")
                text = text.replace("\0", "")
            if codec == "utf-7":  # the only one that lets half a pair through
                text = re.sub("[\ud800-\udfff]", "\ufffd", text)
            if turn is not None:
                text = turn.decode(text, final)
            if text:
                yield text
    if dropped:
        found.notes.append(f"{where}: {_count(dropped, 'zero byte')} dropped")
    if steps.replaced:
        found.undecodable += steps.replaced
        found.notes.append(
            f"{where}: {_count(steps.replaced, 'byte')} that "
            f"{'is' if steps.replaced == 1 else 'are'} not {codec} "
            f"replaced by U+FFFD, the first at offset {steps.first_replaced}"
        )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _is_unicode(codec: str) -> bool:
    return codec.startswith("utf") or codec == "gb18030"


# Characters from which on a text is cut after its next line end.
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
    """Position of the next cut; None if there is none yet.

    A cut leaves text after it.
    """
    if len(text) <= PIECE:
        return None
    end = text.find("\n", PIECE - 1, 2 * PIECE) + 1
    if not end and (ended or len(text) >= 2 * PIECE):
        end = PIECE + (text[PIECE - 1 : PIECE + 1] == "\r\n")
    return end if 0 < end < len(text) else None

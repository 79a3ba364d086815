"""Formats by suffix, and the text of a file in each.

A format is read in pieces where it can be, and has a limit of size where it cannot.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from rhapsode.config import SourceSettings
from rhapsode.data.sources.blob import Blob, Found, NotText, Unreadable, read_up_to
from rhapsode.data.sources.compression import bare_name
from rhapsode.data.sources.formats.conversations import (
    is_chat_export,
    messages_of_export,
    spoken_lines,
    without_stamps,
)
from rhapsode.data.sources.formats.office import docx_text, odt_text
from rhapsode.data.sources.formats.pages import epub_text, html_text
from rhapsode.data.sources.formats.portable import pdf_text
from rhapsode.data.sources.textfile import text_chunks
from rhapsode.errors import MissingExtraError

Reader = Callable[[Blob, SourceSettings, Found], Iterator[str]]

# Bytes of a file that is read whole.
MOST = 64 << 20
# Characters of RTF; what the library makes of them takes a hundred times as much memory.
MOST_RTF = 8 << 20
_DIGITS = re.compile(r"[0-9a-fA-F\s]{500,}")
_INSTEAD = {".doc": ".docx", ".pages": ".docx", ".wpd": ".docx", ".mobi": ".epub", ".azw3": ".epub",
            ".azw": ".epub", ".ppt": ".pdf", ".pptx": ".pdf", ".djvu": ".pdf"}  # fmt: skip


def suffix_of(name: str) -> str:
    """Suffix in lower case, without that of a compression."""
    return Path(bare_name(name)).suffix.lower()


def reader_of(name: str) -> tuple[str, Reader] | None:
    """The format of a file and its reader; None for plain text."""
    found = _READERS.get(suffix_of(name))
    return found and (found[0], found[1])


def better_format(name: str) -> str | None:
    """Suffix to save an unreadable format as; None for others."""
    return _INSTEAD.get(suffix_of(name))


def _whole_text(blob: Blob, settings: SourceSettings, found: Found) -> str:
    """Text of a file of limited size.

    Raises:
        Unreadable: it is larger.
    """
    with contextlib.closing(blob.open()) as raw:
        if len(read_up_to(raw, MOST + 1)) > MOST:
            raise Unreadable(
                f"more than {MOST >> 20} MB in a format that is read whole",
                where=blob.name,
                hint="split it, or read it as it stands with --formats raw",
            )
    return "".join(text_chunks(blob.open, blob.name, settings, found))


def _rtf_text(blob: Blob, settings: SourceSettings, found: Found) -> Iterator[str]:
    try:
        from striprtf.striprtf import rtf_to_text
    except ImportError:
        raise MissingExtraError("documents", "reading .rtf files") from None
    text = _whole_text(blob, settings, found)
    if not text.lstrip().startswith("{\\rtf"):
        raise Unreadable("not RTF: it does not begin with {\\rtf", where=blob.name)
    pictures = text.count("\\pict")
    text = _DIGITS.sub("", text)
    if len(text) > MOST_RTF:
        what = f"more than {MOST_RTF >> 20} MB of RTF without its pictures"
        raise Unreadable(what, where=blob.name, hint="split it, or save it as .docx")
    try:
        plain = rtf_to_text(text, errors="replace")
    except Exception as problem:  # the library raises whatever its tables raise
        raise Unreadable(f"damaged RTF ({problem})", where=blob.name) from None
    found.count("left_out", "picture", pictures)
    yield plain


def _notebook_text(blob: Blob, settings: SourceSettings, found: Found) -> Iterator[str]:
    """Sources of the cells of a notebook; outputs are left out."""
    try:
        book = json.loads(_whole_text(blob, settings, found))
        sheets = book.get("worksheets", [book])  # version 3 has them
        cells = [cell for sheet in sheets for cell in sheet["cells"]]
        sources = [cell.get("source", cell.get("input", "")) for cell in cells]
        texts = [source if isinstance(source, str) else "".join(source) for source in sources]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Unreadable("not a Jupyter notebook, or a damaged one", where=blob.name) from None
    outputs = sum(len(cell.get("outputs") or ()) for cell in cells)
    found.count("left_out", "cell output", outputs)
    yield "\n\n".join(text.strip("\n") for text in texts if text.strip())


def _subtitle_text(blob: Blob, settings: SourceSettings, found: Found) -> Iterator[str]:
    text = _whole_text(blob, settings, found)
    lines = spoken_lines(text)
    if not lines:
        raise Unreadable("no subtitle with a time in it", where=blob.name)
    yield "\n".join(lines) + "\n"


def _json_text(blob: Blob, settings: SourceSettings, found: Found) -> Iterator[str]:
    """Messages of a chat export; another JSON file as it stands."""
    chunks = text_chunks(blob.open, blob.name, settings, found)
    head = next(chunks, "")
    if not is_chat_export(head):
        yield head
        yield from chunks
        return
    text = _whole_text(blob, settings, found)
    kind, lines, left = messages_of_export(text, blob.name)
    if not kind:
        yield text
        return
    found.count("formats", kind)
    found.count("left_out", "empty message", left)
    if not lines:
        raise NotText(f"no messages with text in this {kind}", where=blob.name)
    yield "\n".join(lines) + "\n"


def _plain_text(blob: Blob, settings: SourceSettings, found: Found) -> Iterator[str]:
    chunks = text_chunks(blob.open, blob.name, settings, found)
    yield from without_stamps(chunks, found)


_READERS: dict[str, tuple[str, Reader]] = {
    ".docx": ("docx", docx_text),
    ".odt": ("odt", odt_text),
    ".rtf": ("rtf", _rtf_text),
    ".html": ("html", html_text),
    ".htm": ("html", html_text),
    ".xhtml": ("html", html_text),
    ".epub": ("epub", epub_text),
    ".pdf": ("pdf", pdf_text),
    ".ipynb": ("notebook", _notebook_text),
    ".srt": ("subtitles", _subtitle_text),
    ".vtt": ("subtitles", _subtitle_text),
    ".json": ("", _json_text),
    ".txt": ("", _plain_text),
}

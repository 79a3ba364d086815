"""Lines and paragraphs as documents, and headers of e-books."""

import re
from collections.abc import Iterator
from dataclasses import replace

from rhapsode.config import SourceSettings
from rhapsode.data.document import Document
from rhapsode.data.sources.blob import Found
from rhapsode.data.sources.textfile import PIECE
from rhapsode.errors import DataError, SettingsError

_ENDS = {"lines": re.compile(r"\n"), "paragraphs": re.compile(r"\n(?:[ \t\r]*\n)+")}
# Project Gutenberg's, since 2003 and before.
_BOOK = re.compile(
    r"^[ \t]*(?:(?P<start>\*\*\* ?START OF TH(?:E|IS) PROJECT GUTENBERG[^*]*\*\*\*"
    r"|\*END\*? ?THE SMALL PRINT!.*\*END\*)"
    r"|\*\*\* ?END OF TH(?:E|IS) PROJECT GUTENBERG[^*]*\*\*\*"
    r"|End of (?:the |this )?Project Gutenberg.*)[ \t]*\n?",
    re.MULTILINE | re.IGNORECASE,
)


def read_units(
    pieces: Iterator[Document], settings: SourceSettings, found: Found
) -> Iterator[Document]:
    """Texts as `documents` says, without headers and licences if `boilerplate` says so."""
    pieces = _books(pieces, settings, found)
    return pieces if settings.documents == "files" else _divided(pieces, settings.documents)


def _divided(pieces: Iterator[Document], unit: str) -> Iterator[Document]:
    """Lines or paragraphs that are not blank, as documents of their own."""
    rest, number = "", 0
    for piece in pieces:
        if piece.prompt:
            raise SettingsError(
                f"pairs are not divided into {unit}",
                where="source.documents",
                hint="leave it out: each record is one text",
            )
        if piece.opening:
            rest, number = "", 0
        texts = _ENDS[unit].split(rest + piece.text)
        rest = "" if piece.complete else texts.pop()
        for text in texts:
            number += 1
            if (bare := text.strip("\r\n")) and not bare.isspace():
                yield Document(bare, f"{piece.name}#{number}")
        if len(rest) > 2 * PIECE:
            raise DataError(
                f"one of its {unit} has more than {2 * PIECE:,} characters",
                where=piece.name,
                hint="read it as one text, with --documents files",
            )


def _books(
    pieces: Iterator[Document], settings: SourceSettings, found: Found
) -> Iterator[Document]:
    """Documents whose headers and licences of e-books are counted or left out.

    A file may hold several books.
    """
    outside = False
    for piece in pieces:
        marked = "GUTENBERG" in piece.text or "Gutenberg" in piece.text or "*END*" in piece.text
        marks = list(_BOOK.finditer(piece.text)) if marked else []
        if piece.opening:
            outside = bool(marks) and marks[0]["start"] is not None
        if not marks and not outside:
            yield piece
            continue
        kept: list[str] = []
        at = 0
        for mark in marks:
            if outside and mark["start"] is not None:
                at, outside = mark.end(), False
            elif not outside and mark["start"] is None:
                kept.append(piece.text[at : mark.start()])
                outside = True
        if not outside:
            kept.append(piece.text[at:])
        text = "".join(kept)
        name = "headers and licences of Project Gutenberg"
        found.count("boilerplate", name, len(piece.text) - len(text))
        yield replace(piece, text=text) if settings.boilerplate == "drop" else piece

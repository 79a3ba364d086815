"""Text of Word and OpenDocument files, read as a stream of XML.

Memory stays at a paragraph, whatever a file unpacks to.
"""

import contextlib
import itertools
import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from rhapsode.config import SourceSettings
from rhapsode.data.sources.blob import Blob, Found, Unreadable, in_any_order, told

# Bytes that the parts of a file may unpack to.
UNPACKED = 256 << 20
_BLOCK = 1 << 16


@dataclass(frozen=True)
class _Words:
    """Names of the elements of a format, without their name spaces.

    Arguments:
        blocks: paragraphs.
        skipped: elements left out with all that they contain.
        counted: from element to the name it is counted under, as it is left out.
        characters: elements that stand for characters.
        text: the only element with text in it; any if empty.
    """

    blocks: frozenset[str]
    skipped: frozenset[str]
    counted: dict[str, str]
    characters: dict[str, str]
    text: str = ""


_DOCX = _Words(
    frozenset({"p"}),
    frozenset({"del", "moveFrom", "Fallback", "pPr", "rPr", "sectPr", "tblPr", "tcPr", "trPr"}),
    {"pic": "picture", "imagedata": "picture", "OLEObject": "embedded object"},
    {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"},
    "t",
)
_ODT = _Words(
    frozenset({"p", "h"}),
    frozenset(
        {"tracked-changes", "annotation", "note-citation", "table-of-content", "desc", "title"}
    ),
    {"image": "picture", "object": "embedded object", "annotation": "comment"},
    {"tab": "\t", "line-break": "\n"},
)
_CELLS = frozenset({"tc", "table-cell"})
_ROWS = frozenset({"tr", "table-row"})
_TABLES = frozenset({"tbl", "table"})


@dataclass
class _Flat:
    """Target of an XML parser that keeps the text of paragraphs, rows and notes."""

    words: _Words
    found: Found
    done: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._names: list[str] = []
        self._line: list[str] = []
        self._cells: list[str] = []
        self._skipping = self._in_note = self._rows = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        self._names.append(name)
        if name in self.words.counted:
            self.found.count("left_out", self.words.counted[name])
        if self._skipping or name in self.words.skipped:
            self._skipping += 1
        elif name in self.words.blocks and not (self._rows or self._in_note):
            self._close(self._line)
        elif name in self.words.characters:
            self._line.append(self.words.characters[name])
        elif name == "s":  # spaces of OpenDocument
            count = next((n for key, n in attributes.items() if key.endswith("}c")), "1")
            self._line.append(" " * min(1000, int(count) if count.isdecimal() else 1))
        elif name == "note":
            self._in_note += 1
            self._line, self._kept = [], self._line
        elif name in _ROWS:
            self._rows += 1

    def data(self, text: str) -> None:
        if self._skipping or not self._names:
            return
        if self.words.text:
            if self._names[-1] == self.words.text:
                self._line.append(text)
        elif self._names[-1] not in {"text", "body", "table-row", "list-item"}:
            self._line.append(re.sub(r"\s+", " ", text))

    def end(self, tag: str) -> None:
        name = self._names.pop()
        if self._skipping:
            self._skipping -= 1
        elif name == "note" and self._in_note:
            self._in_note -= 1
            self._close(self._line, self.notes)
            self._line = self._kept
        elif name in _CELLS and self._rows:
            self._cells.append(" ".join("".join(self._line).split()))
            self._line.clear()
        elif name in _ROWS:
            self._rows -= 1
            self._close(["\t".join(self._cells)], gap="\n")
            self._cells.clear()
        elif name in _TABLES and not self._rows:
            self.done.append("\n")
        elif name in self.words.blocks:
            if self._rows or self._in_note:
                self._line.append(" ")
            else:
                self._close(self._line)

    def close(self) -> None:
        self._close(self._line)

    def _close(self, line: list[str], into: list[str] | None = None, gap: str = "\n\n") -> None:
        text = "".join(line).strip()
        line.clear()
        if text:
            (self.done if into is None else into).append(text + gap)


def docx_text(blob: Blob, settings: SourceSettings, found: Found) -> Iterator[str]:
    """Paragraphs, rows of tables and notes of a Word file.

    Deleted text, comments, page headers and pictures are left out.

    Raises:
        Unreadable: it is damaged, protected, or unpacks to more than the limit.
    """
    with _parts(blob) as archive:
        names = archive.namelist()
        main = "word/document.xml"
        if main not in names:
            main = next((name for name in names if name.endswith("/document.xml")), "")
        notes = [name for name in names if re.fullmatch(r"word/(foot|end)notes\.xml", name)]
        left = sum(bool(re.fullmatch(r"word/(header|footer)\d*\.xml", name)) for name in names)
        found.count("left_out", "page header", left)
        found.count("left_out", "comment file", "word/comments.xml" in names)
        yield from _text(archive, [main, *notes], _DOCX, blob, found)


def odt_text(blob: Blob, settings: SourceSettings, found: Found) -> Iterator[str]:
    """Paragraphs, rows of tables and notes of an OpenDocument text.

    Raises:
        Unreadable: it is damaged, protected, or unpacks to more than the limit.
    """
    with _parts(blob) as archive:
        yield from _text(archive, ["content.xml"], _ODT, blob, found)


@contextlib.contextmanager
def _parts(blob: Blob) -> Iterator[zipfile.ZipFile]:
    with in_any_order(blob) as file, unpacked_parts(file, blob.name) as archive:
        yield archive


@contextlib.contextmanager
def unpacked_parts(file: BinaryIO, where: str) -> Iterator[zipfile.ZipFile]:
    """Open a document that is a zip file of limited size.

    A part never unpacks to more than its declared size.

    Raises:
        Unreadable: damaged, or too large.
    """
    with told(where):
        try:
            archive = zipfile.ZipFile(file)
        except zipfile.BadZipFile:
            encrypted = file.seek(0) == 0 and file.read(4) == b"\xd0\xcf\x11\xe0"
            what = "protected by a password, or of an old format" if encrypted else "damaged"
            raise Unreadable(what, where=where, hint="open it and save it again") from None
    with archive:
        size = sum(
            part.file_size
            for part in archive.infolist()
            if re.search(r"\.(xml|rels|x?html?|opf|ncx|bin|vml)$", part.filename.lower())
        )
        if size > UNPACKED:
            raise Unreadable(
                f"its text unpacks to {size / 1e6:,.0f} MB, more than {UNPACKED >> 20} MB",
                where=where,
                hint="split it, or save it as plain text",
            )
        yield archive


def _text(
    archive: zipfile.ZipFile, parts: Sequence[str], words: _Words, blob: Blob, found: Found
) -> Iterator[str]:
    flat = _Flat(words, found)
    for name in parts:
        parser = ET.XMLParser(target=flat)  # noqa: S314
        try:
            with told(blob.name), archive.open(name) as part:
                for block in itertools.chain(iter(lambda: part.read(_BLOCK), b""), [None]):
                    parser.feed(block) if block else parser.close()
                    text = "".join(flat.done)
                    flat.done.clear()
                    if text:
                        yield text
        except KeyError:
            what = f"damaged: there is no part {name or 'with its text'!r}"
            raise Unreadable(what, where=blob.name) from None
        except ET.ParseError as problem:
            raise Unreadable(f"damaged: {problem}", where=blob.name) from None
    yield "".join(flat.notes)

"""Text of PDF files, page by page."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rhapsode.config import SourceSettings
from rhapsode.data.sources.blob import Blob, Found, NotText, Unreadable, in_any_order
from rhapsode.errors import MissingExtraError

# Characters of a file; its pages are held to find what they have in common.
MOST = 64_000_000
# Pages from which on a line that most have is taken for a header.
FEWEST = 4
_PASSWORD = 4
_NUMBER = re.compile(r"^\W*\d+\b|\b\d+\W*$|^[ivxlc]+$")
_HYPHEN = "\ufffe"  # where a word is divided at the end of a line


def pdf_text(blob: Blob, settings: SourceSettings, found: Found) -> Iterator[str]:
    """Lines of the pages; words divided at line ends are joined.

    Headers and page numbers are counted, and left out if `boilerplate` says so.

    Raises:
        Unreadable: it is damaged, protected, or longer than the limit.
        NotText: its pages are pictures.
        MissingExtraError: the library is not installed.
    """
    try:
        import pypdfium2
        import pypdfium2.raw as pdfium
    except ImportError:
        raise MissingExtraError("documents", "reading .pdf files") from None
    pages: list[list[str]] = []
    size = pictures = 0
    with in_any_order(blob) as file:
        try:
            book = pypdfium2.PdfDocument(file)
        except pypdfium2.PdfiumError as problem:
            locked = getattr(problem, "err_code", None) == _PASSWORD
            what = "protected by a password" if locked else "a damaged PDF"
            raise Unreadable(what, where=blob.name, hint="open it and save it again") from None
        try:
            for number in range(len(book)):
                page = book[number]
                text = _page_text(page)
                pictures += sum(1 for _ in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE]))
                page.close()
                pages.append(text.splitlines())
                size += len(text)
                if size > MOST:
                    what = f"more than {MOST:,} characters"
                    raise Unreadable(what, where=blob.name, hint="split it")
        except pypdfium2.PdfiumError as problem:
            what = f"a damaged PDF: page {len(pages) + 1}: {problem}"
            raise Unreadable(what, where=blob.name) from None
        finally:
            book.close()
    found.count("left_out", "picture", pictures)
    if not any(map(any, pages)):
        what = f"{len(pages)} pages without text"
        raise NotText(what, where=blob.name, hint="recognise its characters with an OCR program")
    kept = list(_without_headers(pages))
    around = sum(map(len, itertools.chain(*pages))) - sum(map(len, itertools.chain(*kept)))
    found.count("boilerplate", "headers and numbers of PDF pages", around)
    for lines in kept if settings.boilerplate == "drop" else pages:
        yield "\n".join(lines) + "\n"


def _page_text(page: Any) -> str:
    lines = page.get_textpage()
    text = str(lines.get_text_range())
    lines.close()
    return re.sub(r"[ \t]*(?:\r\n|\r)", "\n", text.replace(_HYPHEN, ""))


def _without_headers(pages: list[list[str]]) -> Iterator[list[str]]:
    """Pages without first and last lines that a third of them share, digits apart."""
    shared = Counter(line for lines in pages for line in {*map(_bare, _outer(lines))})
    least = max(FEWEST, len(pages) // 3)
    for lines in pages:
        left, end = 0, len(lines)
        while left < min(2, end) and shared[_bare(lines[left])] >= least:
            left += 1
        while end > max(left, len(lines) - 2) and shared[_bare(lines[end - 1])] >= least:
            end -= 1
        yield lines[left:end]


def _outer(lines: list[str]) -> list[str]:
    return [*lines[:2], *lines[-2:]]


def _bare(line: str) -> str:
    """A line without the page number that it may begin or end with."""
    line = line.strip().lower()
    return _NUMBER.sub("#", line)

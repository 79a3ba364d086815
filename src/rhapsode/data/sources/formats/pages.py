"""Text of web pages, and of electronic books, which contain pages."""

import codecs
import contextlib
import posixpath
import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote

from rhapsode.config import SourceSettings
from rhapsode.data.sources.blob import Blob, Found, Unreadable, in_any_order, read_up_to, told
from rhapsode.data.sources.formats.office import unpacked_parts
from rhapsode.data.sources.textfile import text_chunks
from rhapsode.errors import MissingExtraError

# Bytes of a page; its tree takes up to seventy times as much memory.
MOST = 16 << 20
# What surrounds the text of a page: navigation, footers, notices and adverts.
BOILERPLATE = (
    "nav", "footer", "aside", "body > header", "form", "button", "dialog",
    '[role="navigation"]', '[role="banner"]', '[role="contentinfo"]', '[role="dialog"]',
    '[class*="cookie"]', '[id*="cookie"]', '[class*="consent"]', '[id*="consent"]',
    '[class*="navbar"]', '[id*="navbar"]', '[class*="breadcrumb"]', '[class*="newsletter"]',
    ".nav", "#nav", ".menu", "#menu", ".navigation", "#navigation", ".sidebar", "#sidebar",
    ".footer", "#footer", ".share", ".social", ".skip-link", ".advert", ".advertisement",
)  # fmt: skip
_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
_EMPTY = re.compile(r"<(?!br|hr|img|input|meta|link|col|wbr)(\w+)((?:\s[^<>]*)?)/>", re.IGNORECASE)
_LEFT = {"picture": re.compile(r"<(?:img|svg|image)\b", re.IGNORECASE),
         "script": re.compile(r"<script\b", re.IGNORECASE)}  # fmt: skip


def html_text(blob: Blob, settings: SourceSettings, found: Found) -> Iterator[str]:
    """Visible text of a page, its paragraphs separated by blank lines.

    Raises:
        Unreadable: it is larger than the limit.
        MissingExtraError: the parser is not installed.
    """
    with contextlib.closing(blob.open()) as raw:
        page = read_up_to(raw, MOST + 1)
    if len(page) > MOST:
        raise Unreadable(
            f"a page of more than {MOST >> 20} MB",
            where=blob.name,
            hint="split it, or read it with its tags by --formats raw",
        )
    declared = _CHARSET.search(page[:2048])
    if settings.text_encoding == "auto" and declared:
        with contextlib.suppress(LookupError):
            codec = codecs.lookup(declared[1].decode("ascii")).name
            if codec != "utf-8" and not _is_utf8(page):
                settings = replace(settings, text_encoding=codec)
    yield visible_text("".join(text_chunks(blob.open, blob.name, settings, found)), settings, found)


def _is_utf8(page: bytes) -> bool:
    try:
        page.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def visible_text(page: str, settings: SourceSettings, found: Found) -> str:
    """Text of an HTML page, without scripts, styles and pictures.

    Text around the main part is counted, and left out if `boilerplate` says so.

    Raises:
        MissingExtraError: the parser is not installed.
    """
    try:
        from resiliparse.extract.html2text import extract_plain_text
    except ImportError:
        raise MissingExtraError("documents", "reading web pages and e-books") from None
    for name, pattern in _LEFT.items():
        found.count("left_out", name, len(pattern.findall(page)))
    if page.lstrip()[:5] == "<?xml":  # there, <script/> is closed
        page = _EMPTY.sub(r"<\1\2></\1>", page)

    def text(skipped: tuple[str, ...]) -> str:
        return str(
            extract_plain_text(
                page, preserve_formatting=True, alt_texts=False, skip_elements=list(skipped)
            )
        )

    whole, main = text(()), text(BOILERPLATE)
    around = len(whole) - len(main)
    # A page that is all navigation by these names is read as it is.
    if around > 0 and main.strip():
        found.count("boilerplate", "around the text of web pages", around)
        if settings.boilerplate == "drop":
            whole = main
    return f"{whole.strip()}\n" if whole.strip() else ""


def epub_text(blob: Blob, settings: SourceSettings, found: Found) -> Iterator[str]:
    """Chapters of a book, in reading order.

    Raises:
        Unreadable: it is damaged, protected, or a part is larger than the limit.
        MissingExtraError: the parser of pages is not installed.
    """
    with in_any_order(blob) as file, unpacked_parts(file, blob.name) as archive:
        names = set(archive.namelist())
        if "META-INF/encryption.xml" in names and b"xmlenc#aes" in _read(
            archive, "META-INF/encryption.xml", blob
        ):
            raise Unreadable("protected against copying", where=blob.name)
        package = next(
            (
                entry.get("full-path", "")
                for entry in _xml(archive, "META-INF/container.xml", blob).iter()
                if entry.tag.endswith("}rootfile")
            ),
            "",
        )
        entries = list(_xml(archive, package, blob).iter())
        items = {entry.get("id"): entry for entry in entries if entry.tag.endswith("}item")}
        spine = [entry.get("idref") for entry in entries if entry.tag.endswith("}itemref")]
        found.count(
            "left_out",
            "picture",
            sum((item.get("media-type") or "").startswith("image/") for item in items.values()),
        )
        gap = ""
        for item in (items[name] for name in spine if name in items):
            if "nav" in (item.get("properties") or "").split():
                found.count("left_out", "contents page")
                continue
            href = unquote((item.get("href") or "").partition("#")[0])
            path = posixpath.normpath(posixpath.join(posixpath.dirname(package), href))
            raw = _read(archive, path, blob)
            wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            page = raw.decode("utf-16" if wide else "utf-8", "replace")
            text = visible_text(page.removeprefix("\N{BYTE ORDER MARK}"), settings, found)
            if text:
                yield gap + text
                gap = "\n"


def _read(archive: zipfile.ZipFile, name: str, blob: Blob) -> bytes:
    try:
        if archive.getinfo(name).file_size > MOST:
            what = f"its part {name!r} is larger than {MOST >> 20} MB"
            raise Unreadable(what, where=blob.name)
        with told(blob.name):
            return archive.read(name)
    except KeyError:
        raise Unreadable(f"damaged: there is no part {name!r}", where=blob.name) from None


def _xml(archive: zipfile.ZipFile, name: str, blob: Blob) -> ET.Element:
    try:
        return ET.fromstring(_read(archive, name, blob))  # noqa: S314
    except (ET.ParseError, ValueError) as problem:
        raise Unreadable(f"damaged: {name}: {problem}", where=blob.name) from None

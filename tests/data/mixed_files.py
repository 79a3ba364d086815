"""A writer's folder: files of all the formats, made by the libraries that usually write them.

`python -m tests.data.mixed_files FOLDER` makes one.
"""

import datetime as dt
import json
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LINES = [
    f"On the {day}th day the {who} {did} the {what} by the river."
    for day in range(4, 20)
    for who, did, what in (
        ("fox", "saw", "crow"),
        ("miller", "sold", "sack of flour"),
        ("girl", "followed", "path"),
    )
]
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def write_docx(path: Path, lines: Iterable[str]) -> None:
    """A Word file with a heading, a table, a picture and a page header."""
    import docx

    book = docx.Document()
    book.sections[0].header.paragraphs[0].text = "Running head"
    book.add_heading("A heading", 1)
    for line in lines:
        first, _, rest = line.partition(" ")
        paragraph = book.add_paragraph(first)
        paragraph.add_run(f" {rest}").bold = True
    table = book.add_table(2, 2)
    for place, word in enumerate(("cell one", "cell two", "cell three", "cell four")):
        table.cell(place // 2, place % 2).text = word
    picture = path.with_suffix(".png.tmp")
    picture.write_bytes(PNG)
    book.add_picture(str(picture))
    picture.unlink()
    book.add_paragraph("After the table.")
    book.save(str(path))


def write_odt(path: Path, lines: Iterable[str]) -> None:
    """An OpenDocument text with a note and a table."""
    from odf.opendocument import OpenDocumentText
    from odf.table import Table, TableCell, TableRow
    from odf.text import H, Note, NoteBody, NoteCitation, P

    book = OpenDocumentText()
    book.text.addElement(H(outlinelevel=1, text="A heading"))
    for line in lines:
        book.text.addElement(P(text=line))
    noted = P(text="A noted word")
    note = Note(noteclass="footnote")
    note.addElement(NoteCitation(text="1"))
    body = NoteBody()
    body.addElement(P(text="The note itself."))
    note.addElement(body)
    noted.addElement(note)
    noted.addText(" goes on.")
    book.text.addElement(noted)
    table = Table()
    for words in (("cell one", "cell two"), ("cell three", "cell four")):
        row = TableRow()
        for word in words:
            cell = TableCell()
            cell.addElement(P(text=word))
            row.addElement(cell)
        table.addElement(row)
    book.text.addElement(table)
    book.save(str(path))


def write_pdf(path: Path, lines: Iterable[str], pages: int = 6) -> None:
    """A PDF with a running head and page numbers."""
    from fpdf import FPDF

    book = FPDF()
    book.set_font("Helvetica", size=11)
    book.set_auto_page_break(auto=False)
    texts = list(lines)
    for page in range(pages):
        book.add_page()
        book.cell(0, 8, "Running head", align="C")
        book.ln(10)
        for line in texts[page::pages]:
            book.multi_cell(0, 6, line)
            book.ln(0)
        book.set_y(-20)
        book.cell(0, 8, str(page + 1), align="C")
    book.output(str(path))


def page(lines: Iterable[str], *, around: bool = True) -> str:
    """A web page with navigation, a cookie notice, a script and a picture."""
    text = "".join(f"<p>{line}</p>\n" for line in lines)
    before = (
        '<nav><a href="/">Home</a> <a href="/about">About us</a></nav>'
        '<div id="cookie-notice">We use cookies. <button>Accept all</button></div>'
    )
    after = "<footer>All rights reserved.</footer>"
    return (
        "<!DOCTYPE html><html><head><meta charset='utf-8'><title>T</title><style>p {}</style>"
        f"<script>let a = '<p>no</p>';</script></head><body>{before if around else ''}"
        f"<main>{text}<img src='a.png' alt='a fox'></main>{after if around else ''}</body></html>"
    )


def write_html(path: Path, lines: Iterable[str]) -> None:
    path.write_text(page(lines), encoding="utf-8")


def write_epub(path: Path, chapters: Iterable[Iterable[str]]) -> None:
    """A book of chapters, a table of contents and a cover."""
    names = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        book.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
        )
        for number, lines in enumerate(chapters, 1):
            names.append(f"part {number}.xhtml")
            text = "".join(f"<p>{line}</p>" for line in lines)
            book.writestr(
                f"OEBPS/{names[-1]}",
                '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/>'
                f'<script src="a.js"/></head><body><a id="top"/>{text}</body></html>',
            )
        book.writestr("OEBPS/nav.xhtml", "<html><body><p>Contents</p></body></html>")
        book.writestr("OEBPS/cover.png", PNG)
        items = "".join(
            f'<item id="c{n}" href="{name.replace(" ", "%20")}" media-type="application/xhtml+xml"/>'
            for n, name in enumerate(names)
        )
        order = "".join(f'<itemref idref="c{n}"/>' for n in range(len(names)))
        book.writestr(
            "OEBPS/book.opf",
            '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
            '<item id="nav" href="nav.xhtml" properties="nav"/>'
            f'<item id="cover" href="cover.png" media-type="image/png"/>{items}</manifest>'
            f'<spine><itemref idref="nav"/>{order}</spine></package>',
        )


def write_rtf(path: Path, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\\par\n" for line in lines)
    path.write_text(
        r"{\rtf1\ansi\ansicpg1252{\fonttbl\f0 Arial;}{\info{\title T}}\f0 Caf\'e9 \u8212- "
        + text + r"{\pict\pngblip 89504e47}}",
        encoding="ascii",
    )  # fmt: skip


def write_srt(path: Path, lines: Iterable[str]) -> None:
    cues = (
        f"{n}\n00:00:{n % 60:02},000 --> 00:00:{n % 60:02},900\n<i>{line}</i>\n\n"
        for n, line in enumerate(lines, 1)
    )
    path.write_text("".join(cues), encoding="utf-8-sig", newline="\r\n")


def write_vtt(path: Path, lines: Iterable[str]) -> None:
    cues = (
        f"00:{n % 60:02}.000 --> 00:{n % 60:02}.900 align:start\n<v Ann>{line}</v>\n\n"
        for n, line in enumerate(lines)
    )
    head = "WEBVTT\n\nNOTE a remark\nof two lines\n\nSTYLE\n::cue { color: red }\n\n"
    path.write_text(head + "".join(cues), encoding="utf-8")


def write_notebook(path: Path, lines: Iterable[str]) -> None:
    cells: list[dict[str, Any]] = [{"cell_type": "markdown", "source": ["# A heading\n", "text"]}]
    for line in lines:
        out = [{"output_type": "stream", "text": ["printed"]}]
        cells.append({"cell_type": "code", "source": f"say({line!r})", "outputs": out})
    path.write_text(json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}), encoding="utf-8")


def write_workbook(path: Path, rows: dict[str, list[list[Any]]]) -> None:
    """A workbook in the format of its suffix, with the sheets given and an empty one."""
    if path.suffix == ".xlsx":
        import openpyxl

        book = openpyxl.Workbook()
        book.remove(book.active)
        for name, lines in rows.items():
            sheet = book.create_sheet(name)
            for line in lines:
                sheet.append(line)
        book.create_sheet("Empty")
        book.save(path)
        return
    from odf.opendocument import OpenDocumentSpreadsheet
    from odf.table import Table, TableCell, TableRow
    from odf.text import P

    book = OpenDocumentSpreadsheet()
    for name, lines in rows.items():
        table = Table(name=name)
        for line in lines:
            row = TableRow()
            for value in line:
                cell = TableCell(valuetype="string")
                if isinstance(value, dt.date):
                    cell = TableCell(valuetype="date", datevalue=value.isoformat())
                elif isinstance(value, int | float):
                    cell = TableCell(valuetype="float", value=value)
                cell.addElement(P(text=str(value)))
                row.addElement(cell)
            table.addElement(row)
        book.spreadsheet.addElement(table)
    book.save(str(path))


CHAT = (
    "[31.12.20, 22:15:03] Ann: Messages are encrypted.\n"
    "31/12/2020, 22:16 - Ann joined\n"
    "31/12/2020, 22:17 - Ann: See you at 10:30 - or so: fine?\n"
    "31/12/2020, 22:18 - Ben: <Media omitted>\n"
    "12/31/20, 10:19\u202fPM - Ben: yes\nof course\n"
    "[2020-12-31, 22:20:00] \u200eAnn: \u200eimage omitted\n"
)


def write_folder(folder: Path) -> None:
    """Thirty files of fourteen formats."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(3):
        part = LINES[number::3]
        write_docx(folder / f"story-{number}.docx", part)
        write_odt(folder / f"draft-{number}.odt", part)
        write_html(folder / f"page-{number}.html", part)
        write_pdf(folder / f"print-{number}.pdf", part)
        write_epub(folder / f"book-{number}.epub", (part[:8], part[8:]))
        write_rtf(folder / f"old-{number}.rtf", part)
        write_srt(folder / f"film-{number}.srt", part)
    write_vtt(folder / "talk.vtt", LINES[:9])
    write_notebook(folder / "work.ipynb", LINES[:6])
    (folder / "notes.md").write_text("# Notes\n\n" + "\n".join(LINES[:9]) + "\n", encoding="utf-8")
    (folder / "plain.txt").write_text("\n".join(LINES), encoding="utf-8")
    (folder / "chat.txt").write_text(CHAT * 4, encoding="utf-8")
    (folder / "photo.png").write_bytes(PNG)
    rows = [["day", "said"], *([day, line] for day, line in enumerate(LINES[:5]))]
    write_workbook(folder / "quotes.xlsx", {"Quotes": rows})
    write_workbook(folder / "quotes.ods", {"Quotes": rows})
    (folder / "broken.csv").write_text("a,b\n1,2\n", encoding="utf-8")


if __name__ == "__main__":
    write_folder(Path(sys.argv[1]))

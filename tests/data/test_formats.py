"""Text of documents, pages, books, subtitles and chats: what is kept, what is told, what is refused."""

import datetime as dt
import json
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.config import SourceSettings
from rhapsode.data import Document, Found
from rhapsode.data.sources.formats import office, pages, readers, workbooks
from rhapsode.data.sources.units import read_units
from rhapsode.data.tables import read_series
from rhapsode.errors import DataError, MissingExtraError, SettingsError
from tests.data import mixed_files as mixed
from tests.data.reading import Reading, read_sources

LINES = mixed.LINES[:12]
HEAD = "<w:document xmlns:w='w' xmlns:mc='mc'><w:body>"
TAIL = "</w:body></w:document>"


def read(path: Path | str, **options: object) -> Reading:
    return read_sources([str(path)], SourceSettings(**options))  # type: ignore[arg-type]


def text_of(path: Path | str, **options: object) -> str:
    (document,) = read(path, **options).documents
    return document.text


def zipped(path: Path, parts: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return path


# Format and writer; what joins the lines, what is left out, and the text before and after.
WRITTEN: list[tuple[str, Callable[..., None], tuple[str, dict[str, int], str, str]]] = [
    (
        "docx",
        mixed.write_docx,
        (
            "\n\n",
            {"picture": 1, "page header": 1},
            "A heading\n\n",
            "\n\ncell one\tcell two\ncell three\tcell four\n\nAfter the table.\n\n",
        ),
    ),
    (
        "odt",
        mixed.write_odt,
        (
            "\n\n",
            {},
            "A heading\n\n",
            "\n\nA noted word goes on.\n\ncell one\tcell two\ncell three\tcell four\n\n"
            "The note itself.\n\n",
        ),
    ),
    ("rtf", mixed.write_rtf, ("\n", {"picture": 1}, "Café — ", "\n")),
    ("srt", mixed.write_srt, ("\n", {}, "", "\n")),
    ("vtt", mixed.write_vtt, ("\nAnn: ", {}, "Ann: ", "\n")),
]


@pytest.mark.parametrize(("suffix", "write", "wanted"), WRITTEN)
def test_text_is_taken_out(
    tmp_path: Path,
    suffix: str,
    write: Callable[..., None],
    wanted: tuple[str, dict[str, int], str, str],
) -> None:
    path = tmp_path / f"story.{suffix}"
    write(path, LINES)
    gap, left, before, after = wanted
    found = read(path)
    assert found.documents[0].text == before + gap.join(LINES) + after
    assert found.found.left_out == left
    assert found.found.formats == {"subtitles" if suffix in ("srt", "vtt") else suffix: 1}


def test_a_page_and_what_is_around_it(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    mixed.write_html(path, LINES)
    kept = read(path)
    text = "\n\n".join(LINES)
    assert text in kept.documents[0].text
    assert "Accept all" not in kept.documents[0].text
    assert "We use cookies." in kept.documents[0].text
    assert kept.found.left_out == {"picture": 1, "script": 1}
    (around,) = kept.found.boilerplate.values()
    assert around == len(kept.documents[0].text.strip()) - len(text)
    dropped = read(path, boilerplate="drop")
    assert dropped.documents[0].text == f"{text}\n"
    assert dropped.found.boilerplate == kept.found.boilerplate
    assert text_of(path, formats="raw") == mixed.page(LINES)


def test_pages_of_other_encodings_and_xhtml(tmp_path: Path) -> None:
    page = (
        "<html><head><meta http-equiv='x' content='text/html; charset=koi8-r'></head><p>Привет, мир"
    )
    (tmp_path / "a.htm").write_bytes(page.encode("koi8-r"))
    assert text_of(tmp_path / "a.htm") == "Привет, мир\n"
    page = '<?xml version="1.0"?><html><head><title/></head><body><p>a<b/>b &amp; c</p><p>d</p></body></html>'
    (tmp_path / "a.xhtml").write_text(page)
    assert text_of(tmp_path / "a.xhtml") == "ab & c\n\nd\n"
    (tmp_path / "nav.html").write_text("<body><nav>All there is</nav></body>")
    assert text_of(tmp_path / "nav.html", boilerplate="drop") == "All there is\n"


def test_a_book_in_reading_order(tmp_path: Path) -> None:
    mixed.write_epub(tmp_path / "a.epub", [LINES[:4], LINES[4:]])
    found = read(tmp_path / "a.epub")
    assert found.documents[0].text == "\n\n".join(LINES) + "\n"
    assert found.found.left_out == {"picture": 1, "contents page": 1, "script": 2}


def test_pdf_with_running_heads(tmp_path: Path) -> None:
    mixed.write_pdf(tmp_path / "a.pdf", [*LINES[:-1], "A word is hyphen-\nated."])
    kept = read(tmp_path / "a.pdf")
    text = kept.documents[0].text
    assert text.startswith("Running head\n" + LINES[0])
    assert text.count("Running head") == 6
    assert kept.found.boilerplate == {"headers and numbers of PDF pages": 6 * len("Running head1")}
    dropped = text_of(tmp_path / "a.pdf", boilerplate="drop").splitlines()
    assert sorted(dropped[:-1]) == sorted(LINES[:-1])
    assert dropped[-1].replace("-", "") == "A word is hyphenated."


def test_a_notebook_without_its_outputs(tmp_path: Path) -> None:
    mixed.write_notebook(tmp_path / "a.ipynb", LINES[:2])
    found = read(tmp_path / "a.ipynb")
    said = [f"say({line!r})" for line in LINES[:2]]
    assert found.documents[0].text == "\n\n".join(["# A heading\ntext", *said])
    assert found.found.left_out == {"cell output": 2}
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": ["a\n", "b"]}]}]}
    (tmp_path / "old.ipynb").write_text(json.dumps(old))
    assert text_of(tmp_path / "old.ipynb") == "a\nb"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>", "a\tb\nc"),
        ("<w:p><w:ins><w:t>new</w:t></w:ins><w:del><w:tab/><w:delText>old</w:delText></w:del><w:t>er</w:t></w:p>", "newer"),
        ("<w:p><w:instrText>PAGE</w:instrText><w:t>a</w:t></w:p><w:p/>", "a"),
        ("<w:p><mc:Choice><w:t>a</w:t></mc:Choice><mc:Fallback><w:t>a</w:t></mc:Fallback></w:p>", "a"),
        ("<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:t>a</w:t></w:p>", "a"),
    ],
)  # fmt: skip
def test_inside_word(tmp_path: Path, body: str, text: str) -> None:
    parts: dict[str, str | bytes] = {"word/document.xml": HEAD + body + TAIL}
    notes = (
        "<w:footnotes xmlns:w='w'><w:footnote><w:p><w:t>note</w:t></w:p></w:footnote></w:footnotes>"
    )
    parts["word/footnotes.xml"] = notes
    assert text_of(zipped(tmp_path / "a.docx", parts)) == f"{text}\n\nnote\n\n"


CHATS = [
    "31.12.20, 22:15 - Ann: hello: you\n31.12.20, 22:16 - Ben: <Medien ausgeschlossen>\n"
    "31.12.20, 22:17 - Ben: two\nlines\n31.12.20, 22:18 - Ann left\n",
    "[12/31/20, 10:15:03\u202fPM] Ann: hello: you\n\u200e[12/31/20, 10:16:03 PM] Ben: \u200eimage omitted\n"
    "[12/31/20, 10:17:03 PM] Ben: two\nlines\n[12/31/20, 10:17:04 PM] Ann left\n",
    "2020-12-31, 10:15 p.m. - Ann: hello: you\n2020-12-31, 10:15 p.m. - Ben: <Media omitted>\n"
    "2020-12-31, 10:16 p.m. - Ben: two\nlines\n2020-12-31, 10:17 p.m. - Ann left\n",
]


@pytest.mark.parametrize("chat", CHATS)
def test_a_chat_without_times(tmp_path: Path, chat: str) -> None:
    (tmp_path / "a.txt").write_text(chat, encoding="utf-8")
    found = read(tmp_path / "a.txt")
    assert found.documents[0].text == "Ann: hello: you\nBen: two\nlines\n"
    assert found.found.formats == {"WhatsApp chat": 1}
    assert found.found.left_out == {"chat notice": 2}
    assert text_of(tmp_path / "a.txt", formats="raw") == chat


@pytest.mark.parametrize(
    "text",
    [
        "2020-12-31 22:15:03 - app - INFO: a\n" * 9,
        "[2020-12-31 22:15:03] INFO: a\n" * 9,
        "ROMEO:\nBut soft\n" * 9,
        "12/31/20 the day: was\n" * 9,
        "12/31/20, 10:15 - the meeting begins\n" * 9,
    ],
)
def test_a_log_is_no_chat(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert text_of(tmp_path / "a.txt") == text


EXPORTS = {
    "Telegram": {"name": "x", "messages": [
        {"type": "message", "from": "Ann", "text": ["see ", {"type": "bold", "text": "this"}]},
        {"type": "service", "actor": "Ann", "text": ""},
        {"type": "message", "from": "Ben", "text": "fine"}]},
    "Discord": {"guild": {}, "channel": {}, "messages": [
        {"author": {"name": "ann1", "nickname": "Ann"}, "content": "see this"},
        {"author": {"name": "Ben"}, "content": ""},
        {"author": {"name": "Ben"}, "content": "fine"}]},
    "Slack": [
        {"type": "message", "user": "U1", "ts": "1.5", "text": "see this", "user_profile": {"display_name": "", "real_name": "Ann"}},
        {"type": "message", "subtype": "channel_join", "user": "U2", "ts": "1.5", "text": "joined"},
        {"type": "message", "user": "Ben", "ts": "1.6", "text": "fine"}],
}  # fmt: skip


@pytest.mark.parametrize("kind", EXPORTS)
def test_exports_of_chats(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(EXPORTS[kind]))
    found = read(tmp_path / "a.json")
    assert found.documents[0].text == "Ann: see this\nBen: fine\n"
    assert found.found.formats == {f"{kind} chat": 1}
    assert found.found.left_out == {"empty message": 1}
    (tmp_path / "users.json").write_text(json.dumps([{"id": "U1", "team_id": "T", "name": "ann"}]))
    assert len(read(tmp_path).skipped) == 1


@pytest.mark.parametrize(
    "text",
    ['{"messages": [{"role": "user", "content": "a"}]}', '{"messages": [{"from": "A"', "[1]"],
)
def test_other_json_is_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert text_of(tmp_path / "a.json") == text


def test_sheets_are_tables(tmp_path: Path) -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=day) for day in range(40)]
    rows = [["day", "sold"], *([day, 100 + number / 4] for number, day in enumerate(days))]
    lines = [f"{day},{value:g}" if value % 1 else f"{day},{value:.0f}" for day, value in rows[1:]]
    (tmp_path / "a.csv").write_text("day,sold\n" + "\n".join(lines) + "\n")
    wanted = read_series(tmp_path / "a.csv")
    for suffix in (".xlsx", ".ods"):
        path = tmp_path / f"a{suffix}"
        mixed.write_workbook(path, {"About": [["ours"]], "Q1.24": rows})
        only = read_series(path)
        assert only.values_NK.tolist() == wanted.values_NK.tolist()
        assert "sheet 'Q1.24' is read; no times in 'About'" in only.notes
        both = tmp_path / f"both{suffix}"
        mixed.write_workbook(both, {"Q1.24": rows, "Q2.24": rows})
        with pytest.raises(DataError, match=r"several sheets .*'Q1.24', 'Q2.24'; name one"):
            read_series(both)
        found = read_series(f"{path}/Q1.24")
        assert found.values_NK.tolist() == wanted.values_NK.tolist()
        assert found.times_N.tolist() == wanted.times_N.tolist()
        assert text_of(f"{path}::Q1.24") == (tmp_path / "a.csv").read_text()
        names = [document.name for document in read(path, limit=1).documents]
        assert names == [f"{path}/About"]
        assert read(path, field="sold").documents[0].text == "100"
        with pytest.raises(DataError, match=r"it has About\.csv"):
            read_series(f"{path}/Q2")


def test_workbooks_in_folders_and_archives(tmp_path: Path) -> None:
    mixed.write_workbook(tmp_path / "a.xlsx", {"One": [["x"]], "Two": [["y"]]})
    zipped(tmp_path / "z.zip", {"in/a.xlsx": (tmp_path / "a.xlsx").read_bytes()})
    names = [document.name for document in read(tmp_path).documents]
    assert names == [f"{tmp_path}/{name}" for name in ("a.xlsx/One", "a.xlsx/Two", "z.zip/in/a.xlsx/One", "z.zip/in/a.xlsx/Two")]  # fmt: skip
    assert len(read(f"{tmp_path}/z.zip/in/a.xlsx").documents) == 2


def test_a_folder_of_everything(tmp_path: Path) -> None:
    mixed.write_folder(tmp_path / "desk")
    found = read(tmp_path / "desk", boilerplate="drop")
    assert len(found.documents) == 29
    assert [line.partition(": ")[0] for line in found.skipped] == [f"{tmp_path}/desk/photo.png"]
    assert sum(found.found.formats.values()) == 24
    for document in found.documents:
        assert not re.search(r"<\w|-->|\\par|cookies|Running head|\x00", document.text), (
            document.name
        )
        assert "by the river" in document.text or document.name.endswith(("chat.txt", ".csv"))


BROKEN: dict[str, tuple[bytes, str]] = {
    "a.docx": (b"hello", "damaged"),
    "b.docx": (b"\xd0\xcf\x11\xe0" + bytes(600), "protected by a password"),
    "a.odt": (b"PK\x03\x04", "damaged"),
    "a.epub": (b"PK\x03\x04", "damaged"),
    "a.pdf": (b"%PDF-1.7\ngarbage", "a damaged PDF"),
    "a.rtf": (b"hello", "not RTF"),
    "a.ipynb": (b"[]", "not a Jupyter notebook"),
    "a.srt": (b"hello", "no subtitle"),
    "a.xlsx": (b"hello", "damaged or protected workbook"),
    "a.doc": (b"\xd0\xcf\x11\xe0" + bytes(600), ".doc files are not read; save it as .docx"),
    "a.html": (b"<p>" * (6 << 20), "a page of more than 16 MB"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BROKEN[name][0])
    with pytest.raises(DataError, match=re.escape(BROKEN[name][1])) as caught:
        read(path)
    assert caught.value.where == str(path)
    (tmp_path / "whole.txt").write_text("hello")
    assert len(read(tmp_path, errors="skip").documents) == 1


ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))


def test_hostile_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laughs = f"<!DOCTYPE d [<!ENTITY e0 'ha'>{ENTITIES}]>{HEAD}<w:p><w:t>&e9;</w:t></w:p>{TAIL}"
    monkeypatch.setattr(office, "UNPACKED", 1 << 20)
    monkeypatch.setattr(pages, "MOST", 1 << 18)
    bombs = {
        "laughs.docx": {"word/document.xml": laughs},
        "bomb.docx": {"word/document.xml": bytes(office.UNPACKED + 1)},
        "bomb.ods": {"content.xml": bytes(office.UNPACKED + 1)},
        "chapter.epub": {"META-INF/container.xml": bytes(pages.MOST + 1)},
        "far.xlsx": {"xl/worksheets/sheet1.xml": '<c r="A1"/><c r="XFD1048576"/>'},
    }
    for name, parts in bombs.items():
        with pytest.raises(
            DataError, match=r"amplification|unpacks to|larger than|cells"
        ) as caught:
            read(zipped(tmp_path / name, parts))  # type: ignore[arg-type]
        assert name in str(caught.value)
    monkeypatch.setattr(readers, "MOST", 100)
    mixed.write_srt(tmp_path / "long.srt", LINES)
    with pytest.raises(DataError, match="read whole"):
        read(tmp_path / "long.srt")
    assert workbooks._column(b"XFD") == 16384


@pytest.mark.parametrize(
    ("suffix", "module"),
    [
        (".html", "resiliparse.extract.html2text"),
        (".epub", "resiliparse.extract.html2text"),
        (".pdf", "pypdfium2"),
        (".rtf", "striprtf.striprtf"),
        (".xlsx", "python_calamine"),
    ],
)
def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, module: str
) -> None:
    mixed.write_folder(tmp_path / "all")
    path = next((tmp_path / "all").glob(f"*{suffix}"))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match="optional package") as caught:
        read(path)
    assert "pip install 'rhapsode[documents]'" in str(caught.value)
    (path.parent / "photo.png").unlink()
    found = read(path.parent)
    assert len(found.documents) + len(found.skipped) == 29
    assert all("rhapsode[documents]" in line for line in found.skipped)
    assert len({*found.found.notes}) == len(found.found.notes) > 0


NEW = (
    "The Project Gutenberg eBook of A\n\nTitle: A\n\n*** START OF THE PROJECT GUTENBERG EBOOK A ***\n",
    "*** END OF THE PROJECT GUTENBERG EBOOK A ***\n\nLicence\nSTART: FULL LICENSE\n",
)
OLD = (
    "**The Project Gutenberg Etext of A**\nSmall print\n"
    "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n",
    "End of The Project Gutenberg Etext of A\n",
)
MIDDLE = (
    "Header\n***START OF THIS PROJECT GUTENBERG EBOOK A***\n",
    "End of Project Gutenberg's A, by B\n\n*** END OF THIS PROJECT GUTENBERG EBOOK A ***\nLicence\n",
)


@pytest.mark.parametrize("around", [NEW, OLD, MIDDLE])
def test_headers_of_e_books(tmp_path: Path, around: tuple[str, str]) -> None:
    book = "\nChapter 1\n\nIt was a Gutenberg press.\n\n"
    whole = around[0] + book + around[1]
    (tmp_path / "a.txt").write_text(whole * 2)
    kept = read(tmp_path / "a.txt")
    assert kept.documents[0].text == whole * 2
    assert list(kept.found.boilerplate.values()) == [2 * (len(whole) - len(book))]
    assert text_of(tmp_path / "a.txt", boilerplate="drop") == book * 2
    (tmp_path / "b.txt").write_text(book)
    assert read(tmp_path / "b.txt", boilerplate="drop").found.boilerplate == {}


PIECES = st.lists(
    st.lists(st.text("ab \n", max_size=12), min_size=1, max_size=4), min_size=1, max_size=3
)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(PIECES, st.sampled_from(["lines", "paragraphs"]))
def test_units_do_not_depend_on_pieces(documents: list[list[str]], unit: str) -> None:
    pieces = [
        Document(text, f"d{n}", opening=place == 0, complete=place == len(parts) - 1)
        for n, parts in enumerate(documents)
        for place, text in enumerate(parts)
    ]
    options = SourceSettings(documents=unit)  # type: ignore[arg-type]
    found = [piece.text for piece in read_units(iter(pieces), options, Found())]
    gap = r"\n" if unit == "lines" else r"\n(?: *\n)+"
    wanted = [
        part.strip("\n") for parts in documents for part in re.split(gap, "".join(parts)) if part.strip()
    ]  # fmt: skip
    assert found == wanted


def test_units_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n\n \nthree\r\nfour\n")
    lines = read(tmp_path / "a.txt", documents="lines").documents
    assert [(d.text, d.name.rpartition("#")[2]) for d in lines] == [("one", "1"), ("two", "2"), ("three", "5"), ("four", "6")]  # fmt: skip
    assert [d.text for d in read(tmp_path, documents="paragraphs").documents] == ["one\ntwo", "three\nfour"]  # fmt: skip
    records = [{"q": "a", "a": "b\nc"}]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    found = read(tmp_path / "r.jsonl", field="a", documents="lines")
    assert [document.text for document in found.documents] == ["b", "c"]
    with pytest.raises(SettingsError, match="pairs are not divided"):
        read(tmp_path / "r.jsonl", prompt_field="q", completion_field="a", documents="lines")

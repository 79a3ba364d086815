"""Records of CSV and Parquet files.

Rows of CSV are used for texts and for tables of numbers. Memory stays at a few rows.
"""

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from rhapsode.config import SourceSettings
from rhapsode.config.source import COLUMN
from rhapsode.data.sources.blob import Blob, Found, in_any_order
from rhapsode.data.sources.compression import bare_name
from rhapsode.data.sources.fields.json_records import json_records
from rhapsode.data.sources.fields.selector import LISTED, Selector
from rhapsode.data.sources.textfile import text_chunks
from rhapsode.errors import DataError, MissingExtraError
from rhapsode.files import first_line

Record = Mapping[str, Any]

_LONGEST_CELL = 1 << 28
_LONGEST_NUMBER = 1 << 24
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)")
_ENCLOSED = re.compile(r'"(?:[^"]|"")*"')
_CLOSES = re.compile(r'(?:[^"\t]|"")*"(?:\t|\r?\n|$)')
_SENTENCE = re.compile(r"\S+(?:\s+\S+){3,}[.?!…]?|.*[.?!。？！…]\s*")
_ALONE = "\x1f"  # in a table of one column, nothing parts the cells
_SIMPLE = re.compile(
    r"\s*(?:n/?a|#n/a|nan|nat|null|none|nil|[-.?]|-{2,3}|[+-]?\d*[.,]?\d+(?:e[+-]?\d+)?[*#]?"
    r"|[\d.:/ T+-]*\d[\d.:/ TZ+-]*)?\s*",
    re.IGNORECASE,
)

# Rules of tables that programs draw: ----+----, |---|---|
_RULE = re.compile(r"(?=.*(?:[-=]{4}|--[+|]))[-=+|:\s]+")


class CsvRows:
    """Rows of CSV text, each with the number of its last line.

    Blank lines are left out.

    Arguments:
        chunks: the text.
        where: its name, for messages.
        delimiter: the character between cells; detected if None.
        numbers: a table of numbers: lines that begin with # are comments, lines drawn between rows
            are left out, spaces may separate cells, and a quotation mark that is left open is an
            error.
    """

    def __init__(
        self,
        chunks: Iterator[str],
        where: str,
        delimiter: str | None = None,
        *,
        numbers: bool = False,
    ) -> None:
        csv.field_size_limit(min(_LONGEST_CELL, _LONGEST_NUMBER) if numbers else _LONGEST_CELL)
        lines = _lines(chunks)
        if delimiter == "\t":
            lines = _mended(lines)
        ahead = list(itertools.islice(lines, 200 if numbers else 30))
        named = re.fullmatch(r'"?sep=(.)"?\s*', ahead[0]) if ahead else None
        self.line = 1 if named else 0
        self.comments: list[str] = []
        self._numbers, self._where = numbers, where
        plain = [line for line in ahead[self.line :] if not (numbers and _is_aside(line))]
        self.delimiter = delimiter or (named[1] if named else _delimiter(plain, spaces=numbers))
        self.sample = parsed(plain, self.delimiter)
        self._lines = itertools.chain(ahead[self.line :], lines)
        self._between = True

    def __iter__(self) -> Iterator[tuple[list[str], int]]:
        rows = csv.reader(
            self._counted(),
            delimiter=self.delimiter,
            skipinitialspace=self.delimiter == " ",
            strict=self._numbers,
        )
        try:
            for row in rows:
                self._between = True
                yield row, self.line
        except csv.Error as problem:
            raise DataError(
                f"malformed table near line {self.line}: {first_line(problem)}",
                where=self._where,
                hint="is a quotation mark left open?",
            ) from None

    def _counted(self) -> Iterator[str]:
        for line in self._lines:
            self.line += 1
            if self._between:
                if self._numbers and _is_aside(line):
                    self.comments = [*self.comments[-99:], line]
                    continue
                if line.isspace():
                    continue
                self._between = False
            yield line


def _is_aside(line: str) -> bool:
    """True of a comment, and of a rule that is drawn between rows."""
    return line.startswith("#") or (line[:1] in "-=+| " and _RULE.fullmatch(line) is not None)


def _lines(chunks: Iterator[str]) -> Iterator[str]:
    left: list[str] = []
    for chunk in chunks:
        if "\n" not in chunk and "\r" not in chunk:
            left.append(chunk)
            continue
        text = "".join([*left, chunk])
        whole = text[:-1] if text[-1] == "\r" else text  # a line feed may follow
        end = max(whole.rfind("\n"), whole.rfind("\r")) + 1
        yield from _LINES.findall(text[:end])
        left = [text[end:]]
    if rest := "".join(left):
        yield from _LINES.findall(rest + "\n")


def _mended(lines: Iterator[str]) -> Iterator[str]:
    """Lines of cells between tabs, with quotation marks that enclose no cell doubled.

    A cell in quotation marks holds no tab; the last of a line may go on in the next one.
    """
    within = False
    for line, after in itertools.pairwise(itertools.chain(lines, [""])):
        if '"' in line and not within:
            *cells, last = line.rstrip("\r\n").split("\t")
            goes_on = last.startswith('"') and not _ENCLOSED.fullmatch(last)
            within = goes_on and _CLOSES.match(after) is not None
            ends = [last if within else _plain_cell(last)]
            yield "\t".join([*map(_plain_cell, cells), *ends]) + line[len(line.rstrip("\r\n")) :]
            continue
        within = within and _CLOSES.match(line) is None
        yield line


def _plain_cell(cell: str) -> str:
    if not cell.startswith('"') or _ENCLOSED.fullmatch(cell):
        return cell
    return '"' + cell.replace('"', '""') + '"'


def parsed(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Parse lines into rows, without empty rows.

    Rows after a quotation mark that is cut off are left out.
    """
    rows = []
    try:
        for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " "):
            if any(cell.strip() for cell in row):
                rows.append(row)  # noqa: PERF401 - rows before an error are kept
    except csv.Error:
        pass
    return rows


def are_numbers(head: str) -> bool:
    """True if most lines of a text hold columns of numbers."""
    rows = CsvRows(iter([head]), "", numbers=True).sample[:-1]
    width = usual_width(rows)
    full = [row for row in rows if len(row) == width and _simple(row) >= 0.75 * width]
    return width > 1 and len(full) > max(4, 0.75 * len(rows))


def _simple(cells: Sequence[str]) -> int:
    """The number of cells that may hold numbers or times."""
    return sum(_SIMPLE.fullmatch(cell) is not None for cell in cells)


def usual_width(rows: Sequence[Sequence[str]]) -> int:
    """Commonest number of cells, the greater of two equally common ones.

    Numbers in several columns count more than lines of text around them.
    """
    counts = Counter(map(len, rows))
    if len(counts) > 1 and max(counts, key=counts.__getitem__) == 1:
        wide = [row for row in rows if len(row) > 2 and _simple(row) > 0.75 * len(row)]
        counts = Counter(map(len, wide)) if len(wide) > 2 else counts
    return max(counts, key=lambda width: (counts[width], width), default=0)


def _delimiter(lines: Sequence[str], *, spaces: bool) -> str:
    scores = {_ALONE: (0.0, 0.0, 0)}
    for candidate in "\t;|, " if spaces else "\t;|,":
        rows = parsed(lines, candidate)
        usual = usual_width(rows)
        cells = [cell for row in rows[1:] or rows for cell in row]
        even = sum(len(row) == usual for row in rows) / max(1, len(rows))
        simple = _simple(cells) / max(1, len(cells))
        if usual > 1 and (candidate != " " or (simple > 0.75 and even > 0.8)):
            scores[candidate] = (round(even, 1), round(simple, 1), usual)
    return max(scores, key=scores.__getitem__)


def csv_records(
    chunks: Iterator[str],
    where: str,
    selector: Selector,
    delimiter: str | None = None,
    *,
    header: str = "auto",
    notes: list[str] | None = None,
) -> Iterator[dict[str, str]]:
    """Rows of a table as records, with the names of its header.

    Extra cells are ignored. A row of sentences is no header.

    Arguments:
        chunks: its text.
        where: its name, for messages.
        selector: receives the header; a requested name of two columns is an error.
        delimiter: the character between cells; detected if None.
        header: "yes", "no" or "auto", which takes a first row of sentences for a record.
        notes: receives a remark where there is no header.

    Raises:
        DataError: a cell without an end, or two columns of a requested name.
    """
    names: list[str] | None = None
    for row, _ in CsvRows(chunks, where, delimiter):
        if not any(cell.strip() for cell in row):
            continue
        if names is None:
            sentences = all(_SENTENCE.fullmatch(cell.strip()) for cell in row if cell.strip())
            asked = any(name in row for name in selector.names)
            if header == "yes" or (header == "auto" and (asked or not sentences)):
                names = _header(row, where, selector)
                continue
            names = _header([f"{COLUMN}{n}" for n in range(1, len(row) + 1)], where, selector)
            if notes is not None:
                notes.append(f"{where}: no header: fields are named {names[0]!r} and so on")
        yield {name: cell for name, cell in zip(names, row, strict=False) if name}


def _header(row: list[str], where: str, selector: Selector) -> list[str]:
    # White space may differ, as where a name is broken into lines.
    asked = {" ".join(name.split()): name for name in selector.names if name not in row}
    names = [asked.get(" ".join(name.split()), name) for name in row]
    for number in range(len(row)):
        column = f"{COLUMN}{number + 1}"
        if column in selector.names and column not in names:
            names[number] = column
    for name in selector.names:
        if names.count(name) > 1:
            raise DataError(
                f"{names.count(name)} columns are named {name!r}",
                where=where,
                hint="rename one of them",
            )
    selector.header(name for name in names if name)
    # Of columns with the same name that nobody asks for, any will do.
    return names


@contextmanager
def parquet_file(file: BinaryIO, where: str, extra: str) -> Iterator[Any]:
    """Open a Parquet file.

    Arguments:
        file: the file, readable in any order.
        where: its name, for messages.
        extra: the extra that contains the reader.

    Raises:
        DataError: it is damaged.
        MissingExtraError: the reader is not installed.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped,import-not-found,unused-ignore]
        import pyarrow.parquet as pq  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise MissingExtraError(extra, "reading Parquet files") from None
    try:
        yield pq.ParquetFile(file, pre_buffer=False)
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise DataError(f"damaged Parquet: {first_line(problem)}", where=where) from None


def parquet_records(file: BinaryIO, where: str, selector: Selector | None) -> Iterator[Record]:
    """Rows of a Parquet file, read in batches.

    Only the requested columns are read.

    Arguments:
        file: the file, readable in any order.
        where: its name, for messages.
        selector: the requested columns; None raises an error that names the existing ones.

    Raises:
        DataError: it is damaged, or no column is requested.
        MissingExtraError: the reader is not installed.
    """
    with parquet_file(file, where, "data") as table:
        columns = list(table.schema_arrow.names)
        if selector is None:
            raise DataError(
                f"Parquet holds columns: {', '.join(columns[:LISTED])}",
                where=where,
                hint="say which is the text with --field",
            )
        selector.header(columns)
        asked = {name.partition(".")[0] for name in selector.names} | set(selector.names)
        wanted = [name for name in columns if name in asked]
        for batch in table.iter_batches(batch_size=1024, columns=wanted):
            yield from batch.to_pylist()


_KINDS = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".tsv": "tsv",
          ".parquet": "parquet"}  # fmt: skip


def record_kind(name: str) -> str | None:
    """Format of records by the suffix of a file name.

    One of "json", "csv", "tsv" and "parquet"; None for other files.
    """
    return _KINDS.get(Path(bare_name(name)).suffix.lower())


def records_of(
    blob: Blob, kind: str | None, selector: Selector, settings: SourceSettings, found: Found
) -> Iterator[object]:
    """The records of a decompressed file.

    Arguments:
        blob: the file.
        kind: result of `record_kind`; None detects it from the text.
        selector: the requested fields.
        settings: how its text is decoded.
        found: collects remarks.

    Raises:
        DataError: it cannot be read, or is malformed.
        MissingExtraError: an optional package is needed for it.
    """
    if kind == "parquet":
        with in_any_order(blob) as file:
            yield from parquet_records(file, blob.name, selector)
        return
    chunks = text_chunks(blob.open, blob.name, settings, found, zeros=True)
    if kind is None:
        first = next(chunks, "")
        kind = "json" if first.lstrip()[:1] in {"[", "{"} else "csv"
        chunks = itertools.chain([first], chunks)
    if kind == "json":
        yield from json_records(chunks, blob.name, selector)
    else:
        delimiter = "\t" if kind == "tsv" else None
        header = settings.has_header
        # Who names columns by numbers knows that there is no header.
        notes = found.notes if header == settings.header else None
        yield from csv_records(chunks, blob.name, selector, delimiter, header=header, notes=notes)


def refuse_parquet(blob: Blob) -> None:
    """Reject a Parquet file if no field is requested.

    Raises:
        DataError: in every case; it names the existing columns.
        MissingExtraError: the reader is not installed.
    """
    with in_any_order(blob) as file:
        next(parquet_records(file, blob.name, None))

"""Records of JSON, JSON Lines, CSV, TSV and Parquet, and the text in their fields.

Takes text in chunks (Parquet: a file) and knows nothing of where it came from. Memory stays at a few records.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rhapsode.config import SourceSettings, suggest
from rhapsode.data.archives import bare_name
from rhapsode.errors import DataError, MissingExtraError, SettingsError
from rhapsode.files import first_line

__all__ = ["Selector", "csv_records", "json_records", "parquet_records", "record_kind"]

Record = Mapping[str, Any]

_KINDS = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".tsv": "tsv",
          ".parquet": "parquet"}  # fmt: skip
_LISTED = 40  # fields named in a message
_LONGEST_CELL = 1 << 28
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)")
_SPACE = re.compile(r"[ \t\n\r]*")


def record_kind(name: str) -> str | None:
    """Either "json", "csv", "tsv" or "parquet", by the suffix, compressed or not; None for other files."""
    return _KINDS.get(Path(bare_name(name)).suffix.lower())


# --- fields ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Piece:
    """Literal text, or the field that stands in its place."""

    text: str
    field: bool


class Selector:
    """Takes the asked fields out of records, and remembers which fields there were.

    Raises:
        SettingsError: a template that cannot be read.
    """

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._template = _parse(settings.template) if settings.template is not None else None
        if self._template is not None:
            names = [piece.text for piece in self._template if piece.field]
        elif settings.field is not None:
            names = [settings.field]
        else:
            names = [settings.prompt_field or "", settings.completion_field or ""]
        self.names = list(dict.fromkeys(names))
        self._missing = set(self.names)
        self._seen: dict[str, None] = {}

    def text(self, record: Any) -> tuple[str, int] | None:
        """Text and prompt length of a record, or None if it lacks a field or one is empty."""
        if not isinstance(record, dict):
            return None
        if len(self._seen) < 1000:
            self._seen.update(dict.fromkeys(str(key) for key in record))
        values: dict[str, str] = {}
        joint = "\n" if self._template is None else " "
        for name in self.names:
            there, value = _look_up(record, name)
            if not there:
                continue
            self._missing.discard(name)
            values[name] = _as_text(value, joint, name)
        if len(values) < len(self.names) or not all(value.strip() for value in values.values()):
            return None
        if self._template is not None:
            return "".join(
                values[piece.text] if piece.field else piece.text for piece in self._template
            ), 0
        if self._settings.field is not None:
            return values[self._settings.field], 0
        prompt, completion = (values[name] for name in (self._prompt, self._completion))
        return f"{prompt}\n{completion}", len(prompt) + 1

    @property
    def _prompt(self) -> str:
        return self._settings.prompt_field or ""

    @property
    def _completion(self) -> str:
        return self._settings.completion_field or ""

    def header(self, names: Iterable[str]) -> None:
        """Note the fields that a table has before any record of it comes."""
        names = list(names)
        self._seen.update(dict.fromkeys(names))
        for name in list(self._missing):
            if name in names or name.partition(".")[0] in names:
                self._missing.discard(name)

    def check(self, where: str) -> None:
        """Raise if a field was in no record at all.

        Raises:
            DataError: so, naming the fields that there are.
        """
        for name in self.names:
            if name in self._missing:
                known = list(self._seen)[:_LISTED]
                hint = suggest(name, known) if known else "there are no records with fields"
                raise DataError(f"no record has a field {name!r}", where=where, hint=hint)

    def is_in(self, record: Mapping[str, Any]) -> bool:
        """Whether a record has any of the asked fields, or begins to lead to one."""
        return any(name in record or name.partition(".")[0] in record for name in self.names)


def _parse(template: str) -> tuple[_Piece, ...]:
    def wrong(what: str, place: int, hint: str) -> SettingsError:
        return SettingsError(f"{what} at character {place + 1}", where="template", hint=hint)

    pieces: list[_Piece] = []
    literal = ""
    place = 0
    while place < len(template):
        character = template[place]
        if character in "{}" and template[place : place + 2] == character * 2:
            literal, place = literal + character, place + 2
        elif character == "}":
            raise wrong("'}' closes nothing", place, "a brace of the text is written twice")
        elif character == "{":
            end = template.find("}", place)
            name = template[place + 1 : end].strip()
            if end < 0 or "{" in name:
                raise wrong("'{' is not closed", place, "a brace of the text is written twice")
            if not name:
                raise wrong("a field without a name", place, "write {name}")
            pieces += [_Piece(literal, field=False), _Piece(name, field=True)]
            literal, place = "", end + 1
        else:
            literal, place = literal + character, place + 1
    pieces.append(_Piece(literal, field=False))
    if not any(piece.field for piece in pieces):
        raise SettingsError(
            "no field in it", where="template", hint="write {name} where a field goes"
        )
    return tuple(piece for piece in pieces if piece.text)


def _look_up(value: Any, name: str) -> tuple[bool, Any]:
    """Whether there is a value under a dotted name, and which; lists are looked through."""
    if isinstance(value, dict):
        if name in value:
            return True, value[name]
        for dot in (place for place, character in enumerate(name) if character == "."):
            if name[:dot] in value:
                there, inner = _look_up(value[name[:dot]], name[dot + 1 :])
                if there:
                    return there, inner
    elif isinstance(value, list):
        found = [inner for there, inner in (_look_up(item, name) for item in value) if there]
        return bool(found), found
    return False, None


def _as_text(value: Any, joint: str, name: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        parts = (_as_text(item, joint, name) for item in value)
        return joint.join(part for part in parts if part)
    if isinstance(value, dict):
        if not value:
            return ""
        inner = ", ".join(f"{name}.{key}" for key in list(value)[:5])
        raise DataError(
            f"the field {name!r} is no text but a record", hint=f"a dot leads inside: {inner}"
        )
    return str(value)


# --- JSON ------------------------------------------------------------------------------------------


def json_records(chunks: Iterator[str], where: str, selector: Selector) -> Iterator[Any]:
    """The records of JSON text: of a list, of values one after another (JSON Lines), or of a list within an object.

    Numbers keep the spelling that they have, as strings. All but the last kind is streamed.

    Raises:
        DataError: malformed JSON, with line and column.
    """
    text = _Growing(chunks, where)
    number = 0
    while (character := text.peek()) is not None:
        if character == "[":
            yield from _items(text)
            number += 1
            continue
        value = text.value()
        number += 1
        # A first object without the field may be all there is, with the records inside.
        odd = number == 1 and isinstance(value, dict) and not selector.is_in(value)
        if odd and text.peek() is None:
            yield from _within(value)
            return
        yield value


def _items(text: _Growing) -> Iterator[Any]:
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    while True:
        yield text.value()
        if text.peek() == ",":
            text.take(",")
        elif text.peek() == "]":
            text.take("]")
            return
        else:
            text.fail("Expecting ',' or ']'")


def _within(record: dict[str, Any]) -> list[Any]:
    """The records inside a single object: its one list of objects, or the objects it is made of."""
    lists = [
        value
        for value in record.values()
        if isinstance(value, list) and value and isinstance(value[0], dict)
    ]
    if len(lists) == 1:
        return lists[0]
    if record and all(isinstance(value, dict) for value in record.values()):
        return list(record.values())
    return [record]


class _Growing:
    """JSON text of which only what is being read is in memory."""

    def __init__(self, chunks: Iterator[str], where: str) -> None:
        self._chunks = chunks
        self._where = where
        self._text = ""
        self._place = 0
        self._line, self._column = 1, 1  # of the first character in memory
        self._ended = False
        self._decoder = json.JSONDecoder(
            parse_int=str, parse_float=str, parse_constant=_constant, strict=False
        )

    def peek(self) -> str | None:
        """The next character that is not white space; None at the end."""
        while True:
            match = _SPACE.match(self._text, self._place)
            self._place = match.end() if match else self._place
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._more(1):
                return None

    def take(self, character: str) -> None:
        """Step over a character that was seen."""
        self._place += len(character)

    def value(self) -> Any:
        """The next value, whole."""
        if self.peek() is None:
            self.fail("the text ends where a value should follow")
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._place)
            except json.JSONDecodeError as problem:
                # Only what lies at the end of the text may be mended by more of it.
                near = problem.msg.startswith("Unterminated") or problem.pos + 16 > len(self._text)
                if near and self._more(len(self._text) - self._place):
                    continue
                self.fail(problem.msg, problem.pos)
            except RecursionError:
                self.fail("nested too deeply")
            # A number may go on in the next chunk.
            if end + 3 > len(self._text) and isinstance(value, str) and self._more(3):
                continue
            self._place = end
            return value

    def _more(self, least: int) -> bool:
        """Read on, at least so many characters; what has been used is let go of."""
        if self._ended:
            return False
        parts, size = [self._text[self._place :]], 0
        while size < max(1, least):
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
                break
            parts.append(chunk)
            size += len(chunk)
        if not size:
            return False
        used = self._text[: self._place]
        lines = used.count("\n")
        if lines:
            self._line += lines
            self._column = len(used) - used.rfind("\n")
        else:
            self._column += len(used)
        self._text, self._place = "".join(parts), 0
        return True

    def fail(self, what: str, place: int | None = None) -> None:
        """Raise with line and column."""
        before = self._text[: self._place if place is None else place]
        lines = before.count("\n")
        column = len(before) - before.rfind("\n") if lines else self._column + len(before)
        raise DataError(
            f"malformed JSON at line {self._line + lines}, column {column}: {what}",
            where=self._where,
        )


def _constant(name: str) -> str | None:
    return None if name == "NaN" else name


# --- tables ----------------------------------------------------------------------------------------


def csv_records(
    chunks: Iterator[str], where: str, selector: Selector, delimiter: str | None = None
) -> Iterator[dict[str, str]]:
    """The rows of a table, by the names in its first row; missing cells are left out, extra ones ignored.

    Arguments:
        chunks: its text.
        where: its name, for messages.
        selector: told of the header; two columns of one name are an error if it asks for that.
        delimiter: what parts the cells; found out if None.

    Raises:
        DataError: a cell without an end, or two columns of the asked name.
    """
    lines = _Ahead(_lines(chunks))
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(lines, delimiter=delimiter or _delimiter(lines.ahead(30)))
    header: list[str] | None = None
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if header is None:
                header = _header(row, where, selector)
                continue
            yield {name: cell for name, cell in zip(header, row, strict=False) if name}
    except csv.Error as problem:
        raise DataError(
            f"malformed table near line {reader.line_num}: {first_line(problem)}",
            where=where,
            hint="is a quotation mark left open?",
        ) from None


def _header(row: list[str], where: str, selector: Selector) -> list[str]:
    # White space may differ, as where a name is broken into lines.
    asked = {" ".join(name.split()): name for name in selector.names if name not in row}
    names = [asked.get(" ".join(name.split()), name) for name in row]
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


class _Ahead:
    """Lines of which the next few can be looked at."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._kept: list[str] = []

    def ahead(self, count: int) -> list[str]:
        """The next lines, blank ones before the first left out."""
        for line in self._lines:
            if line.strip() or self._kept:
                self._kept.append(line)
            if len(self._kept) >= count:
                break
        self._kept.reverse()
        return self._kept[::-1]

    def __iter__(self) -> _Ahead:
        return self

    def __next__(self) -> str:
        return self._kept.pop() if self._kept else next(self._lines)


def _lines(chunks: Iterator[str]) -> Iterator[str]:
    left: list[str] = []
    for chunk in chunks:
        if "\n" not in chunk and "\r" not in chunk:
            left.append(chunk)
            continue
        text = "".join([*left, chunk])
        end = 0
        for match in _LINES.finditer(text):
            if match.end() == len(text) and text[-1] == "\r":
                break  # a line feed may follow
            yield match[0]
            end = match.end()
        left = [text[end:]]
    if rest := "".join(left):
        yield from _LINES.findall(rest + "\n")


def _delimiter(lines: list[str]) -> str:
    """What parts the cells: it must do so in the header, and in most rows as often."""
    best, found = (0.0, 0), "\x1f"  # in a table of one column, nothing
    for candidate in ",;\t|":
        try:
            rows = [row for row in csv.reader(lines, delimiter=candidate) if row]
        except csv.Error:
            continue
        columns = len(rows[0]) if rows else 0
        if columns < 2:
            continue
        same = sum(len(row) == columns for row in rows) / len(rows)
        if (round(same, 1), columns) > best:
            best, found = (round(same, 1), columns), candidate
    return found


def parquet_records(file: BinaryIO, where: str, selector: Selector | None) -> Iterator[Record]:
    """The rows of a Parquet file, a batch at a time, only the asked columns.

    Arguments:
        file: the file, readable in any order.
        where: its name, for messages.
        selector: which columns; None for an error that names them all.

    Raises:
        DataError: it is damaged, or no column was asked for.
        MissingExtraError: the reader is not installed.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped,import-not-found,unused-ignore]
        import pyarrow.parquet as pq  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise MissingExtraError("data", "reading Parquet files") from None
    try:
        table = pq.ParquetFile(file, pre_buffer=False)
        columns = list(table.schema_arrow.names)
        if selector is None:
            raise DataError(
                f"Parquet holds columns: {', '.join(columns[:_LISTED])}",
                where=where,
                hint="say which is the text with --field",
            )
        selector.header(columns)
        asked = {name.partition(".")[0] for name in selector.names} | set(selector.names)
        wanted = [name for name in columns if name in asked]
        for batch in table.iter_batches(batch_size=1024, columns=wanted):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise DataError(f"damaged Parquet: {first_line(problem)}", where=where) from None

"""Settings of reading sources: files, fields, text encoding."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from rhapsode.config.options import option
from rhapsode.errors import SettingsError

Count = Annotated[int, Meta(ge=1, le=2**62)]
LINES = "lines"
"""Value of `pairs` for two files whose lines belong together."""
COLUMN = "column "
"""What the names of columns without a header begin with."""


@dataclass(frozen=True)
class SourceSettings:
    """Files and records of a source."""

    field: Annotated[str | None, option("NAME", "none")] = None
    """For records (JSON, JSON Lines, CSV, TSV, Parquet): the field with the text of a record; a dot
    selects a nested field."""
    template: Annotated[str | None, option("TEXT", "none")] = None
    """For records: template of the text, for example "Recipe for {title} | {directions}"; lists are
    joined with spaces."""
    prompt_field: Annotated[str | None, option("NAME", "none")] = None
    """For records: the field with the prompt; only the completion is learnt and scored."""
    completion_field: Annotated[str | None, option("NAME", "none")] = None
    """For records: the field with the completion of --prompt-field."""
    pairs: Annotated[str | None, option("IN:OUT", "none")] = None
    """Learn to write one text from another: the fields of the input and of the output, by name or
    by number from 0, for example input:output or 0:1; 0+2:1 joins two fields with a space. lines
    pairs the lines of two files: SOURCE.en SOURCE.de."""
    header: Annotated[Literal["auto", "yes", "no"], option("auto|yes|no")] = "auto"
    """For CSV and TSV: yes: the first row names the fields; no: they are named "column 1",
    "column 2" and so on; auto takes a first row of sentences for a record."""
    documents: Annotated[
        Literal["files", "lines", "paragraphs"], option("files|lines|paragraphs")
    ] = "files"
    """Unit that is one text: a whole file (or record), each line that is not blank, or each
    paragraph between blank lines."""
    formats: Annotated[Literal["extract", "raw"], option("extract|raw")] = "extract"
    """Office documents, PDF, web pages, e-books, notebooks, subtitles and chats: extract takes
    their text out, raw reads files as they stand, with tags and times."""
    boilerplate: Annotated[Literal["keep", "drop"], option("keep|drop")] = "keep"
    """Text that belongs to no text itself: navigation and notices of web pages, headers and numbers
    of PDF pages, headers and licences of Project Gutenberg; keep only reports it, drop leaves it
    out."""
    limit: Annotated[Count | None, option("N", "all")] = None
    """Read only the first N records or files, or the first N lines of a single text."""
    pattern: Annotated[str | None, option("GLOB", "every text file")] = None
    """For folders and archives: read only files that match, for example "*.txt" or
    "poems/**/*.json"."""
    text_encoding: Annotated[str, option("NAME")] = "auto"
    """Character encoding of the files, for example gb18030 or cp1252; auto detects it and reports
    it."""
    errors: Annotated[Literal["stop", "replace", "skip"], option("stop|replace|skip")] = "stop"
    """Action for bytes that are invalid in that encoding: stop with an error, replace them with
    U+FFFD, or skip the file."""
    newlines: Annotated[Literal["lf", "keep"], option("lf|keep")] = "lf"
    """Line ends: lf converts CRLF and CR to LF, keep leaves them unchanged."""

    def __post_init__(self) -> None:
        if (self.prompt_field is None) != (self.completion_field is None):
            raise SettingsError(
                "a prompt and its completion must be given together",
                where="[source]",
                hint="give both --prompt-field and --completion-field",
            )
        if self.pairs is not None and self.pairs != LINES:
            _ = self.pair_fields
        if self._record_settings > 1:
            raise SettingsError(
                "more than one of field, template, prompt_field and pairs",
                where="[source]",
                hint="give one of them",
            )

    @property
    def records(self) -> bool:
        """True if a field of records is asked for."""
        return self._record_settings > (self.pairs == LINES)

    @property
    def pair_fields(self) -> tuple[tuple[str, ...], str] | None:
        """Fields of the input, and the field of the output.

        None without pairs of fields.

        Raises:
            SettingsError: `pairs` does not name them.
        """
        if self.pairs is None or self.pairs == LINES:
            return None
        inputs, colon, output = self.pairs.partition(":")
        names = [*inputs.split("+"), output]
        if not colon or ":" in output or not all(names):
            raise SettingsError(
                f"{self.pairs!r} names no input and output",
                where="--pairs",
                hint="write --pairs input:output, --pairs 0:1 or --pairs lines",
            )
        *first, last = (_column(name) for name in names)
        return tuple(first), last

    @property
    def has_header(self) -> Literal["auto", "yes", "no"]:
        """The setting `header`; columns named by numbers have no header."""
        fields = self.pair_fields
        numbered = fields is not None and all(
            name.startswith(COLUMN) for name in (*fields[0], fields[1])
        )
        return "no" if numbered and self.header == "auto" else self.header

    @property
    def _record_settings(self) -> int:
        ways = (self.field, self.template, self.prompt_field, self.pairs)
        return sum(way is not None for way in ways)


def _column(name: str) -> str:
    """The name of a field; a number from 0 becomes that of a column without a header."""
    return f"{COLUMN}{int(name) + 1}" if name.isdecimal() else name


def names_records(asked: Mapping[str, Any]) -> bool:
    """True if settings by name ask for a field of records."""
    source = asked.get("source")
    names = ("field", "template", "prompt_field", "completion_field", "pairs")
    return isinstance(source, Mapping) and any(source.get(name) for name in names)

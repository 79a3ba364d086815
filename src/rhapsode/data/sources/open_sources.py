"""Documents of files, folders, archives, records and named corpora.

It resolves sources and sets the order of their parts. Bytes, archives and records have modules of
their own.
"""

import fnmatch
import glob
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rhapsode.config import SourceSettings
from rhapsode.config.source import LINES
from rhapsode.data.corpora.catalogue import CATALOGUE, catalogue_documents
from rhapsode.data.document import Document
from rhapsode.data.sources.blob import (
    Blob,
    Found,
    NotText,
    Unreadable,
    file_blob,
    first_bytes,
)
from rhapsode.data.sources.compression import bare_name, unpacked
from rhapsode.data.sources.fields.record_tables import record_kind, records_of, refuse_parquet
from rhapsode.data.sources.fields.selector import Selector
from rhapsode.data.sources.folders import archive_kind, like, members, named_file, walk
from rhapsode.data.sources.formats.readers import better_format, reader_of, suffix_of
from rhapsode.data.sources.formats.workbooks import is_workbook
from rhapsode.data.sources.memory import default_field, items
from rhapsode.data.sources.parallel_files import parallel_documents
from rhapsode.data.sources.textfile import cut, first_lines, text_chunks
from rhapsode.data.sources.units import read_units
from rhapsode.errors import DataError, MissingExtraError
from rhapsode.files import is_there, source_name

_SURROGATES = re.compile("[\ud800-\udfff]")
_DEFAULT = SourceSettings()


def read_pieces(
    sources: Sequence[Any], settings: SourceSettings = _DEFAULT, found: Found | None = None
) -> Iterator[Document]:
    """Documents of sources, in order.

    A source is a file, folder, archive, pattern, "-", name or collection. A path that exists takes
    precedence over a catalogue name. A text longer than 4M characters is split into several
    documents of one name, only the first with `opening` and only the last with `complete`; each
    ends after a line end if there is one within the next 4M characters. At most a few of them are
    in memory.

    Arguments:
        sources: the sources.
        settings: selection of files, fields and encoding.
        found: collects remarks.

    Raises:
        DataError: a source that does not exist, cannot be read, or holds no text.
        SettingsError: an unknown encoding or a malformed template.
        MissingExtraError: an optional package is needed for a file.
    """
    if not sources:
        raise DataError(
            "no source was given", hint="name a text file, a folder or a catalogue name"
        )
    reader = _Reader(settings, found if found is not None else Found())
    if settings.pairs == LINES and not all(str(source) in CATALOGUE for source in sources):
        yield from parallel_documents(sources, settings, reader.found)
        return
    some = False
    for source in sources:
        if isinstance(source, str) and not source:
            raise DataError("a source has no name", hint="name a text file, a folder or a corpus")
        for document in read_units(reader.read(source), settings, reader.found):
            some = True
            yield document
    if not some:
        raise DataError("it contains no text", where=", ".join(map(source_name, sources)))


class _Reader:
    def __init__(self, settings: SourceSettings, found: Found) -> None:
        self._settings = settings
        self.found = found
        self._selector = Selector(settings) if settings.records else None
        self._records = 0  # documents made of records, in all

    def read(self, source: Any) -> Iterator[Document]:
        """The documents of one source."""
        if not isinstance(source, str | Path):
            yield from self._memory(source)
            return
        source = str(source)
        if self._selector is not None:
            if self._done:
                return
            self._selector = Selector(self._settings)
        yield from self._source(source)
        if self._selector is not None and not self._done and source not in CATALOGUE:
            self._selector.check(source)

    @property
    def _done(self) -> bool:
        limit = self._settings.limit
        return limit is not None and self._records >= limit

    def _memory(self, source: Any) -> Iterator[Document]:
        """Texts of a collection in memory, or of its records."""
        name, limit = source_name(source), self._settings.limit
        entries = items(source, name)
        first = next(entries, None)
        if first is None:
            return
        entries = itertools.chain([first], entries)
        if isinstance(first, Mapping):
            settings = self._settings
            if not settings.records:
                settings = replace(settings, field=default_field(first, name))
            selector = Selector(settings)
            yield from self._selected(entries, name, selector)
            if not self._done:
                selector.check(name)
            return
        if self._selector is not None:
            raise DataError("a text has no fields", where=name, hint="leave the field out")
        for number, text in enumerate(entries):
            place = f"{name}#{number}"
            if not isinstance(text, str):
                raise DataError("a record among texts", where=place)
            if number == limit:
                return
            yield from cut(place, [self._clean(text, place)])

    def _source(self, source: str) -> Iterator[Document]:
        path = Path(source)
        if source != "-" and is_there(path) and path.is_dir():
            yield from self._many(walk(path, self.found), source, "this folder")
        elif (named := named_file(source)) is not None:
            yield from self._archive_or_single(*named)
        elif source in CATALOGUE:
            yield from self._catalogue(source)
        elif any(character in source for character in "*?["):
            yield from self._glob(source)
        else:
            raise DataError("no such file or folder", where=source, hint=_where_to_look(source))

    def _archive_or_single(self, blob: Blob, inner: str) -> Iterator[Document]:
        kind = archive_kind(blob)
        if kind is None and inner:
            raise DataError("not an archive, so it contains no files", where=blob.name)
        if kind is None:
            yield from self._read(blob, named=True)
            return
        with members(blob, kind, inner) as entries:
            if not inner:
                yield from self._many(entries, blob.name, "this archive")
                return
            first = next(entries)
            if inner.strip("/") in {first.relative.strip("/"), first.name[len(blob.name) + 1 :]}:
                yield from self._read(first, named=True)
            else:
                rest = itertools.chain([first], entries)
                yield from self._many(rest, blob.name, f"{inner!r}")

    def _glob(self, source: str) -> Iterator[Document]:
        # A pattern may be absolute.
        names = sorted(glob.glob(source, recursive=True))  # noqa: PTH207
        if not names:
            raise DataError("no file matches this pattern", where=source)
        yield from self._many(self._matched(names), source, "the files that match this pattern")

    def _matched(self, names: Sequence[str]) -> Iterator[Blob]:
        for path in map(Path, names):
            if path.is_dir():
                yield from walk(path, self.found)
            elif path.is_file():
                yield file_blob(path, path.name)

    def _catalogue(self, name: str) -> Iterator[Document]:
        if self._selector is not None and not CATALOGUE[name].pairs:
            raise DataError("a named corpus has no fields", where=name)
        single = CATALOGUE[name].download is not None
        limit = self._settings.limit
        for number, document in enumerate(catalogue_documents(name)):
            if limit is not None and number >= limit and not single:
                return
            text = self._clean(document.text, document.name)
            chunks = first_lines(iter([text]), limit) if single and limit else [text]
            yield from cut(document.name, chunks, document.prompt)

    def _read(self, blob: Blob, *, named: bool) -> Iterator[Document]:
        """Documents of a file.

        A file without text is an error if it was named; otherwise it is passed over.
        """
        begun = False
        try:
            for document in self._file(blob, named=named):
                begun = True
                yield document
        except NotText as problem:
            if named:
                raise
            self._skip(problem)
        except MissingExtraError as problem:
            if named:
                raise
            self._without_extra(blob, problem)
        except Unreadable as problem:
            if self._settings.errors != "skip" and not named:
                raise _with_way_out(problem) from None
            if begun or self._settings.errors != "skip":
                raise
            self._skip(problem)

    def _many(self, blobs: Iterable[Blob], where: str, place: str) -> Iterator[Document]:
        """Documents of the files of a folder or archive.

        Files without text are passed over; a limit counts files.
        """
        files, skipped, empty = 0, len(self.found.skipped), True
        for blob in self._expanded(blobs):
            empty = False
            if not self._matches(blob):
                continue
            before = len(self.found.skipped)
            yield from self._read(blob, named=False)
            files += len(self.found.skipped) == before
            if self._done or (self._selector is None and files == self._settings.limit):
                return
        if not files:
            left = self.found.skipped[skipped:]
            if empty and not left:
                raise DataError(f"no file in {place}", where=where)
            some = "1 file" if len(left) == 1 else f"{len(left):,} files"
            reason = f" ({some} left out, the first: {left[0]})" if left else ""
            pattern = self._settings.pattern
            matching = f" that matches {pattern!r}" if pattern else ""
            raise DataError(f"no text file{matching} in {place}{reason}", where=where)

    def _expanded(self, blobs: Iterable[Blob]) -> Iterator[Blob]:
        """Files, with archives replaced by their files."""
        for blob in blobs:
            try:
                packed = blob.path is not None or is_workbook(blob.relative)
                kind = archive_kind(blob) if packed else None
                if kind is None:
                    yield blob
                    continue
                with members(blob, kind) as entries:
                    for entry in entries:
                        yield Blob(entry.name, f"{blob.relative}/{entry.relative}", entry.open)
            except NotText as problem:
                self._skip(problem)
            except MissingExtraError as problem:
                self._without_extra(blob, problem)
            except Unreadable as problem:
                if self._settings.errors != "skip":
                    raise _with_way_out(problem) from None
                self._skip(problem)

    def _skip(self, problem: DataError) -> None:
        self.found.skipped.append(str(problem))

    def _without_extra(self, blob: Blob, problem: MissingExtraError) -> None:
        """Pass over a file of a folder, and tell each extra that is missing once."""
        self.found.skipped.append(f"{blob.name}: {problem}")
        if str(problem) not in self.found.notes:
            self.found.notes.append(str(problem))

    def _matches(self, blob: Blob) -> bool:
        pattern = self._settings.pattern
        return pattern is None or any(
            like(name, pattern) or fnmatch.fnmatchcase(name.rpartition("/")[2], pattern)
            for name in (blob.relative, bare_name(blob.relative))
        )

    def _file(self, blob: Blob, *, named: bool) -> Iterator[Document]:
        if is_workbook(blob.relative):
            with members(blob, "workbook") as sheets:
                for sheet in sheets:
                    yield from self._file(sheet, named=named)
            return
        kind, plain = record_kind(blob.relative), unpacked(blob)
        if self._selector is not None:
            if kind is None and not named:
                raise NotText("not a file of records", where=blob.name)
            records = records_of(plain, kind, self._selector, self._settings, self.found)
            yield from self._selected(records, plain.name, self._selector)
            return
        if kind == "parquet" and named:
            refuse_parquet(plain)
        if kind == "parquet":
            raise NotText("Parquet holds columns", where=blob.name, hint="name one with --field")
        if not named and archive_kind(blob) is not None:
            raise NotText("an archive inside an archive", where=blob.name, hint="unpack it first")
        chunks = self._text(plain)
        limit = self._settings.limit if named else None
        yield from cut(blob.name, first_lines(chunks, limit) if limit else chunks)

    def _text(self, blob: Blob) -> Iterator[str]:
        """Text of a decompressed file, taken out of its format."""
        if (instead := better_format(blob.relative)) and b"\0" in first_bytes(blob.open, 4096):
            what = f"{suffix_of(blob.relative)} files are not read"
            raise NotText(what, where=blob.name, hint=f"save it as {instead}")
        known = reader_of(blob.relative) if self._settings.formats == "extract" else None
        if known is None:
            yield from text_chunks(blob.open, blob.name, self._settings, self.found)
            return
        kind, read = known
        for chunk in read(blob, self._settings, self.found):
            yield self._clean(chunk, blob.name)
        self.found.count("formats", kind)

    def _selected(
        self, records: Iterator[object], where: str, selector: Selector
    ) -> Iterator[Document]:
        for number, record in enumerate(records):
            name = f"{where}#{number}"
            try:
                chosen = selector.text(record)
            except DataError as problem:
                raise DataError(problem.what, where=name, hint=problem.hint) from None
            except RecursionError:
                raise DataError("nested too deeply", where=name) from None
            if chosen is None:
                self.found.incomplete += 1
                continue
            text, prompt = chosen
            given = self._clean(text[:prompt], name)
            text = given + self._clean(text[prompt:], name)
            if not text:
                continue
            self._records += 1
            yield from cut(name, [text], len(given))
            if self._done:
                return

    def _clean(self, text: str, name: str) -> str:
        """Treat half pairs, zeros and line ends as a decoder does."""
        if not text.isascii():
            text = _SURROGATES.sub("\ufffd", text)
        if "\0" in text:
            self.found.notes.append(f"{name}: zero characters dropped")
            text = text.replace("\0", "")
        if self._settings.newlines == "lf" and "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        return text


def _where_to_look(source: str) -> str:
    if source.startswith("<") and source.endswith(">"):
        return "the source was in memory when the run began: pass it again"
    if "\n" in source:
        return "pass a text in memory as a list: rh.train([text])"
    return f"known by name: {', '.join(CATALOGUE)}"


def _with_way_out(problem: Unreadable) -> Unreadable:
    """Add the way to skip a file to its error."""
    hint = problem.hint or ""
    if "--errors" in hint:
        return problem
    skip = "leave the file out with --errors skip"
    hint = f"{hint}, or {skip}" if hint else skip
    return Unreadable(problem.what, where=problem.where, hint=hint)

"""Files and folders to documents: whole texts with the name of the place they came from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rhapsode.data.catalogue import CATALOGUE, catalogue_documents
from rhapsode.data.document import Document
from rhapsode.errors import DataError
from rhapsode.files import is_there

__all__ = ["Reading", "read_sources"]


@dataclass(frozen=True)
class Reading:
    """What was found at the sources.

    Arguments:
        documents: the texts, in order.
        skipped: files of folders that hold no text, each with the reason.
    """

    documents: tuple[Document, ...]
    skipped: tuple[str, ...]


def read_sources(sources: Sequence[str]) -> Reading:
    """The documents of files, folders (recursively, sorted by name) and catalogue names, in order.

    A path that exists wins over a catalogue name. Text is UTF-8, with or without a byte order mark,
    and kept as it is, line ends included.

    Raises:
        DataError: a source that does not exist, cannot be read, or is not text.
    """
    if not sources:
        raise DataError(
            "no source was given", hint="name a text file, a folder or a catalogue name"
        )
    documents: list[Document] = []
    skipped: list[str] = []
    for source in sources:
        path = Path(source)
        if not source:
            raise DataError("a source has no name", hint="name a text file, a folder or a corpus")
        if is_there(path) and path.is_dir():
            documents.extend(_read_folder(path, skipped))
        elif is_there(path):
            documents.append(_read_file(path))
        elif source in CATALOGUE:
            documents.extend(catalogue_documents(source))
        else:
            raise DataError(
                "no such file or folder",
                where=source,
                hint=f"known by name: {', '.join(CATALOGUE)}",
            )
    if not any(document.text for document in documents):
        raise DataError("there is no text in it", where=", ".join(sources))
    return Reading(tuple(document for document in documents if document.text), tuple(skipped))


def _read_folder(folder: Path, skipped: list[str]) -> Iterator[Document]:
    found = 0
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts) or not path.is_file():
            continue
        try:
            document = _read_file(path)
        except DataError as problem:
            skipped.append(str(problem))
            continue
        found += 1
        yield document
    if not found:
        reason = f" ({len(skipped)} files are not text)" if skipped else ""
        raise DataError(f"no text file in this folder{reason}", where=str(folder))


def _read_file(path: Path) -> Document:
    try:
        raw = path.read_bytes()
    except OSError as problem:
        raise DataError(f"cannot read: {problem.strerror}", where=str(path)) from None
    if not raw:
        raise DataError("the file is empty", where=str(path))
    zero = raw.find(b"\0")
    if zero >= 0:
        raise DataError(
            f"not a text file: a zero byte at offset {zero}",
            where=str(path),
            hint="give UTF-8 text",
        )
    try:
        return Document(raw.decode("utf-8").removeprefix("\N{BYTE ORDER MARK}"), str(path))
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        raise DataError(
            f"not UTF-8 text: byte 0x{raw[problem.start]:02x} at offset {problem.start}, line {line}",
            where=str(path),
            hint="convert it, for example with iconv",
        ) from None

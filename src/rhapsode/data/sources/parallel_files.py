"""Two files whose lines belong together, as pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from rhapsode.config import SourceSettings
from rhapsode.data.document import Document
from rhapsode.data.sources.blob import Found
from rhapsode.data.sources.compression import unpacked
from rhapsode.data.sources.folders import named_file
from rhapsode.data.sources.textfile import text_chunks
from rhapsode.errors import DataError
from rhapsode.files import source_name


def parallel_documents(
    sources: Sequence[Any], settings: SourceSettings, found: Found
) -> Iterator[Document]:
    """Pairs of lines: input in the first file, output in the second.

    A pair with a blank line is left out and counted.

    Arguments:
        sources: two files.
        settings: how they are decoded.
        found: collects remarks.

    Raises:
        DataError: not two files, or files with different numbers of lines.
    """
    names = [source_name(source) for source in sources]
    if len(names) != 2:
        raise DataError(
            f"pairs of lines need two files, not {len(names)}",
            where=", ".join(names),
            hint="name the file of the inputs and that of the outputs",
        )
    sides = [_lines(name, settings, found) for name in names]
    number = 0
    for line, other in zip_longest(*sides):
        if line is None or other is None:
            counts = [number + (each is not None) + sum(1 for _ in side)
                      for each, side in zip((line, other), sides, strict=True)]  # fmt: skip
            raise DataError(
                f"the files have {counts[0]:,} and {counts[1]:,} lines",
                where=" and ".join(names),
                hint="each line of the first belongs to the same line of the second",
            )
        number += 1
        if not line.strip() or not other.strip():
            found.incomplete += 1
            continue
        if settings.limit is not None and number > settings.limit:
            return
        yield Document(f"{line}\n{other}", f"{names[0]}#{number - 1}", prompt=len(line) + 1)


def _lines(name: str, settings: SourceSettings, found: Found) -> Iterator[str]:
    """Lines of a file, without line ends."""
    named = named_file(name)
    if named is None or named[1]:
        raise DataError("no such file", where=name)
    rest = ""
    for chunk in text_chunks(unpacked(named[0]).open, name, settings, found):
        *lines, rest = (rest + chunk).split("\n")
        yield from lines
    if rest:
        yield rest

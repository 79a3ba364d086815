"""Files of records by kind: JSON, JSON Lines, CSV, TSV and Parquet."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from rhapsode.config import SourceSettings
from rhapsode.data.sources.blob import Blob, in_any_order
from rhapsode.data.sources.compression import bare_name
from rhapsode.data.sources.fields.json_records import json_records
from rhapsode.data.sources.fields.record_tables import csv_records, parquet_records
from rhapsode.data.sources.fields.selector import Selector
from rhapsode.data.sources.formats import Found
from rhapsode.data.sources.textfile import text_chunks

__all__ = ["record_kind", "records_of", "refuse_parquet"]

_KINDS = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".tsv": "tsv",
          ".parquet": "parquet"}  # fmt: skip


def record_kind(name: str) -> str | None:
    """Either "json", "csv", "tsv" or "parquet", by the suffix, compressed or not; None for other files."""
    return _KINDS.get(Path(bare_name(name)).suffix.lower())


def records_of(
    blob: Blob, kind: str | None, selector: Selector, settings: SourceSettings, found: Found
) -> Iterator[object]:
    """The records of a decompressed file.

    Arguments:
        blob: the file.
        kind: what `record_kind` says; None looks at the text.
        selector: which fields are asked for.
        settings: how its text is decoded.
        found: filled with what is noticed on the way.

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
        yield from csv_records(chunks, blob.name, selector, delimiter)


def refuse_parquet(blob: Blob) -> None:
    """Raise for a Parquet file of which no field was asked for.

    Raises:
        DataError: so, naming the columns that there are.
        MissingExtraError: the reader is not installed.
    """
    with in_any_order(blob) as file:
        next(parquet_records(file, blob.name, None))

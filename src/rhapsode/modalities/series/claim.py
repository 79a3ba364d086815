"""Whether sources are series of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rhapsode.config.source import names_records
from rhapsode.data import holds_documents
from rhapsode.data.tables import SERIES, NoNumbersError, read_head, read_series
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import DataError, SettingsError
from rhapsode.files import is_there
from rhapsode.modalities.contract import Claim, Degree

__all__ = ["claim_series"]

TABLES = (".csv", ".tsv", ".tab", ".parquet", ".pq", ".npy", ".npz")
PACKED = (".gz", ".bz2", ".xz", ".zst")


def claim_series(sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
    """Sure of what lies in memory or is asked for as series; likely for a table of numbers.

    Raises:
        SettingsError: a table without times that holds both text and numbers.
    """
    if "series" in asked:
        return Claim(Degree.SURE, "columns of series are named")
    if names_records(asked):
        return Claim(Degree.NONE, "a field of records is named")
    memory = [source for source in sources if not isinstance(source, str | Path)]
    if any(map(holds_documents, memory)):
        return Claim(Degree.NONE, "texts in memory")
    if memory:
        return Claim(Degree.SURE, "a table in memory")
    if len(sources) != 1 or asked.get("encoding", "auto") not in ("auto", "binned"):
        return Claim(Degree.NONE, "series are one table")
    source = str(sources[0])
    path = Path(source)
    if not is_there(path):
        named = source in SERIES
        return Claim(Degree.LIKELY if named else Degree.NONE, "known by that name" if named else "")
    name = path.with_suffix("") if path.suffix.lower() in PACKED else path
    if path.is_dir() or name.suffix.lower() not in TABLES:
        return Claim(Degree.NONE, "no table by its suffix")
    try:
        head = read_head(path)
        found = read_series(source, SeriesSettings()) if head is None else head
    except NoNumbersError as problem:
        return Claim(Degree.NONE, problem.what)
    except DataError:
        # It is a table of numbers, whose errors are told where it is learnt from.
        return Claim(Degree.LIKELY, "a table of numbers")
    if found.kind == "order" and found.left_out:
        raise SettingsError(
            "this table holds text and numbers, and no times",
            where=source,
            hint="for its text say --field NAME; for its numbers --set series.value_columns='[\"NAME\"]'",
        )
    return Claim(Degree.LIKELY, "a table of numbers", found if head is None else None)

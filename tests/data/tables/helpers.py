"""Small tables as files."""

from pathlib import Path
from typing import Any

from rhapsode.data.tables import SeriesSet, read_series
from rhapsode.data.tables.settings import SeriesSettings


def series_of(folder: Path, text: str, name: str = "t.csv", **settings: Any) -> SeriesSet:
    path = folder / name
    path.write_bytes(text.encode())
    return read_series(path, SeriesSettings(**settings))


def told(found: SeriesSet) -> str:
    return "\n".join(found.notes)

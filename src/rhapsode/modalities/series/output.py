"""Forecasts and series as tables: CSV, Parquet and plain values."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rhapsode.data.tables import SeriesSet, format_time
from rhapsode.errors import MissingExtraError, SettingsError
from rhapsode.files import write_atomically
from rhapsode.modalities.series.model import SeriesForecast
from rhapsode.modalities.values.next_steps import LEVELS, plain_number

__all__ = [
    "check_table",
    "csv_text",
    "forecast_mapping",
    "forecast_rows",
    "series_rows",
    "write_table",
]

SUFFIXES = (".csv", ".tsv", ".parquet")
Rows = tuple[list[str], Iterator[list[Any]]]


def check_table(path: Path) -> None:
    """Find what is in the way of a table before any work is done.

    Raises:
        SettingsError: another suffix than .csv, .tsv and .parquet, or a folder that does not exist.
        MissingExtraError: Parquet without pyarrow.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise SettingsError(
            f"tables are written as {', '.join(SUFFIXES)}, not {suffix or 'without a suffix'}",
            where=str(path),
        )
    if not path.parent.is_dir():
        raise SettingsError("there is no such folder", where=str(path.parent))
    if suffix == ".parquet":
        import importlib.util

        if importlib.util.find_spec("pyarrow") is None:
            raise MissingExtraError("series", "writing Parquet")


def _times(found: SeriesForecast, place: int) -> list[str]:
    series = int(found.which[place])
    frequency = found.given.frequencies[series]
    return [format_time(int(t), found.given.kind, frequency) for t in found.times[place]]


def forecast_rows(
    found: SeriesForecast, levels: Sequence[float] = LEVELS, *, paths: bool = False
) -> Rows:
    """A header, and a row for every series, time and number (and path).

    Arguments:
        found: the forecast.
        levels: quantiles, a column each.
        paths: give the sample paths themselves, a row each.
    """
    names = found.given.names
    several = len(names) > 1
    head = ["series", "time", "step", *(["name"] if several else [])]
    ids = found.ids

    def rows() -> Iterator[list[Any]]:
        quantiles_QBHK = found.quantiles(levels) if not paths else None
        mean_BHK = found.mean()
        for place in range(len(found.which)):
            for step, when in enumerate(_times(found, place)):
                for number, name in enumerate(names):
                    lead = [ids[place], when, step + 1, *([name] if several else [])]
                    if quantiles_QBHK is None:
                        drawn = found.paths_BSHK[place, :, step, number]
                        for path, value in enumerate(drawn.tolist()):
                            yield [*lead, path + 1, value]
                    else:
                        own = quantiles_QBHK[:, place, step, number].tolist()
                        yield [*lead, float(mean_BHK[place, step, number]), *own]

    ends = ["path", "value"] if paths else ["mean", *(f"q{level:g}" for level in levels)]
    return [*head, *ends], rows()


def forecast_tables(found: SeriesForecast, width: int, most: int = 5) -> list[Any]:
    """Quantiles of the first series for a terminal, a table for each number.

    Arguments:
        found: the forecast.
        width: cells of the terminal.
        most: series to show.
    """
    from rhapsode.views.candidates import steps_table

    quantiles_QBHK = found.quantiles(found.levels)
    blocks: list[Any] = []
    for place, name in list(enumerate(found.ids))[:most]:
        for number, own in enumerate(found.given.names):
            rows = zip(
                _times(found, place), quantiles_QBHK[:, place, :, number].T.tolist(), strict=True
            )
            title = name if name == own else f"{name}, {own}"
            blocks.append(steps_table(title, found.levels, list(rows), width))
    if len(found.ids) > most:
        blocks.append(f"{len(found.ids) - most:,} more series")
    return blocks


def forecast_mapping(found: SeriesForecast, levels: Sequence[float] = LEVELS) -> dict[str, Any]:
    """A forecast as plain values."""
    quantiles_QBHK, mean_BHK = found.quantiles(levels), found.mean()
    names = found.given.names
    return {
        "horizon": found.paths_BSHK.shape[2],
        "samples": found.paths_BSHK.shape[1],
        "levels": list(levels),
        "forecasts": [
            {
                "series": found.ids[place],
                "times": _times(found, place),
                "values": {
                    name: {
                        "mean": [plain_number(v) for v in mean_BHK[place, :, number]],
                        "quantiles": {
                            f"{level:g}": [
                                plain_number(v) for v in quantiles_QBHK[q, place, :, number]
                            ]
                            for q, level in enumerate(levels)
                        },
                    }
                    for number, name in enumerate(names)
                },
            }
            for place in range(len(found.which))
        ],
    }


def series_rows(given: SeriesSet) -> Rows:
    """A header, and a row for every time of every series."""

    def rows() -> Iterator[list[Any]]:
        for series, name in enumerate(given.ids):
            some = given.rows(series)
            frequency = given.frequencies[series]
            for time, values in zip(given.times_N[some], given.values_NK[some], strict=True):
                yield [name, format_time(int(time), given.kind, frequency), *values.tolist()]

    return ["series", "time", *given.names], rows()


def csv_text(table: Rows, *, delimiter: str = ",") -> Iterator[str]:
    """A table as CSV, in pieces of some thousand rows."""
    head, rows = table
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
    writer.writerow(head)
    for count, row in enumerate(rows, 1):
        writer.writerow([f"{cell:.10g}" if isinstance(cell, float) else cell for cell in row])
        if count % 4096 == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def write_table(path: Path, table: Rows) -> None:
    """Write CSV, TSV or Parquet, by the suffix, whole or not at all.

    Raises:
        RunError: it cannot be written.
        MissingExtraError: Parquet without pyarrow.
    """
    suffix = path.suffix.lower()
    if suffix != ".parquet":
        text = "".join(csv_text(table, delimiter="\t" if suffix == ".tsv" else ","))
        write_atomically(path, text.encode("utf-8", "backslashreplace"))
        return
    import pyarrow as pa  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-not-found, import-untyped, unused-ignore]

    head, rows = table
    columns = list(zip(*rows, strict=True)) or [()] * len(head)
    made = pa.table({name: list(column) for name, column in zip(head, columns, strict=True)})
    write_atomically(path, lambda scratch: pq.write_table(made, scratch))

"""Series as a network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.data.tables import SeriesSet, format_time
from rhapsode.modalities.series.corpus import observed_lengths
from rhapsode.modalities.series.facts import SeriesBundle

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["SeriesSeen"]

SHOWN = 40
"""Steps of a series that a terminal shows, the last ones."""


@dataclass(frozen=True)
class SeriesSeen:
    """Targets of series, as the network learns them.

    Arguments:
        encoding: name of the encoder.
        series: name, scale, times, values and targets of each.
    """

    encoding: str
    series: list[dict[str, Any]]

    @classmethod
    def of(cls, bundle: SeriesBundle, given: SeriesSet) -> SeriesSeen:
        """The targets of all series.

        Arguments:
            bundle: its encoder is used.
            given: the series.
        """
        encoder = bundle.encoder
        seen = []
        for number, length in enumerate(observed_lengths(given).tolist()):
            rows = given.rows(number)
            some = slice(rows.start, rows.start + length)
            values_TK = given.values_NK[some]
            stats = encoder.stats(values_TK)
            encoded = encoder.encode(values_TK, stats)
            frequency = given.frequencies[number]
            seen.append(
                {
                    "series": given.ids[number],
                    "shift": stats.shift_K.tolist(),
                    "scale": stats.scale_K.tolist(),
                    "times": [
                        format_time(int(t), given.kind, frequency) for t in given.times_N[some]
                    ],
                    "values": [_plain(row) for row in values_TK],
                    "targets": [_plain(row) for row in encoded.targets_TK],
                }
            )
        return cls(encoder.name, seen)

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"encoding": self.encoding, "series": self.series}

    def shown(self, width: int) -> Sequence[RenderableType]:
        """The last steps of every series, values and targets."""
        from rich.table import Column, Table
        from rich.text import Text

        blocks: list[RenderableType] = []
        for one in self.series:
            table = Table(
                "",
                Column("value", justify="right"),
                Column("target", justify="right"),
                title=Text(one["series"], style="bold"),
                title_justify="left",
                title_style="",
                box=None,
                padding=(0, 2, 0, 0),
                header_style="dim",
            )
            rows = list(zip(one["times"], one["values"], one["targets"], strict=True))
            for time, values, targets in rows[-SHOWN:]:
                table.add_row(time, _text(values), _text(targets))
            left = len(rows) - SHOWN
            more = f", of which the last {SHOWN} are shown" if left > 0 else ""
            blocks += [table, Text(f"{len(rows):,} steps{more}", style="dim")]
        return blocks


def _plain(row: Any) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in row]


def _text(numbers: Sequence[float | None]) -> str:
    return " ".join("–" if number is None else f"{number:.6g}" for number in numbers)

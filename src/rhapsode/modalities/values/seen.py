"""Values as a network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["ValuesSeen", "plain_row"]

SHOWN = 40
"""Steps of a sequence that a terminal shows, the last ones."""


@dataclass(frozen=True)
class ValuesSeen:
    """Targets of sequences, as the network learns them.

    Arguments:
        encoding: name of the encoder.
        series: name, times, values and targets of each, and its scale where it has one.
    """

    encoding: str
    series: list[dict[str, Any]]

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"encoding": self.encoding, "series": self.series}

    def shown(self, width: int) -> Sequence[RenderableType]:
        """The last steps of every sequence, values and targets."""
        from rich.table import Table
        from rich.text import Text

        blocks: list[RenderableType] = []
        for one in self.series:
            table = Table(
                title=Text(one["series"], style="bold"),
                title_justify="left",
                title_style="",
                box=None,
                padding=(0, 2, 0, 0),
                header_style="dim",
            )
            table.add_column("")
            table.add_column("value", justify="right")
            table.add_column("target", justify="right")
            rows = list(zip(one["times"], one["values"], one["targets"], strict=True))
            for time, values, targets in rows[-SHOWN:]:
                table.add_row(time, _text(values), _text(targets))
            left = len(rows) - SHOWN
            more = f", of which the last {SHOWN} are shown" if left > 0 else ""
            blocks += [table, Text(f"{len(rows):,} steps{more}", style="dim")]
        return blocks


def plain_row(row: Any) -> list[float | None]:
    """A row of numbers for JSON; None where one is missing."""
    return [float(value) if np.isfinite(value) else None for value in row]


def _text(numbers: Sequence[float | None]) -> str:
    return " ".join("–" if number is None else f"{number:.6g}" for number in numbers)

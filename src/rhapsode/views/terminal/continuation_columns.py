"""Continuations at several temperatures, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Column, Table
from rich.text import Text

__all__ = ["continuation_columns", "has_room"]

NARROWEST = 34
"""Cells of a column, at least."""
LONGEST = 800
"""Characters of a text in a column, at most."""


def has_room(width: int, columns: int, longest: int = 0) -> bool:
    """True if texts fit side by side.

    Arguments:
        width: cells of the terminal.
        columns: count of columns.
        longest: characters of the longest text.
    """
    return width >= (NARROWEST + 3) * columns and longest <= LONGEST


def continuation_columns(
    temperatures: Sequence[float], columns: Sequence[Sequence[tuple[str, str]]]
) -> Table:
    """Continuations in a column for each temperature.

    Arguments:
        temperatures: of the columns.
        columns: prompt and continuation of each text.
    """
    table = Table(
        *(Column(f"temperature {each:g}", ratio=1, overflow="fold") for each in temperatures),
        box=None,
        padding=(0, 3, 1, 0),
        expand=True,
        header_style="cyan",
    )
    for row in zip(*columns, strict=True):
        table.add_row(*(Text.assemble((prompt, "bold"), text) for prompt, text in row))
    return table

"""Quantiles of numbers as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Column, Table
from rich.text import Text

from rhapsode.views.blocks import bar


def steps_table(
    title: str,
    levels: Sequence[float],
    rows: Sequence[tuple[str, Sequence[float]]],
    width: int,
) -> Table:
    """Quantiles of steps, a row each, and the middle of them as bars where there is room.

    Arguments:
        title: what the steps follow.
        levels: of the quantiles, rising.
        rows: name of a step, and its quantiles.
        width: cells of the terminal.
    """
    table = Table(
        "",
        *(Column(f"{level:.0%}", justify="right", no_wrap=True) for level in levels),
        title=Text(title, style="bold"),
        title_justify="left",
        title_style="",
        box=None,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    middle = len(levels) // 2
    low = min(min(quantiles) for _, quantiles in rows)
    high = max(max(quantiles) for _, quantiles in rows)
    cells = min(24, width - 14 * (len(levels) + 1))
    if cells > 5:
        table.add_column("", style="cyan", width=cells, no_wrap=True)
    for name, quantiles in rows:
        line = [Text(name), *(Text(f"{value:.6g}") for value in quantiles)]
        if cells > 5:
            line.append(Text(bar(quantiles[middle] - low, cells, full=(high - low) or 1.0)))
        table.add_row(*line)
    return table


def choice_table(
    name: str, levels: Sequence[float], quantiles: Sequence[float], value: float
) -> Table:
    """Quantiles of one number, and the value that was chosen in its place among them.

    Arguments:
        name: of the number.
        levels: of the quantiles, rising.
        quantiles: of the model.
        value: that was chosen; NaN where it is missing.
    """
    table = Table(
        Column("", justify="right", style="dim"),
        Column(name, justify="right"),
        box=None,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    rows = [(f"{level:.0%}", number) for level, number in zip(levels, quantiles, strict=True)]
    place = None if math.isnan(value) else sum(number <= value for number in quantiles)
    for number, (level, quantile) in enumerate(rows):
        if number == place:
            table.add_row("→", Text(f"{value:.6g}", style="bold"))
        table.add_row(level, f"{quantile:.6g}")
    if place == len(rows):
        table.add_row("→", Text(f"{value:.6g}", style="bold"))
    return table

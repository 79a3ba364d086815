"""Tables of a training run: samples, and the losses of several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Column, Table
from rich.text import Text

__all__ = ["samples_table", "seeds_table"]

_HEADINGS = {
    "loss": "test loss",
    "network_loss": "network alone",
    "mase": "MASE",
    "crps": "CRPS",
    "validation_loss": "validation",
    "steps": "updates",
    "seconds": "seconds",
}
_DIGITS = {"steps": 0, "seconds": 1}


def samples_table(samples: Sequence[tuple[float, str]]) -> Table:
    """Samples, one a row; line ends shown as a small arrow.

    Arguments:
        samples: temperature and text of each.
    """
    table = Table(
        Column(style="cyan", no_wrap=True),
        Column(overflow="fold"),
        show_header=False,
        box=None,
        padding=(0, 1, 0, 0),
    )
    for temperature, text in samples:
        shown = Text()
        for index, line in enumerate(text.split("\n")):
            if index:
                shown.append("↵ ", style="dim")
            shown.append("".join(c if c.isprintable() else "·" for c in line))
        table.add_row(f"{temperature:>6g}", shown)
    return table


def seeds_table(summary: Mapping[str, Any], title: str) -> Table:
    """Losses seed by seed, their mean and their standard deviation.

    Arguments:
        summary: of a repeated run.
        title: of the table.
    """
    table = Table(
        Column("seed", style="dim"),
        title=title,
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    names = [n for n in _HEADINGS if any(run[n] is not None for run in summary["runs"])]
    for name in names:
        table.add_column(_HEADINGS[name], justify="right")

    def cells(row: Mapping[str, Any]) -> list[str]:
        return ["-" if row[n] is None else f"{row[n]:,.{_DIGITS.get(n, 4)}f}" for n in names]

    for run in summary["runs"]:
        table.add_row(str(run["seed"]), *cells(run))
    for word, key in (("mean", "mean"), ("spread (sd)", "std")):
        row = {n: summary[n] and summary[n][key] for n in names if n != "steps"}
        table.add_row(word, *cells({**row, "steps": None}), style="bold")
    return table

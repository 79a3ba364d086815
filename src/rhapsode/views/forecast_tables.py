"""Figures of forecasts in words and tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # takes longer to load than most commands
    from rich.table import Table

__all__ = [
    "METHOD_COLUMNS",
    "density_in_words",
    "forecasts_table",
    "method_notes",
    "method_rows",
    "number",
]

METHOD_COLUMNS = ("MASE", "sMAPE", "CRPS", "WQL", "80 % holds", "90 % holds")


def density_in_words(figures: Mapping[str, Any]) -> str:
    """The likelihood of a sweep in a line."""
    return f"density: {figures['loss']:.4f} nats a value over {figures['elements']:,} values"


def number(value: float | None, digits: int = 4) -> str:
    """A figure with so many places that count, or a dash."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def method_rows(forecasts: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row a method: its name and the figures of `METHOD_COLUMNS`."""
    rows = []
    for name, found in forecasts["methods"].items():
        cover = found["coverage"]
        rows.append(
            (
                name,
                number(found["mase"]),
                number(found["smape"]),
                number(found["crps"]),
                number(found["weighted_quantile_loss"]),
                *(
                    "-" if cover.get(share) is None else f"{cover[share]:.0%}"
                    for share in ("80%", "90%")
                ),
            )
        )
    return rows


def forecasts_table(forecasts: Mapping[str, Any]) -> Table:
    """Methods and their figures, for people."""
    from rich.table import Column, Table

    count, steps = forecasts["forecasts"], forecasts["horizon"]
    table = Table(
        "",
        *(Column(name, justify="right") for name in METHOD_COLUMNS),
        title=f"{count:,} forecast{('s' if count != 1 else '')}, {steps} steps ahead",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for name, *cells in method_rows(forecasts):
        table.add_row(name, *cells, style="bold" if name == "model" else "")
    return table


def method_notes(forecasts: Mapping[str, Any]) -> Iterator[str]:
    """What was left out, and a warning where the model is no better than a season ago."""
    yield from forecasts["notes"]
    for found in forecasts["methods"].values():
        yield from found["notes"]
        break
    if forecasts["warning"]:
        yield f"warning: {forecasts['warning']}"

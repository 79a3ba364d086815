"""Series and their figures for people: a line of small bars, tables, the card of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.views.card import Card, markdown_table

if TYPE_CHECKING:  # takes longer to load than most commands
    from rich.table import Table

__all__ = [
    "METHOD_COLUMNS",
    "card_of",
    "figures_told",
    "forecasts_table",
    "method_notes",
    "method_rows",
    "sparkline",
]

BARS = "▁▂▃▄▅▆▇█"

METHOD_COLUMNS = ("MASE", "sMAPE", "CRPS", "WQL", "80 % holds", "90 % holds")


def sparkline(before: NDArray[Any], after: NDArray[Any] | None = None) -> str:
    """Values as bars of eight heights; a bar stands between what was and what is drawn, a dot where nothing is known."""
    parts = [np.asarray(before, dtype=np.float64)]
    if after is not None:
        parts.append(np.asarray(after, dtype=np.float64))
    known = np.concatenate(parts)
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    # Halves: the difference of two large numbers may be none.
    span = high / 2 - low / 2

    def bar(value: float) -> str:
        if not math.isfinite(value):
            return "·"
        share = 0.5 if span <= 0 else (value / 2 - low / 2) / span
        return BARS[min(len(BARS) - 1, int(share * len(BARS)))]

    return "│".join("".join(map(bar, part.tolist())) for part in parts)


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


def card_of(bundle: SeriesBundle, summary: Mapping[str, Any]) -> Card:
    """Contents of the card of a run.

    Arguments:
        bundle: the model.
        summary: as in `summary.json`.
    """
    facts = bundle.provenance
    if summary["loss"] is None:
        figures = [f"None: {summary['reason']}."]
    else:
        figures = [
            f"{summary['protocol']['split']}; {summary['protocol']['context']}.",
            "",
            f"Density: {summary['loss']:.4f} nats a value over {summary['elements']:,} values.",
        ]
        forecasts = summary["forecasts"]
        if forecasts:
            figures += [
                "",
                f"{forecasts['forecasts']:,} forecasts, {forecasts['horizon']} steps ahead:",
                "",
                *markdown_table(("", *METHOD_COLUMNS), method_rows(forecasts)),
            ]
            if forecasts["warning"]:
                figures += ["", f"**{forecasts['warning'][0].upper()}{forecasts['warning'][1:]}.**"]
    return Card(
        title="A model of series",
        summary=f"Trained with rhapsode {facts.rhapsode} for {summary['seconds']:.0f} s "
        f"({summary['steps']:,} updates); {summary['parameters']:,} parameters.",
        data=[
            f"{facts.series:,} series, {facts.values:,} values, {bundle.facts.frequency}; "
            f"a season of {bundle.facts.season}. Values: {', '.join(bundle.facts.names)}.",
            f"SHA-256 of the data: `{facts.data_sha256}`.",
        ],
        made_of=[
            f"{bundle.config.model.name}; {bundle.config.head.name}",
            *summary["plan"]["reasons"],
            f"selected on {facts.selected_on}",
        ],
        figures=figures,
        limits=[
            "It has seen nothing but these series. Forecasts are sample paths: they say what would follow if what "
            "comes is like what was. A history that is shorter than a few seasons tells it little.",
        ],
        use=[
            f"rhapsode forecast . history.csv --horizon {bundle.facts.horizon} --plot forecast.svg"
        ],
    )


def figures_told(summary: Mapping[str, Any], title: str) -> Iterator[Any]:
    """Lines and tables of the figures of a sweep, for people."""
    if summary["loss"] is None:
        return
    yield title
    yield f"density: {summary['loss']:.4f} nats a value over {summary['elements']:,} values"
    if summary["forecasts"]:
        yield forecasts_table(summary["forecasts"])
        yield from method_notes(summary["forecasts"])


def forecasts_table(forecasts: Mapping[str, Any]) -> Table:
    """Methods and their figures, for people."""
    from rich.table import Table

    count, steps = forecasts["forecasts"], forecasts["horizon"]
    table = Table(
        title=f"{count:,} forecast{'s' if count != 1 else ''}, {steps} steps ahead",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("")
    for name in METHOD_COLUMNS:
        table.add_column(name, justify="right")
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

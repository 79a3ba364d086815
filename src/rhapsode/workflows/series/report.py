"""Series and their figures for people: a line of small bars, tables, the card of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.series_facts import SeriesBundle

__all__ = ["METHOD_COLUMNS", "card", "method_rows", "sparkline"]

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


def card(bundle: SeriesBundle, summary: Mapping[str, Any]) -> str:
    """The README of a run."""
    facts = bundle.provenance
    lines = [
        "# A model of series",
        "",
        f"{facts.series:,} series, {facts.values:,} values, {bundle.facts.frequency}; "
        f"a season of {bundle.facts.season}. Values: {', '.join(bundle.facts.names)}.",
        f"sha256 of the data: `{facts.data_sha256}`.",
        "",
        "```sh",
        f"rhapsode forecast RUN history.csv --horizon {bundle.facts.horizon} --plot forecast.svg",
        "```",
        "",
        "## Made of",
        "",
        f"- {bundle.config.model.name}, {summary['parameters']:,} parameters; {bundle.config.head.name}",
        *(f"- {reason}" for reason in summary["plan"]["reasons"]),
        f"- selected on {facts.selected_on}",
        "",
        "## Figures",
        "",
    ]
    if summary["loss"] is None:
        lines.append(f"None: {summary['reason']}.")
    else:
        lines += [
            f"{summary['protocol']['split']}; {summary['protocol']['context']}.",
            "",
            f"Density: {summary['loss']:.4f} nats a value over {summary['elements']:,} values.",
        ]
        forecasts = summary["forecasts"]
        if forecasts:
            lines += [
                "",
                f"{forecasts['forecasts']:,} forecasts, {forecasts['horizon']} steps ahead:",
                "",
                "| | " + " | ".join(METHOD_COLUMNS) + " |",
                "|---|" + "---|" * len(METHOD_COLUMNS),
                *("| " + " | ".join(row) + " |" for row in method_rows(forecasts)),
            ]
            if forecasts["warning"]:
                lines += ["", f"**{forecasts['warning'][0].upper()}{forecasts['warning'][1:]}.**"]
    lines += [
        "",
        "## Limits",
        "",
        "It has seen nothing but these series. Forecasts are sample paths: they say what would follow if what comes is "
        "like what was. A history that is shorter than a few seasons tells it little.",
        "",
    ]
    return "\n".join(lines)

"""The card of a run on series, and what is told at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.views.card import Card, markdown_table
from rhapsode.views.figures import (
    METHOD_COLUMNS,
    density_in_words,
    forecasts_table,
    method_notes,
    method_rows,
)

__all__ = ["card_of", "figures_told"]


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
    yield density_in_words(summary)
    if summary["forecasts"]:
        yield forecasts_table(summary["forecasts"])
        yield from method_notes(summary["forecasts"])

"""Comparisons of models for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from rhapsode.views.figures import number


def text_comparison(found: Mapping[str, Any], title: str) -> Iterator[RenderableType]:
    """Bits per character of models of text, paired differences, protocols.

    Arguments:
        found: plain values of the comparison.
        title: above them.
    """
    elements = Column("elements", style="dim", no_wrap=True)
    others = ("nats each", "network", "n-gram", "unknown", "weights")
    table = _table(title, "bits/char", elements, *map(_figure, others))
    for row in found["rows"]:
        figures = row["figures"]
        floor = figures["floors"]["ngram"]
        table.add_row(
            row["model"],
            f"{figures['bits_per_character']:.4f}",
            f"{figures['elements']:,} {row['encoding']}",
            f"{figures['loss']:.4f}",
            f"{(figures['network'] or figures)['loss']:.4f}",
            "-" if floor is None else f"{floor:.4f}",
            f"{figures['unknown_rate']:.2%}",
            f"{row['parameters'] / 1e6:.2f}M",
        )
    yield table
    yield Text()
    yield from _contrasts(found)
    for row in found["rows"]:
        protocol = row["figures"]["protocol"]
        told = (
            f"{row['model']}: {protocol['context']}; normalisation: {protocol['normalisation']}; "
            f"unknown cost: {protocol['unknown_cost']}; share of the n-gram: "
            f"{row['figures']['ngram_share']:.3g}"
        )
        yield Text(told, style="dim")
    if found["caution"] is not None:
        yield Text(found["caution"], style="yellow")


def forecast_comparison(found: Mapping[str, Any], title: str) -> Iterator[RenderableType]:
    """Density, MASE and CRPS of models of series, and paired differences.

    Arguments:
        found: plain values of the comparison.
        title: above them.
    """
    others = ("values", "MASE", "CRPS", "distribution", "weights")
    table = _table(title, "nats a value", *map(_figure, others))
    for row in found["rows"]:
        figures = row["figures"]
        forecasts = figures["forecasts"] or {"methods": {"model": {"mase": None, "crps": None}}}
        own = forecasts["methods"]["model"]
        table.add_row(
            row["model"],
            f"{figures['loss']:.4f}",
            f"{figures['elements']:,}",
            number(own["mase"]),
            number(own["crps"]),
            row["encoding"],
            f"{row['parameters'] / 1e6:.2f}M",
        )
    yield table
    yield Text()
    yield from _contrasts(found)
    yield Text(found["rows"][0]["figures"]["protocol"]["split"], style="dim")


def plain_comparison(found: Mapping[str, Any], title: str) -> Iterator[RenderableType]:
    """Nats per element of models that share their elements, and paired differences."""
    table = _table(title, "nats each", _figure("weights"))
    for row in found["rows"]:
        loss, weights = row["figures"]["loss"], row["parameters"] / 1e6
        table.add_row(row["model"], f"{loss:.4f}", f"{weights:.2f}M")
    yield table
    yield Text()
    yield from _contrasts(found)


def _figure(name: str, style: str = "dim") -> Column:
    return Column(name, justify="right", style=style, no_wrap=True)


def _table(title: str, measure: str, *others: Column) -> Table:
    return Table(
        Column("model", style="bold", overflow="fold"),
        _figure(measure, "bold"),
        *others,
        title=title,
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )


def _contrasts(found: Mapping[str, Any]) -> Iterator[Text]:
    for contrast in found["contrasts"]:
        yield _contrast(contrast, found["units"])
    yield Text(f"paired over {found['passages']}", style="dim")


def _contrast(contrast: Mapping[str, Any], units: str) -> Text:
    difference = contrast["difference"]
    low, high, p_value = (difference[name] for name in ("low", "high", "p_value"))
    line = Text.assemble(
        (contrast["better"], "bold green"),
        f" needs {difference[contrast['measure']]:.4f} {contrast['name']} less than ",
        (contrast["worse"], "bold"),
    )
    if p_value is None:
        line.append(f"; too few {units} for a test", style="dim")
        return line
    line.append(f" (95 %: {low:.4f} to {high:.4f}")
    sure = p_value < 0.05
    line.append(f"; p = {p_value:.4f}, ", style="")
    line.append(
        "more than chance" if sure else "may be chance", style="green" if sure else "yellow"
    )
    line.append(f"; {difference[units]:,} {units})")
    return line

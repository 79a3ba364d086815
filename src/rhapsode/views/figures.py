"""Figures of models and of forecasts in words and tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # takes longer to load than a text to write
    from rich.console import RenderableType
    from rich.table import Table

METHOD_COLUMNS = ("MASE", "sMAPE", "CRPS", "WQL", "80 % holds", "90 % holds")


def mixture_rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the parts of a mixture lose alone, and the share of the n-gram model; nothing where there is no mixture.

    Arguments:
        figures: as in `Figures.to_mapping`.
    """
    if not figures["ngram_share"]:
        return []
    floors = figures["floors"]
    return [
        ("the network alone", figure_in_words(figures["network"]["loss"], 4)),
        (
            f"the n-gram alone ({floors.get('ngram_model', 'none')})",
            figure_in_words(floors["ngram"], 4),
        ),
        ("share of the n-gram", f"{figures['ngram_share']:.3g}"),
    ]


def figure_in_words(value: float | None, digits: int) -> str:
    """A figure with so many decimals; one that is too large for that in powers of ten, and none as a dash."""
    if value is None:
        return "-"
    return f"{value:,.{digits}f}" if abs(value) < 1e9 else f"{value:.3g}"


def interval_in_words(interval: Mapping[str, Any] | None) -> str:
    """A 95 % interval behind its figure; nothing where there is none."""
    if interval is None:
        return ""
    return f" (95 %: {interval['low']:.4f} to {interval['high']:.4f}, over {interval['units']})"


def figures_table(figures: Mapping[str, Any], title: str) -> Table:
    """The figures of a sweep and how they came about, for people."""
    from rich.table import Column, Table

    table = Table(
        Column(style="dim"),
        Column(justify="right", style="bold"),
        title=title,
        title_justify="left",
        show_header=False,
        box=None,
        padding=(0, 2, 0, 0),
        min_width=min(len(title) + 2, 100),
    )
    floors = figures["floors"]

    interval = figures["interval"]
    about = f" ± {1.96 * interval['standard_error']:.4f}" if interval else ""
    table.add_row("loss (nats per element)", figure_in_words(figures["loss"], 4) + about)
    for name, value in mixture_rows(figures):
        table.add_row(f"  {name}", value)
    table.add_row("perplexity", figure_in_words(figures["perplexity"], 3))
    table.add_row("bits per byte", figure_in_words(figures["bits_per_byte"], 4))
    table.add_row("bits per character", figure_in_words(figures["bits_per_character"], 4))
    if figures["word_perplexity"] is not None:
        table.add_row("perplexity per word", figure_in_words(figures["word_perplexity"], 2))
    table.add_row("elements scored", f"{figures['elements']:,}")
    table.add_row("unknown elements", f"{figures['unknown_rate']:.2%}")
    table.add_row("floor: uniform / unigram", f"{floors['uniform']:.3f} / {floors['unigram']:.3f}")
    if floors["ngram"] is not None and not figures["ngram_share"]:
        table.add_row(f"floor: n-gram, {floors['ngram_model']}", f"{floors['ngram']:.4f}")
    return table


def forecasts_report(metrics: Mapping[str, Any], title: str) -> Iterator[RenderableType]:
    """Density, and a table of forecasts by each method, under a title.

    Arguments:
        metrics: plain values of the metrics of a model of series.
        title: above them.
    """
    yield title
    yield density_in_words(metrics)
    if metrics["forecasts"]:
        yield forecasts_table(metrics["forecasts"])


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

"""Figures of a model in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # takes longer to load than a text to write
    from rich.table import Table

__all__ = ["figure_in_words", "figures_table", "interval_in_words", "mixture_rows"]


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

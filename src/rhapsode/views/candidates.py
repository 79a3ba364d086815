"""Distributions of the next element or value as tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from rhapsode.views.blocks import bar, on_one_line, visible
from rhapsode.views.tables import bare_table, number_column, number_columns
from rhapsode.views.terminal.mixture_table import MOST_NAME, Parts, parts_table, share_in_words

# Cells of a bar.
NARROWEST, WIDEST = 6, 24
RANK = 4
NUMBER = 8
GAP = 4


@dataclass(frozen=True)
class Candidate:
    """One element that may come next.

    Arguments:
        element: its id.
        text: its name.
        share: its probability after the chain of filters, 0 to 1.
        raw_share: its probability before the chain.
        rank: its place among all elements before the chain, from 1.
        parts: contributions of network and counts; None where a single model predicts.
    """

    element: int
    text: str
    share: float
    raw_share: float
    rank: int
    parts: Parts | None = None

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = asdict(self)
        if self.parts is None:
            del plain["parts"]
        return plain


@dataclass(frozen=True)
class NextElements:
    """The distribution over the next element, in short.

    Arguments:
        prompt: the text before it.
        temperature: of the chain.
        chain: the filters in words.
        candidates: how many elements the chain leaves.
        entropy: of the elements that it leaves, nats.
        raw_entropy: before the chain, nats.
        top: the likeliest ones, in order.
        share_V: the probability of every element after the chain.
    """

    prompt: str
    temperature: float
    chain: str
    candidates: int
    entropy: float
    raw_entropy: float
    top: tuple[Candidate, ...]
    share_V: NDArray[np.float64] = field(repr=False, compare=False)

    @property
    def perplexity(self) -> float:
        """The number of equally likely elements with the same entropy."""
        return float(np.exp(self.entropy))

    @property
    def rest(self) -> float:
        """The probability of all elements that are not among the likeliest."""
        return max(0.0, 1.0 - sum(candidate.share for candidate in self.top))

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "prompt": self.prompt,
            "temperature": self.temperature,
            "chain": self.chain,
            "candidates": self.candidates,
            "entropy": self.entropy,
            "perplexity": self.perplexity,
            "raw_entropy": self.raw_entropy,
            "rest": self.rest,
            "top": [candidate.to_mapping() for candidate in self.top],
        }


def beside(tables: Sequence[Sequence[NextElements]], width: int) -> list[Table]:
    """The tables of all prompts, as many side by side as fit.

    Arguments:
        tables: for each prompt, one distribution a temperature.
        width: cells.
    """
    candidates = [candidate for row in tables for one in row for candidate in one.top]
    lengths = [cell_len(visible(candidate.text)) for candidate in candidates]
    names = min(MOST_NAME, max((*lengths, len("entropy, nats"))))
    full = max(candidate.share for candidate in candidates)
    temperatures = len(tables[0])
    narrowest = RANK + names + temperatures * (NUMBER + NARROWEST + 3)
    if any(each.parts is not None for each in candidates):
        narrowest = max(narrowest, RANK + MOST_NAME + 3 * NUMBER)
    several = max(1, min(len(tables), (width + GAP) // (narrowest + GAP)))
    block = (width - GAP * (several - 1)) // several
    cells = max(1, min(WIDEST, (block - RANK - names) // temperatures - NUMBER - 3))
    blocks = [_with_parts(row, next_table(row, cells, names, full), block) for row in tables]
    return [
        bare_table(rows=[blocks[first : first + several]], padding=(0, GAP, 0, 0), pad_edge=False)
        for first in range(0, len(blocks), several)
    ]


def _with_parts(row: Sequence[NextElements], table: Table, width: int) -> RenderableType:
    """A table, and below it the parts of each element where network and counts are mixed."""
    named = {candidate.element: candidate for one in row for candidate in one.top}
    parts = [(one.rank, one.text, one.parts) for one in named.values() if one.parts is not None]
    return Group(table, Text(), parts_table(parts, RANK, width)) if parts else table


def next_table(row: Sequence[NextElements], cells: int, names: int, full: float) -> Table:
    """Distributions after one prompt at each temperature, as numbers and bars.

    Arguments:
        row: one for each temperature.
        cells: width of a bar.
        names: width of the names.
        full: the probability that fills a bar.
    """
    width = RANK + names + len(row) * (NUMBER + cells + 3)
    named = {candidate.element: candidate for one in row for candidate in one.top}
    columns = [
        Column("", justify="right", style="dim", width=RANK - 1),
        Column("", width=names + 1, no_wrap=True, overflow="ellipsis"),
    ]
    for one in row:
        columns += [
            number_column(f"T {one.temperature:g}", width=NUMBER, no_wrap=True),
            Column("", style="cyan", width=cells + 3, no_wrap=True),
        ]

    def share_cells(share: float) -> tuple[Text | str, ...]:
        style = "" if share > 0 else "dim"
        return Text(share_in_words(share), style=style), " " + bar(share, cells, full=full)

    rows: Iterator[tuple[Text | str, ...]] = (
        (
            f"{candidate.rank}",
            Text(f" {visible(candidate.text)}", style="bold"),
            *chain(*(share_cells(float(one.share_V[candidate.element])) for one in row)),
        )
        for candidate in named.values()
    )
    title = _title(row[0].prompt, width - 1)
    table = bare_table(*columns, rows=rows, title=title, padding=(0, 0, 0, 0), pad_edge=False)
    others = [1.0 - float(one.share_V[list(named)].sum()) for one in row]
    facts = {
        "others": [share_in_words(share if share > 1e-9 else 0.0) for share in others],
        "candidates": [f"{one.candidates:,}" for one in row],
        "perplexity": [f"{one.perplexity:,.2f}" for one in row],
        "entropy, nats": [f"{one.entropy:.2f}" for one in row],
    }
    for name, values in facts.items():
        table.add_row(
            "", f" {name}", *(cell for value in values for cell in (value, "")), style="dim"
        )
    return table


def _title(prompt: str, width: int) -> Text:
    if not prompt:
        return Text("at the beginning of a text", style="italic")
    shown = on_one_line(prompt)
    cut = cell_len(shown) > width
    while cell_len(shown) > width - cut:
        shown = shown[1:]
    return Text(f"…{shown}" if cut else shown, style="bold")


def candidates_table(candidates: Sequence[Candidate], chosen: int, width: int) -> Table:
    """Probabilities before and after the filters.

    Arguments:
        candidates: a line each.
        chosen: id of the element that was chosen.
        width: cells of the terminal.
    """
    parts = {one.element: one.parts for one in candidates if one.parts is not None}
    cells = max(6, min(24, width - 50 - 20 * bool(parts)))
    full = max(candidate.share for candidate in candidates) or 1.0
    return bare_table(
        number_column(style="dim"),
        "",
        *number_columns(*(("network", "counts") if parts else ()), "model", "chain"),
        Column(style="cyan", width=cells, no_wrap=True),
        rows=(
            (
                f"{'→ ' if one.element == chosen else ''}{one.rank}",
                Text(visible(one.text), style="bold" if one.element == chosen else ""),
                *(map(share_in_words, _alone(parts[one.element])) if parts else ()),
                share_in_words(one.raw_share),
                share_in_words(one.share),
                bar(one.share, cells, full=full),
            )
            for one in candidates
        ),
    )


def _alone(parts: Parts) -> tuple[float, float]:
    return parts.network, parts.counts


def elements_text(shown: Mapping[str, Any], *, most: int | None = None) -> Text:
    """Elements followed by their ids, unknown ones in red."""
    line = Text()
    for element, name in list(zip(shown["ids"], shown["elements"], strict=True))[:most]:
        line.append(visible(name), style="bold red" if element == 1 else "bold")
        line.append(f" {element}  ", style="dim cyan")
    return line


def steps_table(
    title: str,
    levels: Sequence[float],
    rows: Sequence[tuple[str, Sequence[float]]],
    width: int,
) -> Table:
    """Quantiles of steps, a row each, and bars if they fit.

    Arguments:
        title: the series, or the text before the steps.
        levels: of the quantiles, rising.
        rows: name of a step, and its quantiles.
        width: cells of the terminal.
    """
    low = min(min(quantiles) for _, quantiles in rows)
    high = max(max(quantiles) for _, quantiles in rows)
    cells = min(24, width - 14 * (len(levels) + 1))
    columns = number_columns(*(f"{level:.0%}" for level in levels), no_wrap=True)
    lines = [[name, *(f"{value:.6g}" for value in quantiles)] for name, quantiles in rows]
    if cells > 5:
        columns.append(Column("", style="cyan", width=cells, no_wrap=True))
        for line, (_, quantiles) in zip(lines, rows, strict=True):
            middle = quantiles[len(levels) // 2]
            line.append(bar(middle - low, cells, full=(high - low) or 1.0))
    texts = (map(Text, line) for line in lines)
    return bare_table("", *columns, rows=texts, title=Text(title, style="bold"))


def choice_table(
    name: str, levels: Sequence[float], quantiles: Sequence[float], value: float
) -> Table:
    """Quantiles of one number, with the chosen value among them.

    Arguments:
        name: of the number.
        levels: of the quantiles, rising.
        quantiles: of the model.
        value: the chosen one; NaN where it is missing.
    """
    rows: list[tuple[str, str | Text]] = [
        (f"{level:.0%}", f"{quantile:.6g}")
        for level, quantile in zip(levels, quantiles, strict=True)
    ]
    if not isnan(value):
        place = sum(quantile <= value for quantile in quantiles)
        rows.insert(place, ("→", Text(f"{value:.6g}", style="bold")))
    return bare_table(number_column(style="dim"), number_column(name), rows=rows)

"""The likeliest next elements as tables, and what stood before and behind the filters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from rhapsode.views.blocks import bar, visible

# Cells of a bar.
NARROWEST, WIDEST = 6, 24
# Cells of an element's name.
MOST_NAME = 16
RANK = 4
NUMBER = 8
GAP = 4


@dataclass(frozen=True)
class Candidate:
    """One element that may come next.

    Arguments:
        element: its id.
        text: its name.
        share: its probability behind the chain of filters, 0 to 1.
        raw_share: the same before the chain.
        rank: its place among all elements before the chain, from 1.
    """

    element: int
    text: str
    share: float
    raw_share: float
    rank: int


@dataclass(frozen=True)
class NextElements:
    """The distribution over the next element, in short.

    Arguments:
        prompt: what stands before it.
        temperature: of the chain.
        chain: the filters in words.
        candidates: how many elements the chain leaves.
        entropy: of what it leaves, nats.
        raw_entropy: before the chain, nats.
        top: the likeliest ones, in order.
        share_V: the probability of every element behind the chain.
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
        """Among how many equally likely elements the choice would be as hard."""
        return float(np.exp(self.entropy))

    @property
    def rest(self) -> float:
        """The share of all that are not among the likeliest."""
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
            "top": [asdict(candidate) for candidate in self.top],
        }


def share_in_words(share: float) -> str:
    """A share in per cent."""
    if share <= 0:
        return "–"
    return "<0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def beside(tables: Sequence[Sequence[NextElements]], width: int) -> list[RenderableType]:
    """The tables of all prompts, as many side by side as fit; bars of all have one scale.

    Arguments:
        tables: for each prompt, one distribution a temperature.
        width: cells.
    """
    names = max(_name_width(row) for row in tables)
    columns = len(tables[0])

    def room(blocks: int) -> int:
        """Cells of a bar where so many tables stand side by side."""
        block = (width - GAP * (blocks - 1)) // blocks
        return (block - RANK - names) // columns - NUMBER - 3

    several = len(tables)
    while several > 1 and room(several) < NARROWEST:
        several -= 1
    cells = max(1, min(WIDEST, room(several)))
    full = max(candidate.share for row in tables for one in row for candidate in one.top)
    blocks = [next_table(row, cells, names, full) for row in tables]
    lines: list[RenderableType] = []
    for start in range(0, len(blocks), several):
        grid = Table.grid(padding=(0, GAP, 0, 0))
        grid.add_row(*blocks[start : start + several])
        lines.append(grid)
    return lines


def _name_width(row: Sequence[NextElements]) -> int:
    found = (cell_len(visible(candidate.text)) for one in row for candidate in one.top)
    return min(MOST_NAME, max((*found, len("entropy, nats"))))


def next_table(row: Sequence[NextElements], cells: int, names: int, full: float) -> Table:
    """Distributions behind one prompt, a number and a bar a temperature.

    Arguments:
        row: one for each temperature.
        cells: width of a bar.
        names: width of the names.
        full: the share that fills a bar.
    """
    width = RANK + names + len(row) * (NUMBER + cells + 3)
    table = Table(
        Column("", justify="right", style="dim", width=RANK - 1),
        Column("", width=names + 1, no_wrap=True, overflow="ellipsis"),
        title=_title(row[0].prompt, width - 1),
        title_justify="left",
        title_style="",
        box=None,
        padding=0,
        pad_edge=False,
        header_style="dim",
    )
    for one in row:
        table.add_column(f"T {one.temperature:g}", justify="right", width=NUMBER, no_wrap=True)
        table.add_column("", style="cyan", width=cells + 3, no_wrap=True)
    rows: dict[int, Candidate] = {}
    for one in row:
        for candidate in one.top:
            rows.setdefault(candidate.element, candidate)
    for candidate in rows.values():
        line = [Text(f"{candidate.rank}"), Text(f" {visible(candidate.text)}", style="bold")]
        for one in row:
            share = float(one.share_V[candidate.element])
            line.append(Text(share_in_words(share), style="" if share > 0 else "dim"))
            line.append(Text(" " + bar(share, cells, full=full)))
        table.add_row(*line)
    for name, values in _facts(row, list(rows)):
        line = [Text(""), Text(f" {name}")]
        for value in values:
            line += [Text(value), Text("")]
        table.add_row(*line, style="dim")
    return table


def _facts(row: Sequence[NextElements], shown: list[int]) -> list[tuple[str, list[str]]]:
    """What else is left, and how hard the choice is."""
    return [
        ("others", [share_in_words(_rest(one, shown)) for one in row]),
        ("candidates", [f"{one.candidates:,}" for one in row]),
        ("perplexity", [f"{one.perplexity:,.2f}" for one in row]),
        ("entropy, nats", [f"{one.entropy:.2f}" for one in row]),
    ]


def _rest(one: NextElements, named: list[int]) -> float:
    left = 1.0 - float(one.share_V[named].sum())
    return left if left > 1e-9 else 0.0


def _title(prompt: str, width: int) -> Text:
    """The end of a prompt, as much of it as there is room for."""
    if not prompt:
        return Text("at the beginning of a text", style="italic")
    shown = prompt.replace("\n", "↵").replace("\t", "⇥")
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
    cut = cell_len(shown) > width
    while cell_len(shown) > width - cut:
        shown = shown[1:]
    return Text(f"…{shown}" if cut else shown, style="bold")


@dataclass(frozen=True)
class Chosen:
    """One of the likeliest elements, or the one that was chosen.

    Arguments:
        rank: before the filters, from 1.
        name: of the element.
        raw_log_prob: before the filters, nats.
        log_prob: behind them.
        chosen: True for the one that was chosen.
    """

    rank: int
    name: str
    raw_log_prob: float
    log_prob: float
    chosen: bool


def candidates_table(rows: Sequence[Chosen], width: int) -> Table:
    """Probabilities before and behind the filters.

    Arguments:
        rows: a line each.
        width: cells of the terminal.
    """
    cells = max(6, min(24, width - 50))
    table = Table(
        Column(justify="right", style="dim"),
        "",
        Column("model", justify="right"),
        Column("chain", justify="right"),
        Column(style="cyan", width=cells, no_wrap=True),
        box=None,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    shares = [(_share(row.raw_log_prob), _share(row.log_prob)) for row in rows]
    full = max(after for _, after in shares) or 1.0
    for row, (raw, after) in zip(rows, shares, strict=True):
        table.add_row(
            f"{'→ ' if row.chosen else ''}{row.rank}",
            Text(visible(row.name), style="bold" if row.chosen else ""),
            share_in_words(raw),
            share_in_words(after),
            bar(after, cells, full=full),
        )
    return table


def _share(log_prob: float) -> float:
    return math.exp(log_prob) if log_prob > -math.inf else 0.0


def visible_end(text: str, most: int) -> str:
    """The end of a text on one line."""
    return visible(text[-most:]).replace("␣", " ")


def elements_text(shown: Mapping[str, Any], *, most: int | None = None) -> Text:
    """Elements with their ids behind them, white space made visible, unknown ones in red."""
    line = Text()
    for element, name in list(zip(shown["ids"], shown["elements"], strict=True))[:most]:
        line.append(visible(name), style="bold red" if element == 1 else "bold")
        line.append(f" {element}  ", style="dim cyan")
    return line

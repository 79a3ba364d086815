"""`rhapsode next`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from rhapsode.cli.console import note, print_json
from rhapsode.cli.parse import parse, read_stdin, settings_of
from rhapsode.config import GenerateSettings, Positional, option
from rhapsode.config.sampling import SamplingSettings
from rhapsode.errors import SettingsError
from rhapsode.views.blocks import bar, visible

if TYPE_CHECKING:
    from rhapsode.workflows.inference.next_elements import Candidate, NextElements

__all__ = ["NextCommand", "next_table", "run", "share_in_words"]

DESCRIPTION = """The table of likeliest next elements behind a prompt: what the model expects, and what the sampling steps
leave of it.

A space is shown as ␣, a line end as ↵. The number before an element is its place among all of them before any sampling
step. Perplexity tells among how many equally likely elements the choice would be as hard."""

NARROWEST, WIDEST = 6, 24
"""Cells of a bar."""
MOST_NAME = 16
"""Cells of an element's name."""
RANK = 4
NUMBER = 8
GAP = 4


@dataclass(frozen=True)
class _Next:
    """What is shown."""

    top: Annotated[Annotated[int, Meta(ge=1, le=1000)], option("N")] = 5
    """How many elements to show."""
    temperatures: Annotated[
        tuple[Annotated[float, Meta(ge=0.0, le=1e6)], ...], option("T", "that of --temperature")
    ] = ()
    """Temperatures to show side by side."""
    unknown: Literal["error", "skip"] = "error"
    """What to do with characters of the prompt that the model has never seen; skip drops them."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True)
class _Places:
    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    text: Positional[Annotated[tuple[str, ...], option("PROMPT", "the beginning of a text")]] = ()
    """Texts to look behind; - reads one from standard input."""


@dataclass(frozen=True)
class NextCommand(SamplingSettings, _Next, _Places):
    """Flags of `rhapsode next`."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command = parse(NextCommand, "next", DESCRIPTION, arguments)
    shown = settings_of(command, _Next)
    sampling = settings_of(command, SamplingSettings)
    if sampling.trace is not None:
        raise SettingsError("nothing is written here", where="--trace", hint="see --top")
    settings = GenerateSettings(**sampling.__dict__, unknown=shown.unknown)
    from rhapsode.modalities.text.model import TextModel
    from rhapsode.workflows.inference.next_elements import next_elements

    model = TextModel(command.model)
    prompts = [read_stdin() if text == "-" else text for text in command.text or ("",)]
    for prompt in prompts:
        if unknown := model.unknown_words(prompt):
            named = ", ".join(map(repr, unknown[:8]))
            note(f"warning: the model does not know {named}, and reads the unknown element there")
    model.predictor_for("auto", note)
    tables = next_elements(model, prompts, settings, temperatures=shown.temperatures, top=shown.top)
    if sampling.explain:
        for chain in dict.fromkeys(one.chain for one in tables[0]):
            note(chain)
    if shown.json:
        found = [one.to_mapping() for row in tables for one in row]
        print_json({"model": str(model.path), "next": found})
        return 0
    console = Console(highlight=False)
    for block in beside(tables, console.width):
        console.print()
        console.print(block)
    return 0


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
        title=_title(row[0].prompt, width - 1),
        title_justify="left",
        title_style="",
        box=None,
        padding=0,
        pad_edge=False,
        header_style="dim",
    )
    table.add_column("", justify="right", style="dim", width=RANK - 1)
    table.add_column("", width=names + 1, no_wrap=True, overflow="ellipsis")
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

"""What goes where: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rhapsode.errors import RunError

__all__ = [
    "elements_text",
    "fail",
    "figures_table",
    "json_text",
    "note",
    "print_json",
    "put",
    "stderr",
]

stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def note(line: str) -> None:
    """A plain line on stderr."""
    stderr.print(Text(line), style="dim")


def fail(message: str) -> None:
    """An error: one line on stderr."""
    stderr.print(Text.assemble(("error: ", "bold red"), message))


def print_json(mapping: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    put(json_text(mapping) + "\n")


def put(text: str) -> None:
    """Write a result to stdout at once; escapes for bytes that were never UTF-8 become those bytes again.

    Raises:
        RunError: stdout is closed, or its disk is full.
    """
    if sys.stdout is None:
        raise RunError("standard output is closed", hint="leave it open, or send it to a file")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as problem:
        # What could not be written is not tried again when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise RunError(f"cannot write: {problem.strerror}", where="standard output") from None


def json_text(mapping: Mapping[str, Any]) -> str:
    """A mapping as JSON; bytes that were never UTF-8 as the escapes of what stands for them."""
    text = json.dumps(mapping, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def elements_text(shown: Mapping[str, Any], *, most: int | None = None) -> Text:
    """Elements with their ids behind them, white space made visible, unknown ones in red."""
    line = Text()
    for element, name in list(zip(shown["ids"], shown["elements"], strict=True))[:most]:
        visible = name.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥")
        visible = "".join(c if c.isprintable() else repr(c)[1:-1] for c in visible)
        line.append(visible, style="bold red" if element == 1 else "bold")
        line.append(f" {element}  ", style="dim cyan")
    return line


def figures_table(figures: Mapping[str, Any], title: str) -> Table:
    """The figures of a sweep and how they came about, for people."""
    table = Table(
        title=title,
        title_justify="left",
        show_header=False,
        box=None,
        padding=(0, 2, 0, 0),
        min_width=min(len(title) + 2, 100),
    )
    table.add_column(style="dim")
    table.add_column(justify="right", style="bold")
    floors = figures["floors"]

    from rhapsode.workflows.card import (
        figure_in_words,
        mixture_rows,
    )  # late: with it comes what reads models

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

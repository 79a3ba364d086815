"""`rhapsode encode`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from rich.console import Console

from rhapsode.cli.console import elements_text, print_json
from rhapsode.cli.parse import parse, read_stdin
from rhapsode.config import Positional, option

__all__ = ["EncodeCommand", "run"]

DESCRIPTION = """The elements that a model sees in a text, their ids, and what it does not know."""


@dataclass(frozen=True)
class EncodeCommand:
    """Flags of `rhapsode encode`."""

    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    text: Positional[Annotated[str, option("TEXT", "standard input")]] = "-"
    """The text; - reads it from standard input."""
    json: bool = False
    """Print one JSON object."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command = parse(EncodeCommand, "encode", DESCRIPTION, arguments)
    from rhapsode.modalities.text.facts import read_text_bundle
    from rhapsode.workflows.inference.show_corpus import elements_of

    encoder = read_text_bundle(command.model).encoder
    text = read_stdin() if command.text == "-" else command.text
    shown = elements_of(encoder, text)
    if command.json:
        print_json(shown)
        return 0
    console = Console(highlight=False)
    console.print(elements_text(shown))
    summary = f"{len(shown['ids']):,} elements"
    if shown["unknown"]:
        named = ", ".join(map(repr, shown["unknown"][:8]))
        summary += f", {shown['unknown_elements']} of them unknown: {named}"
    console.print(summary, markup=False)
    return 0

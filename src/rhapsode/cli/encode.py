"""`rhapsode encode`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from rhapsode.cli.console import print_json
from rhapsode.cli.parse import parse, read_stdin
from rhapsode.config import Positional, option

__all__ = ["EncodeCommand", "run"]

DESCRIPTION = """Show the elements of a text, their ids, and unknown characters.

For a table of series, the scaled values that the network reads are shown."""


@dataclass(frozen=True)
class EncodeCommand:
    """Options."""

    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    text: Positional[Annotated[str, option("TEXT", "standard input")]] = "-"
    """Text, or a table of series; - reads it from standard input."""
    json: bool = False
    """Print one JSON object."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command, _ = parse(EncodeCommand, "encode", DESCRIPTION, arguments)
    from rhapsode.workflows import load

    model = load(command.model)
    piped = command.text == "-" and model.prompts_are_text
    seen = model.encoded(read_stdin() if piped else command.text)
    if command.json:
        print_json(seen.to_mapping())
        return 0
    from rich.console import Console

    console = Console(highlight=False)
    for block in seen.shown(console.width):
        console.print(block)
    return 0

"""`rhapsode info`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from rhapsode.cli.console import print_json
from rhapsode.cli.parse import parse
from rhapsode.config import Positional, option

__all__ = ["InfoCommand", "run"]

DESCRIPTION = "Show components, layer shapes, parameters, encoder and provenance of a model."


@dataclass(frozen=True)
class InfoCommand:
    """Options."""

    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    json: bool = False
    """Print one JSON object."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command, _ = parse(InfoCommand, "info", DESCRIPTION, arguments)
    import rhapsode as rh

    info = rh.info(command.model)
    if command.json:
        print_json(info.to_mapping())
        return 0
    from rich.console import Console

    console = Console(highlight=False)
    for block in info.shown(console.width):
        console.print(block)
    return 0

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
    from rhapsode.workflows import load
    from rhapsode.workflows.inference.describe import describe

    facts = describe(load(command.model))
    if command.json:
        print_json(facts)
        return 0
    from rich.console import Console

    from rhapsode.views.terminal.model_tables import arrays_table, parts_table

    console = Console(highlight=False)
    console.print(parts_table(facts))
    console.print(arrays_table(facts))
    return 0

"""`rhapsode data`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from rich.console import Console
from rich.table import Table
from tyro.conf import Positional

from rhapsode.cli.console import print_json
from rhapsode.cli.parse import parse
from rhapsode.config import option
from rhapsode.data import CATALOGUE

__all__ = ["DataCommand", "run"]

DESCRIPTION = """The corpora that can be named in place of a file."""


@dataclass(frozen=True)
class DataCommand:
    """Flags of `rhapsode data`."""

    action: Positional[Annotated[Literal["list"], option("list", "list")]] = "list"
    """list: the corpora known by name."""
    json: bool = False
    """Print one JSON object."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command = parse(DataCommand, "data", DESCRIPTION, arguments)
    if command.json:
        print_json({name: asdict(entry) for name, entry in CATALOGUE.items()})
        return 0
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("name", "what it is", "licence", "where"):
        table.add_column(heading)
    for name, entry in CATALOGUE.items():
        table.add_row(f"[bold]{name}", entry.title, entry.licence, entry.kind)
    Console(highlight=False).print(table)
    sys.stdout.flush()
    return 0

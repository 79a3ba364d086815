"""`rhapsode demo`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from rhapsode.cli.console import note
from rhapsode.cli.parse import parse
from rhapsode.cli.training_run import run_training
from rhapsode.config import option

__all__ = ["DemoCommand", "run"]

DESCRIPTION = """Train for a minute on the documentation in the Python standard library, then generate at three temperatures.

No data and no internet connection are needed."""

SOURCE = "python-docs"
PROMPT = "The "
TEMPERATURES = (0.5, 0.8, 1.1)


@dataclass(frozen=True)
class DemoCommand:
    """Options."""

    budget: Annotated[str, option("TIME")] = "1m"
    """Training time."""
    output: Annotated[str | None, option("RUN", "runs/python-docs", alias="-o")] = None
    """Run folder; it must not exist yet."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command, _ = parse(DemoCommand, "demo", DESCRIPTION, arguments)
    from rich.console import Console
    from rich.rule import Rule
    from rich.text import Text

    from rhapsode.workflows import load
    from rhapsode.workflows.runs.run import prepare_training

    note("Learning to write like Python's reference manual, a character at a time.")
    training = prepare_training(
        (SOURCE,), {"budget": command.budget}, output=command.output, spent=time.monotonic() - began
    )
    if not run_training(training):
        return 130
    path = training.folder.path
    model = load(path)
    console = Console(highlight=False)
    for temperature in TEMPERATURES:
        console.print()
        console.print(Rule(f"temperature {temperature:g}", align="left", style="cyan"))
        (written,) = model.continuations(PROMPT, temperature=temperature, length=400, seed=1)
        console.print(Text(written.prompt + written.text))
    console.print()
    console.print(Rule("what to type next", align="left", style="cyan"))
    for line in (
        f'rhapsode generate {path} "The value of" --temperature 0.7',
        f"rhapsode info {path}",
        f"rhapsode evaluate {path} python-code",
        "rhapsode train YOUR-FILE.txt -o my-run --budget 3m",
    ):
        console.print(Text(f"  {line}"))
    return 0

"""Train for a minute on the Python documentation, then generate text.

The training text is the documentation in the Python standard library. Texts are generated at three
temperatures. No data and no internet connection are needed.
"""

import time
from dataclasses import dataclass
from typing import Annotated

import rhapsode as rh
from rhapsode.cli.console import note, print_parts
from rhapsode.cli.parse import Typed
from rhapsode.config import option

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

    def run(self, typed: Typed, began: float) -> None:
        from rich.rule import Rule
        from rich.text import Text

        from rhapsode.cli.watch import run_training

        note("Learning to write like Python's reference manual, a character at a time.")
        settings, spent = {"budget": self.budget}, time.monotonic() - began
        training = rh.prepare([SOURCE], settings, output=self.output, spent=spent)
        if not run_training(training):
            raise SystemExit(130)
        path = training.folder.path
        model = rh.load(path)
        for temperature in TEMPERATURES:
            head = Rule(f"temperature {temperature:g}", align="left", style="cyan")
            (text,) = model.continuations(PROMPT, temperature=temperature, length=400, seed=1)
            print_parts([Text(), head, Text(text.prompt + text.text)])
        commands = (
            f'rhapsode generate {path} "The value of" --temperature 0.7',
            f"rhapsode info {path}",
            f"rhapsode evaluate {path} python-code",
            "rhapsode train YOUR-FILE.txt -o my-run --budget 3m",
        )
        head = Rule("what to type next", align="left", style="cyan")
        print_parts([Text(), head, *(Text(f"  {line}") for line in commands)])

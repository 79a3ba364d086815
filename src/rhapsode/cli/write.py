"""Write a text as strokes of a pen.

MODEL was trained on drawings that have a text each. The suffix of the output file chooses the
format. Lines are broken where they are longer than those of the training data. Without a style, the
model chooses a hand by the seed; .json that was written before is a style: the same hand goes on.
"""

from dataclasses import dataclass
from typing import Annotated

import rhapsode as rh
from rhapsode.cli.console import note, stdout
from rhapsode.cli.parse import ModelArgument, Typed, read_stdin, settings_of
from rhapsode.config import Positional, option


@dataclass(frozen=True)
class WriteCommand(rh.WriteSettings, ModelArgument):
    """Text and output."""

    text: Positional[Annotated[str, option("TEXT", "standard input")]] = "-"
    """Text to write, one or several lines; - reads it from standard input."""

    output: Annotated[str | None, option("FILE", "a picture on the terminal", alias="-o")] = None
    """File to write: .svg, .json, .gcode or .txt."""

    def run(self, typed: Typed, began: float) -> None:
        text = read_stdin() if self.text == "-" else self.text
        settings = settings_of(self, rh.WriteSettings)
        document = rh.write(self.model, text, settings, output=self.output)
        if self.output is None:
            for line in document.pictured(stdout().width):
                stdout().print(line)
            note(f"with --seed {document.seed}, -o line.svg keeps it")

"""Show the elements of a text, their ids, and unknown characters.

For a table of series, the scaled values that the network reads are shown.
"""

from dataclasses import dataclass
from typing import Annotated

import rhapsode as rh
from rhapsode.cli.console import present
from rhapsode.cli.parse import ModelArgument, Typed, read_stdin
from rhapsode.config import Positional, option


@dataclass(frozen=True)
class EncodeCommand(ModelArgument):
    """Options."""

    text: Positional[Annotated[str, option("TEXT", "standard input")]] = "-"
    """Text, or a table of series; - reads it from standard input."""
    json: bool = False
    """Print one JSON object."""

    def run(self, typed: Typed, began: float) -> None:
        model = rh.load(self.model)
        piped = self.text == "-" and model.prompts_are_text
        text = read_stdin() if piped else model.typed(self.text)
        present(rh.encode(model, text), as_json=self.json)

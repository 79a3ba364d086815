"""Show the likeliest next elements after a prompt.

Probabilities are shown before and after the sampling steps. A space is shown as ␣, a line end as ↵.
The number before an element is its rank before any sampling step. Perplexity is the exponential of
the entropy: the number of equally likely elements with the same entropy.

For series, quantiles of the next --top steps are shown.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

import rhapsode as rh
from rhapsode.cli.console import note, print_json, stdout
from rhapsode.cli.parse import ModelArgument, Typed, read_stdin, typed_of
from rhapsode.config import Positional, SamplingSettings, option
from rhapsode.errors import SettingsError


@dataclass(frozen=True)
class _Next:
    """Contents of the table."""

    top: Annotated[Annotated[int, Meta(ge=1, le=1000)], option("N")] = 5
    """Number of elements to show, or of steps for series."""
    temperatures: Annotated[
        tuple[Annotated[float, Meta(ge=0.0, le=1e6)], ...], option("T", "that of --temperature")
    ] = ()
    """Temperatures to show side by side."""
    unknown: Literal["error", "skip"] = "error"
    """Characters of the prompt that the model has never seen: error stops, skip drops them."""
    json: bool = False
    """Print one JSON object."""


@dataclass(frozen=True)
class NextCommand(SamplingSettings, _Next, ModelArgument):
    """Options."""

    text: Positional[Annotated[tuple[str, ...], option("PROMPT", "the beginning of a text")]] = ()
    """Texts, or tables of series; - reads one from standard input."""

    def run(self, typed: Typed, began: float) -> None:
        if self.trace is not None:
            raise SettingsError(
                "no text is generated, so there is nothing to trace",
                where="--trace",
                hint="use --top to show more elements",
            )
        model = rh.load(self.model)
        piped = model.prompts_are_text
        following = rh.next(
            model,
            *(read_stdin() if text == "-" and piped else model.typed(text) for text in self.text),
            top=self.top,
            temperatures=self.temperatures,
            unknown=self.unknown,
            **typed_of(typed, SamplingSettings),
        )
        if self.explain:
            for chain in dict.fromkeys(following.chains):
                note(chain)
        if self.json:
            print_json({"model": str(model.path), "next": following.to_list()})
            return
        console = stdout()
        for block in following.shown(console.width):
            console.print()
            console.print(block)

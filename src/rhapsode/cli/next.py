"""`rhapsode next`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from rhapsode.cli.console import note, print_json
from rhapsode.cli.parse import parse, read_stdin, settings_of
from rhapsode.config import GenerateSettings, Positional, option
from rhapsode.config.sampling import SamplingSettings
from rhapsode.errors import SettingsError

__all__ = ["NextCommand", "run"]

DESCRIPTION = """Show the likeliest next elements after a prompt: their probabilities before and after the sampling steps.

A space is shown as ␣, a line end as ↵. The number before an element is its rank before any sampling step. Perplexity is
the exponential of the entropy: the number of equally likely elements with the same uncertainty.

For series, quantiles of the next --top steps are shown."""


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
class _Places:
    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    text: Positional[Annotated[tuple[str, ...], option("PROMPT", "the beginning of a text")]] = ()
    """Texts, or tables of series; - reads one from standard input."""


@dataclass(frozen=True)
class NextCommand(SamplingSettings, _Next, _Places):
    """Options."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command, _ = parse(NextCommand, "next", DESCRIPTION, arguments)
    shown = settings_of(command, _Next)
    sampling = settings_of(command, SamplingSettings)
    if sampling.trace is not None:
        raise SettingsError("nothing is written here", where="--trace", hint="see --top")
    settings = GenerateSettings(**sampling.__dict__, unknown=shown.unknown)
    from rhapsode.modalities.opened import changed
    from rhapsode.workflows import load

    model = load(command.model)
    model.refuse(changed(settings))
    given = [
        read_stdin() if text == "-" and model.prompts_are_text else text
        for text in command.text or ("",)
    ]
    prompts = [model.prompt(value, settings) for value in given]
    model.tell_notes(prompts)
    model.ready(settings)
    found = model.following(prompts, settings, temperatures=shown.temperatures, top=shown.top)
    if sampling.explain:
        for chain in dict.fromkeys(found.chains):
            note(chain)
    if shown.json:
        print_json({"model": str(model.path), "next": found.to_list()})
        return 0

    from rich.console import Console

    console = Console(highlight=False)
    for block in found.shown(console.width):
        console.print()
        console.print(block)
    return 0

"""`rhapsode generate`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from rhapsode.cli.console import json_text, note, plain, put
from rhapsode.cli.parse import parse, read_stdin, settings_of
from rhapsode.config import GenerateSettings, Positional, RequestSettings, option
from rhapsode.errors import SettingsError

if TYPE_CHECKING:  # takes longer to load than a text to write
    from rich.console import Console
    from rich.table import Table

    from rhapsode.modalities.opened import Continuation, Prompt
    from rhapsode.workflows import AnyModel

__all__ = ["GenerateCommand", "run"]

DESCRIPTION = """Continue a prompt. Prints prompt and continuation, and nothing else, to stdout.

Temperatures of 0.2 to 0.5 keep to the likely, 0.7 to 0.9 balance, 1.0 to 1.5 invent; 0 always takes the likeliest
element, which tends to loop. The same seed writes the same text, alone or among others."""

COLUMN = 34
"""Narrowest column in which temperatures are set side by side."""
SHORT = 800
"""Characters of the longest text that is."""


@dataclass(frozen=True)
class _Places:
    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    prompt: Positional[Annotated[str, option("PROMPT", "none")]] = ""
    """Text to continue, or a table of series; - reads it from standard input."""


@dataclass(frozen=True)
class GenerateCommand(GenerateSettings, RequestSettings, _Places):
    """Flags of `rhapsode generate`."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command, _ = parse(GenerateCommand, "generate", DESCRIPTION, arguments)
    settings = settings_of(command, GenerateSettings)
    request = settings_of(command, RequestSettings)
    from rhapsode.modalities.opened import changed, with_seed
    from rhapsode.workflows import load

    model = load(command.model)
    model.refuse([*changed(settings), *changed(request)])
    _check(command, settings, request)
    fresh = settings.seed is None and model.seed is None
    seeded = with_seed(replace(settings, seed=model.seed) if settings.seed is None else settings)
    prompts = [model.prompt(value, seeded) for value in _values(command, request, model, seeded)]
    for line in model.notes(prompts):
        note(line)
    several = [replace(seeded, temperature=t) for t in request.temperatures] or [seeded]
    explained = [model.explained(one, note) for one in several]  # refuses what does not fit
    if settings.explain:
        for line in explained:
            note(line)
    if fresh and any(one.temperature >= 1e-5 for one in several):
        note(f"seed {seeded.seed}")
    # Nothing is printed of a model that cannot be used.
    model.ready(seeded, note)
    if settings.format == "jsonl":
        for one in several:
            for continuation in _continuations(model, prompts, one):
                put(json_text(model.described(continuation)) + "\n")
    elif request.temperatures:
        _by_temperature(model, prompts, several)
    elif len(prompts) > 1 or settings.count > 1:
        for continuation in _continuations(model, prompts, seeded):
            _say(_whole(continuation))
    else:
        _stream(model, prompts[0], seeded)
    return 0


def _check(command: GenerateCommand, settings: GenerateSettings, request: RequestSettings) -> None:
    """Refuse what contradicts itself.

    Raises:
        SettingsError: more than one place for prompts, or a trace where none is shown.
    """
    places = (command.prompt, request.prompts, request.prompt_from_data)
    if sum(place not in ("", None) for place in places) > 1:
        raise SettingsError(
            "prompts from more than one place",
            hint="give one of PROMPT, --prompts and --prompt-from-data",
        )
    if settings.trace is not None and settings.format != "jsonl":
        raise SettingsError("a trace is part of jsonl", where="--trace", hint="add --format jsonl")


def _values(
    command: GenerateCommand, request: RequestSettings, model: AnyModel, settings: GenerateSettings
) -> Sequence[Any]:
    """What is to be continued, as it was given."""
    if request.prompts is None and request.prompt_from_data is None:
        piped = command.prompt == "-" and model.prompts_are_text
        return [read_stdin() if piped else command.prompt]
    if request.prompt_from_data is not None:
        return model.held_out(request.prompt_from_data, settings, note)
    from rhapsode.workflows.inference.prompt_files import parse_prompts, read_prompts

    assert request.prompts is not None
    return (
        parse_prompts(read_stdin(), "-")
        if request.prompts == "-"
        else read_prompts(request.prompts)
    )


def _continuations(
    model: AnyModel, prompts: Sequence[Prompt], settings: GenerateSettings
) -> Iterator[Continuation]:
    from rhapsode.modalities.opened import collect

    texts = [prompt.text for prompt in prompts]
    return collect(model.write(prompts, settings, note), texts, settings)


def _stream(model: AnyModel, prompt: Prompt, settings: GenerateSettings) -> None:
    """One continuation as it comes."""
    _say(prompt.text)
    ended = prompt.text.endswith("\n")
    for piece in model.write([prompt], settings, note):
        if piece.text:
            _say(piece.text)
            ended = piece.text.endswith("\n")
    if not ended:
        put("\n")


def _by_temperature(
    model: AnyModel, prompts: Sequence[Prompt], several: Sequence[GenerateSettings]
) -> None:
    """Continuations at several temperatures: under headings, or in columns where there is room for short ones."""
    from rich.console import Console

    console = Console(highlight=False, file=sys.stdout)
    columns = console.is_terminal and console.width >= (COLUMN + 3) * len(several)
    if columns:
        found = [list(_continuations(model, prompts, one)) for one in several]
        if all(len(c.prompt + c.text) <= SHORT for row in found for c in row):
            console.print(_beside(found, several))
            return
        for one, row in zip(several, found, strict=True):
            _heading(one, console)
            for continuation in row:
                _say(_whole(continuation))
        return
    for one in several:
        _heading(one, console)
        for continuation in _continuations(model, prompts, one):
            _say(_whole(continuation))


def _heading(settings: GenerateSettings, console: Console) -> None:
    console.rule(f"temperature {settings.temperature:g}", align="left", style="cyan")
    sys.stdout.flush()


def _beside(found: Sequence[Sequence[Continuation]], several: Sequence[GenerateSettings]) -> Table:
    """A column a temperature, a row a continuation."""
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(
        *(Column(f"temperature {one.temperature:g}", ratio=1, overflow="fold") for one in several),
        box=None,
        padding=(0, 3, 1, 0),
        expand=True,
        header_style="cyan",
    )
    for row in zip(*found, strict=True):
        table.add_row(*(Text.assemble((c.prompt, "bold"), plain(c.text)) for c in row))
    return table


def _whole(continuation: Continuation) -> str:
    """Prompt and continuation, on lines of their own."""
    text = continuation.prompt + continuation.text
    return text if text.endswith("\n") else text + "\n"


def _say(text: str) -> None:
    """Write what a person reads; what a model says is no command to a terminal."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    put(plain(text) if terminal else text)

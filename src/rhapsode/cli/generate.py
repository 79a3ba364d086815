"""`rhapsode generate`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from rhapsode.cli.console import json_text, note, plain, put
from rhapsode.cli.parse import parse, read_stdin, settings_of
from rhapsode.config import GenerateSettings, Positional, RequestSettings, option
from rhapsode.errors import SettingsError

if TYPE_CHECKING:  # takes longer to load than a text to write
    from rhapsode.modalities.opened import Continuation, Prompt
    from rhapsode.workflows import AnyModel

__all__ = ["GenerateCommand", "run"]

DESCRIPTION = """Continue a prompt. Only the prompt and the continuation are printed to stdout.

Temperatures of 0.2 to 0.5 are conservative, 0.7 to 0.9 balanced, 1.0 to 1.5 creative; 0 always takes the likeliest
element, and such text tends to repeat itself. The same seed gives the same text, alone or in a batch."""


@dataclass(frozen=True)
class _Places:
    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    prompt: Positional[Annotated[str, option("PROMPT", "none")]] = ""
    """Text to continue, or a table of series; - reads it from standard input."""


@dataclass(frozen=True)
class GenerateCommand(GenerateSettings, RequestSettings, _Places):
    """Options."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command, _ = parse(GenerateCommand, "generate", DESCRIPTION, arguments)
    settings = settings_of(command, GenerateSettings)
    request = settings_of(command, RequestSettings)
    from rhapsode.modalities.opened import changed, with_seed
    from rhapsode.workflows import load
    from rhapsode.workflows.inference.requested_prompts import requested_prompts

    model = load(command.model)
    model.refuse([*changed(settings), *changed(request)])
    if settings.trace is not None and settings.format != "jsonl":
        raise SettingsError("a trace is part of jsonl", where="--trace", hint="add --format jsonl")
    fresh = settings.seed is None and model.seed is None
    seeded = with_seed(replace(settings, seed=model.seed) if settings.seed is None else settings)
    values = requested_prompts(model, command.prompt, request, seeded, read_stdin=read_stdin)
    prompts = [model.prompt(value, seeded) for value in values]
    model.tell_notes(prompts)
    several = [replace(seeded, temperature=t) for t in request.temperatures] or [seeded]
    explained = [model.explained(one) for one in several]  # refuses what does not fit
    if settings.explain:
        for line in explained:
            note(line)
    if fresh and any(one.temperature >= 1e-5 for one in several):
        note(f"seed {seeded.seed}")
    # Nothing is printed of a model that cannot be used.
    model.ready(seeded)
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


def _continuations(
    model: AnyModel, prompts: Sequence[Prompt], settings: GenerateSettings
) -> Iterator[Continuation]:
    from rhapsode.modalities.opened import collect

    texts = [prompt.text for prompt in prompts]
    return collect(model.write(prompts, settings), texts, settings)


def _stream(model: AnyModel, prompt: Prompt, settings: GenerateSettings) -> None:
    """One continuation as it comes."""
    _say(prompt.text)
    ended = prompt.text.endswith("\n")
    for piece in model.write([prompt], settings):
        if piece.text:
            _say(piece.text)
            ended = piece.text.endswith("\n")
    if not ended:
        put("\n")


def _by_temperature(
    model: AnyModel, prompts: Sequence[Prompt], several: Sequence[GenerateSettings]
) -> None:
    """Print continuations under a heading for each temperature, or in columns if short texts fit."""
    from rich.console import Console

    from rhapsode.views.terminal.text_tables import continuation_columns, has_room

    console = Console(highlight=False, file=sys.stdout)
    rows: Sequence[Iterable[Continuation]] = [
        _continuations(model, prompts, each) for each in several
    ]
    if console.is_terminal and has_room(console.width, len(several)):
        rows = columns = [list(row) for row in rows]
        longest = max(len(each.prompt + each.text) for row in columns for each in row)
        if has_room(console.width, len(several), longest):
            texts = [[(each.prompt, plain(each.text)) for each in row] for row in columns]
            console.print(continuation_columns([each.temperature for each in several], texts))
            return
    for settings, row in zip(several, rows, strict=True):
        console.rule(f"temperature {settings.temperature:g}", align="left", style="cyan")
        sys.stdout.flush()
        for continuation in row:
            _say(_whole(continuation))


def _whole(continuation: Continuation) -> str:
    """Prompt and continuation, on lines of their own."""
    text = continuation.prompt + continuation.text
    return text if text.endswith("\n") else text + "\n"


def _say(text: str) -> None:
    """Write what a person reads; what a model says is no command to a terminal."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    put(plain(text) if terminal else text)

"""`rhapsode generate`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated

from rhapsode.bundle import modality_of
from rhapsode.cli.console import json_text, note, plain, put
from rhapsode.cli.parse import parse, read_stdin, settings_of
from rhapsode.config import GenerateSettings, Positional, RequestSettings, option
from rhapsode.errors import SettingsError

if TYPE_CHECKING:  # takes longer to load than a text to write
    from rich.console import Console
    from rich.table import Table

    from rhapsode.counts import SuffixIndex
    from rhapsode.modalities.ids.continuation import Continuation, OpenIndex
    from rhapsode.modalities.text.model import TextModel

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
    """Text to continue; - reads it from standard input."""


@dataclass(frozen=True)
class GenerateCommand(GenerateSettings, RequestSettings, _Places):
    """Flags of `rhapsode generate`."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command = parse(GenerateCommand, "generate", DESCRIPTION, arguments)
    if modality_of(command.model) == "series.v1":
        from rhapsode.cli.series import generate_series
        from rhapsode.cli.train import typed_flags

        return generate_series(command, typed_flags(arguments, command))
    settings = settings_of(command, GenerateSettings)
    request = settings_of(command, RequestSettings)
    _check(command, settings, request)
    from rhapsode.modalities.ids.continuation import chain_for, with_seed
    from rhapsode.modalities.ids.search_prompt import way_of
    from rhapsode.modalities.text.model import TextModel

    seeded = with_seed(settings)
    model = TextModel(command.model)
    prompts = [model.usable_prompt(p, seeded) for p in _prompts(command, request, model, seeded)]
    _warn(model, prompts)
    several = [replace(seeded, temperature=t) for t in request.temperatures] or [seeded]
    chains = [chain_for(model.bundle, one, _index_of(model)) for one in several]
    if settings.explain:
        for chain in chains:
            note(chain.explain(way_of(settings)))
    if settings.seed is None and any(one.temperature >= 1e-5 for one in several):
        note(f"seed {seeded.seed}")
    # Nothing is printed of a model that cannot be used.
    model.writer_for(seeded, note)
    if settings.weights != "float32":
        note(model.rounding(settings.weights).in_words())
    if settings.format == "jsonl":
        for one in several:
            for continuation in _continuations(model, prompts, one):
                put(json_text(_mapping(model, continuation)) + "\n")
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


def _prompts(
    command: GenerateCommand, request: RequestSettings, model: TextModel, settings: GenerateSettings
) -> list[str]:
    """What is to be continued, as it was given."""
    if request.prompts is None and request.prompt_from_data is None:
        return [read_stdin() if command.prompt == "-" else command.prompt]
    from rhapsode.modalities.text.prompts import parse_prompts, prompts_from_data, read_prompts

    if request.prompts == "-":
        return parse_prompts(read_stdin(), "-")
    if request.prompts is not None:
        return read_prompts(request.prompts)
    assert request.prompt_from_data is not None
    assert settings.seed is not None
    return prompts_from_data(
        model.path, model.bundle.encoder, request.prompt_from_data, settings.seed, note
    )


def _warn(model: TextModel, prompts: Sequence[str]) -> None:
    """Say what the model does not see of its prompts as one might think."""
    from rhapsode.modalities.ids.continuation import look_back

    unknown = list(dict.fromkeys(w for prompt in prompts for w in model.unknown_words(prompt)))
    if unknown:
        named = ", ".join(map(repr, unknown[:8]))
        note(f"warning: the model does not know {named}, and reads the unknown element there")
    window = look_back(model.bundle)
    if window is None:
        return
    longest = max(len(model.bundle.encoder.encode(prompt)) for prompt in prompts)
    if longest < window:
        return
    if model.bundle.context.kind == "window":
        note(f"the prompt has {longest:,} elements, of which the model sees the last {window:,}")
    else:
        note(
            f"the prompt has {longest:,} elements; the model looks back {window:,}, and to what lies "
            "before them through its layers only"
        )


def _continuations(
    model: TextModel, prompts: Sequence[str], settings: GenerateSettings
) -> Iterator[Continuation]:
    from rhapsode.modalities.ids.continuation import collect, continue_prompts

    predictor = model.writer_for(settings)
    pieces = continue_prompts(predictor, model.bundle, prompts, settings, _index_of(model))
    return collect(pieces, prompts, settings)


def _stream(model: TextModel, prompt: str, settings: GenerateSettings) -> None:
    """One continuation as it comes."""
    from rhapsode.modalities.ids.continuation import continue_prompt

    _say(prompt)
    ended = prompt.endswith("\n")
    predictor = model.writer_for(settings)
    for piece in continue_prompt(predictor, model.bundle, prompt, settings, _index_of(model)):
        if piece.text:
            _say(piece.text)
            ended = piece.text.endswith("\n")
    if not ended:
        put("\n")


def _by_temperature(
    model: TextModel, prompts: Sequence[str], several: Sequence[GenerateSettings]
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
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 3, 1, 0), expand=True, header_style="cyan")
    for one in several:
        table.add_column(f"temperature {one.temperature:g}", ratio=1, overflow="fold")
    for row in zip(*found, strict=True):
        table.add_row(*(Text.assemble((c.prompt, "bold"), plain(c.text)) for c in row))
    return table


def _whole(continuation: Continuation) -> str:
    """Prompt and continuation, on lines of their own."""
    text = continuation.prompt + continuation.text
    return text if text.endswith("\n") else text + "\n"


def _index_of(model: TextModel) -> OpenIndex:
    return lambda: _index(model)


@cache
def _index(model: TextModel) -> SuffixIndex:
    """The index of a model's training data, opened once however often it is asked for."""
    from rhapsode.modalities.text.elements_index import open_elements_index

    return open_elements_index(model.bundle, model.path, note)


def _mapping(model: TextModel, continuation: Continuation) -> dict[str, object]:
    """One object of jsonl; the trace with the elements' names, and only where it was asked for."""
    plain = asdict(continuation)
    del plain["trace"]
    if continuation.trace is None:
        return plain
    label = model.bundle.encoder.label
    plain["trace"] = [
        {"text": label(trace.element), **trace.to_mapping()} for trace in continuation.trace
    ]
    return plain


def _say(text: str) -> None:
    """Write what a person reads; what a model says is no command to a terminal."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    put(plain(text) if terminal else text)

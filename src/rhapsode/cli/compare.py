"""`rhapsode compare`."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta
from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from rhapsode.cli.console import note, print_json, stderr
from rhapsode.cli.evaluate import asked_source
from rhapsode.cli.parse import parse, settings_of
from rhapsode.config import GenerateSettings, Positional, Repeated, SourceSettings, option
from rhapsode.errors import SettingsError

__all__ = ["CompareCommand", "run"]

DESCRIPTION = """Score the same text with several models, side by side.

Bits per character compare across encodings: what a model has no element for is charged with its spelling. The paired test
tells whether a difference is more than chance.

--blind shows pairs of continuations in random order instead, asks which is better, and keeps the votes."""

_PROMPT = 120
_KEYS = {"1": "first", "2": "second", "=": "tie"}


@dataclass(frozen=True, kw_only=True)
class CompareCommand(SourceSettings):
    """Flags of `rhapsode compare`."""

    models: Positional[Annotated[tuple[str, ...], option("MODEL")]] = ()
    """Run folders or model files, two or more."""
    on: Annotated[Repeated[tuple[str, ...]], option("SOURCE", "none")] = ()
    """Text to score, or, with --blind, to take prompts from: a file, folder, pattern, - or named corpus; may be
    repeated."""
    json: bool = False
    """Print one JSON object."""
    blind: bool = False
    """Show pairs of continuations without names, and vote."""
    prompt: Annotated[Repeated[tuple[str, ...]], option("TEXT", "passages of --on")] = ()
    """With --blind: what the models continue; may be repeated."""
    rounds: Annotated[Annotated[int, Meta(ge=1, le=100_000)], option("N")] = 10
    """With --blind: pairs to show."""
    length: Annotated[Annotated[int, Meta(ge=1)], option("N")] = 200
    """With --blind: characters of each continuation, at most."""
    temperature: Annotated[Annotated[float, Meta(ge=0.0, le=1e6)], option("T")] = 0.8
    """With --blind: as in generate."""
    seed: Annotated[Annotated[int, Meta(ge=0, le=2**62)] | None, option("N", "a new one")] = None
    """With --blind: decides texts and order."""
    output: Annotated[str, option("FILE.json", alias="-o")] = "votes.json"
    """With --blind: where votes are kept; those in it already count too."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command = parse(CompareCommand, "compare", DESCRIPTION, arguments)
    if len(command.models) < 2:
        raise SettingsError(
            "a comparison needs two or more models",
            where="compare",
            hint="rhapsode compare run-a run-b --on test.txt",
        )
    if command.blind:
        return _vote(command, arguments)
    if not command.on:
        raise SettingsError("no text was given", where="compare", hint="name one with --on")
    from rhapsode.modalities.text.model import TextModel
    from rhapsode.workflows.inference.comparison import compare

    source = asked_source(command, arguments, TextModel(command.models[0]), command.on)
    found = compare(command.models, *command.on, source=source, tell=note).to_mapping()
    if command.json:
        print_json(found)
        return 0
    _print(found, f"on {', '.join(command.on)}")
    return 0


def _print(found: Mapping[str, Any], title: str) -> None:
    console = Console(highlight=False)
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("model", style="bold", overflow="fold")
    table.add_column("bits/char", justify="right", style="bold", no_wrap=True)
    table.add_column("elements", style="dim", no_wrap=True)
    for name in ("nats each", "network", "n-gram", "unknown", "weights"):
        table.add_column(name, justify="right", style="dim", no_wrap=True)
    for row in found["rows"]:
        figures = row["figures"]
        floor = figures["floors"]["ngram"]
        table.add_row(
            row["model"],
            f"{figures['bits_per_character']:.4f}",
            f"{figures['elements']:,} {row['encoding']}",
            f"{figures['loss']:.4f}",
            f"{(figures['network'] or figures)['loss']:.4f}",
            "-" if floor is None else f"{floor:.4f}",
            f"{figures['unknown_rate']:.2%}",
            f"{row['parameters'] / 1e6:.2f}M",
        )
    console.print(table)
    console.print()
    for contrast in found["contrasts"]:
        console.print(_contrast(contrast))
    console.print(Text(f"paired over {found['passages']}", style="dim"))
    for row in found["rows"]:
        protocol = row["figures"]["protocol"]
        told = (
            f"{row['model']}: {protocol['context']}; normalisation: {protocol['normalisation']}; "
            f"unknown cost: {protocol['unknown_cost']}; share of the n-gram: "
            f"{row['figures']['ngram_share']:.3g}"
        )
        console.print(Text(told, style="dim"))
    if found["caution"] is not None:
        console.print(Text(found["caution"], style="yellow"))


def _contrast(contrast: Mapping[str, Any]) -> Text:
    found = contrast["difference"]
    line = Text.assemble(
        (contrast["better"], "bold green"),
        f" needs {found['bits_per_character']:.4f} bits per character less than ",
        (contrast["worse"], "bold"),
    )
    if found["p_value"] is None:
        line.append("; too few passages for a test", style="dim")
        return line
    line.append(f" (95 %: {found['low']:.4f} to {found['high']:.4f}")
    sure = found["p_value"] < 0.05
    line.append(f"; p = {found['p_value']:.4f}, ", style="")
    line.append(
        "more than chance" if sure else "may be chance", style="green" if sure else "yellow"
    )
    line.append(f"; {found['passages']:,} passages)")
    return line


def _vote(command: CompareCommand, arguments: Sequence[str]) -> int:
    from rhapsode.modalities.text.model import TextModel
    from rhapsode.workflows.inference.blind import Ballot, blind_pairs, passages_of, scores_of

    ballot = Ballot(Path(command.output))
    seed = secrets.randbits(32) if command.seed is None else command.seed
    settings = settings_of(
        GenerateSettings(length=command.length, temperature=command.temperature, seed=seed),
        GenerateSettings,
    )
    prompts = list(command.prompt)
    if command.on:
        first = TextModel(command.models[0])
        texts = first.read(command.on, asked_source(command, arguments, first, command.on), note)
        prompts += passages_of(texts, count=command.rounds, length=_PROMPT, seed=seed)
    if not prompts:
        raise SettingsError(
            "a blind comparison needs prompts",
            where="compare",
            hint='give --prompt "Once upon a time", or a text to take them from by --on',
        )
    stderr().print(
        Text("1 or 2: the better one   =: no difference   s: skip   q: end", style="dim")
    )
    for pair in blind_pairs(command.models, prompts, settings, rounds=command.rounds, tell=note):
        stderr().print(Rule(f"{pair.round + 1} of {command.rounds}", style="dim"))
        stderr().print(Text(pair.prompt, style="italic"))
        for number, text in enumerate(pair.texts, 1):
            stderr().print(Panel(Text(text), title=str(number), title_align="left"))
        choice = _choice()
        if choice == "q":
            break
        if choice != "s":
            ballot.add(pair, _KEYS[choice])  # type: ignore[arg-type]
    scores = scores_of(ballot.votes)
    if command.json:
        print_json({"votes": len(ballot.votes), "scores": [vars(score) for score in scores]})
        return 0
    console = Console(highlight=False)
    console.print(Text(f"{len(ballot.votes)} votes in {command.output}", style="dim"))
    for score in scores:
        console.print(
            Text.assemble(
                (f"{score.models[0]} {score.wins[0]}", "bold"),
                "  :  ",
                (f"{score.wins[1]} {score.models[1]}", "bold"),
                (f"   no difference {score.ties}; p = {score.p_value:.3f}", "dim"),
            )
        )
    return 0


def _choice() -> str:
    """What was typed; the end of input, or none at all, ends the vote."""
    if sys.stdin is None:
        return "q"
    while True:
        sys.stderr.write("which is better? ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            return "q"
        answer = line.strip().lower()
        if answer in (*_KEYS, "s", "q"):
            return answer
        stderr().print(Text("1, 2, =, s or q", style="dim"))

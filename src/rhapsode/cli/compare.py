"""`rhapsode compare`."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from rhapsode.cli.console import note, print_json, stderr
from rhapsode.cli.evaluate import print_parts
from rhapsode.cli.parse import modality_settings, parse, typed_of
from rhapsode.config import GenerateSettings, Positional, Repeated, from_mapping, option
from rhapsode.errors import SettingsError

__all__ = ["CompareCommand", "run"]

DESCRIPTION = """Score the same data with several models of one kind, side by side.

For text, bits per character are comparable across encodings: for a character without an element, its spelling is
charged. For series, densities and forecasts are compared. A paired test reports whether a difference is significant.
rhapsode compare MODEL --help lists the options for the model's kind of data.

With --blind, pairs of continuations are shown in random order, you choose the better one, and the votes are saved."""

_PROMPT = 120
_KEYS = {"1": "first", "2": "second", "=": "tie"}


@dataclass(frozen=True, kw_only=True)
class CompareCommand:
    """Options."""

    models: Positional[Annotated[tuple[str, ...], option("MODEL", "")]] = ()
    """Two or more run folders or model files."""
    on: Annotated[Repeated[tuple[str, ...]], option("SOURCE", "none")] = ()
    """Data to score, or, with --blind, the source of the prompts: a file, folder, pattern, - or a
    name; may be repeated."""
    json: bool = False
    """Print one JSON object."""
    blind: bool = False
    """Show pairs of continuations without names, and vote."""
    prompt: Annotated[Repeated[tuple[str, ...]], option("TEXT", "passages of --on")] = ()
    """With --blind: prompt that the models continue; may be repeated."""
    rounds: Annotated[Annotated[int, Meta(ge=1, le=100_000)], option("N")] = 10
    """With --blind: number of pairs to show."""
    length: Annotated[Annotated[int, Meta(ge=1)], option("N")] = 200
    """With --blind: maximum number of characters of each continuation."""
    temperature: Annotated[Annotated[float, Meta(ge=0.0, le=1e6)], option("T")] = 0.8
    """With --blind: sampling temperature, as in generate."""
    seed: Annotated[Annotated[int, Meta(ge=0, le=2**62)] | None, option("N", "random")] = None
    """Random seed; with --blind also of the order of the texts."""
    output: Annotated[str, option("FILE.json", alias="-o")] = "votes.json"
    """With --blind: file of the votes; votes already in it are counted too."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    flags = modality_settings(arguments, "comparison")
    command, typed = parse(CompareCommand, "compare", DESCRIPTION, arguments, *flags)
    if len(command.models) < 2:
        raise SettingsError(
            "a comparison needs two or more models",
            where="compare",
            hint="rhapsode compare run-a run-b --on test.txt",
        )
    if command.blind:
        return _vote(command, typed)
    if not command.on:
        raise SettingsError("no data was given", where="compare", hint="name some with --on")
    from rhapsode.workflows.inference.comparison import compare, open_models

    modality, opened = open_models(command.models)
    asked = typed_of(typed, modality.comparison)
    compared = compare(opened, *command.on, **asked)
    found = compared.to_mapping()
    if command.json:
        print_json(found)
        return 0
    print_parts(modality.comparison_report(found, f"on {', '.join(command.on)}"))
    return 0


def _vote(command: CompareCommand, typed: Mapping[str, Any]) -> int:
    from rich.console import Console
    from rich.text import Text

    from rhapsode.views.terminal.text_tables import pair_panels, score_line
    from rhapsode.workflows.inference.blind import Ballot, blind_pairs, passages_for, scores_of
    from rhapsode.workflows.inference.comparison import open_models

    ballot = Ballot(Path(command.output))
    modality, opened = open_models(command.models)
    seed = secrets.randbits(32) if command.seed is None else command.seed
    settings = from_mapping(
        GenerateSettings,
        {"length": command.length, "temperature": command.temperature, "seed": seed},
        where="options",
    )
    prompts = list(command.prompt)
    if command.on:
        asked = typed_of(typed, modality.comparison)
        sizes = {"count": command.rounds, "length": _PROMPT}
        prompts += passages_for(opened, command.on, **sizes, seed=seed, **asked)
    if not prompts:
        raise SettingsError(
            "a blind comparison needs prompts",
            where="compare",
            hint='give --prompt "Once upon a time", or a text to take them from by --on',
        )
    note("1 or 2: the better one   =: no difference   s: skip   q: end")
    for pair in blind_pairs(opened, prompts, settings, rounds=command.rounds):
        title = f"{pair.round + 1} of {command.rounds}"
        for panel in pair_panels(title, pair.prompt, pair.texts):
            stderr().print(panel)
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
        console.print(score_line(score.models, score.wins, score.ties, score.p_value))
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
        note("1, 2, =, s or q")

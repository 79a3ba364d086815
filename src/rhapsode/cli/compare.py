"""Compare models of one kind on the same data, side by side.

For text, bits per character are comparable across encodings: for a character without an element,
its spelling is charged. For series, densities and forecasts are compared. A paired test reports
whether a difference is significant. rhapsode compare MODEL --help lists the options for the model's
kind of data.

With --blind, pairs of continuations are shown in random order, you choose the better one, and the
votes are saved.
"""

import sys
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

import rhapsode as rh
from rhapsode.cli.console import note, print_json, print_parts, stderr
from rhapsode.cli.parse import Typed, measuring_of
from rhapsode.config import GenerateSettings, Positional, Repeated, option
from rhapsode.errors import SettingsError

_CHOICES: dict[str, Literal["first", "second", "tie"]] = {"1": "first", "2": "second", "=": "tie"}


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
    """Random seed; with --blind, it also determines the order of the texts."""
    output: Annotated[str, option("FILE.json", alias="-o")] = "votes.json"
    """With --blind: file of the votes; votes already in it are counted too."""

    def run(self, typed: Typed, began: float) -> None:
        if len(self.models) < 2:
            raise SettingsError(
                "a comparison needs two or more models",
                where="compare",
                hint="rhapsode compare run-a run-b --on test.txt",
            )
        if self.blind:
            _vote(self, typed)
            return
        if not self.on:
            raise SettingsError(
                "no data was given", where="compare", hint="name the data with --on"
            )
        settings = measuring_of(typed, "compare", self.models)
        comparison = rh.compare(self.models, *self.on, **settings)
        if self.json:
            print_json(comparison.to_mapping())
        else:
            print_parts(comparison.report(f"on {', '.join(self.on)}"))


def _vote(command: CompareCommand, typed: Typed) -> None:
    from rich.text import Text

    from rhapsode.views.terminal.text_tables import pair_panels, score_line

    reading = measuring_of(typed, "compare", command.models)
    settings = GenerateSettings(
        length=command.length,
        temperature=command.temperature,
        seed=command.seed,
        adapt=bool(reading.get("adapt")),
    )
    blind = rh.BlindComparison(command.models, command.output, settings)
    prompts = list(command.prompt)
    if command.on:
        prompts += blind.passages(command.on, command.rounds, **reading)
    if not prompts:
        raise SettingsError(
            "a blind comparison needs prompts",
            where="compare",
            hint='give --prompt "Once upon a time", or name a text with --on to draw them from',
        )
    note("1 or 2: the better one   =: no difference   s: skip   q: end")
    for pair in blind.pairs(prompts, command.rounds):
        title = f"{pair.round + 1} of {command.rounds}"
        for panel in pair_panels(title, pair.prompt, pair.texts):
            stderr().print(panel)
        answer = _answer()
        if answer == "q":
            break
        if answer != "s":
            blind.vote(pair, _CHOICES[answer])
    scores = blind.scores()
    if command.json:
        print_json({"votes": len(blind.votes), "scores": [vars(score) for score in scores]})
        return
    head = Text(f"{len(blind.votes)} votes in {command.output}", style="dim")
    print_parts([head, *(score_line(s.models, s.wins, s.ties, s.p_value) for s in scores)])


def _answer() -> str:
    """The typed answer.

    The end of input, or a missing input, ends the vote.
    """
    while sys.stdin is not None:
        sys.stderr.write("which is better? ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            break
        answer = line.strip().lower()
        if answer in (*_CHOICES, "s", "q"):
            return answer
        note("1, 2, =, s or q")
    return "q"

"""Measure a model on data: likelihood, baselines and further metrics.

Every element is scored once, with the context that the model was trained with. Series are also
forecast from rolling origins and compared with the observations. rhapsode evaluate MODEL --help
lists the options for the model's kind of data.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import rhapsode as rh
from rhapsode.cli.console import note, print_json, print_parts
from rhapsode.cli.parse import ModelArgument, Typed, measuring_of
from rhapsode.config import Positional, option


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand(ModelArgument):
    """Options."""

    sources: Positional[Annotated[tuple[str, ...], option("SOURCE", "")]] = ()
    """Files, folders, patterns, - for standard input, or names; read as in training. For series:
    one table, or none for the training data."""
    split: Annotated[
        Literal["train", "validation", "test"] | None, option("train|validation|test", "none")
    ] = None
    """Score this split of the run's data, in place of a source."""
    json: bool = False
    """Print one JSON object."""

    def run(self, typed: Typed, began: float) -> None:
        settings = measuring_of(typed, "evaluate", [self.model])
        metrics = rh.evaluate(self.model, *self.sources, split=self.split, **settings)
        if self.json:
            print_json(metrics.to_mapping())
            return
        data = f"the {self.split} split" if self.split else ", ".join(self.sources)
        print_parts(metrics.report(f"{self.model} on {data or 'its training data'}"))
        for line in metrics.notes():
            note(line)

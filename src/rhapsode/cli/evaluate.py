"""`rhapsode evaluate`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from rhapsode.cli.console import note, print_json
from rhapsode.cli.parse import modality_settings, parse, typed_of
from rhapsode.config import Positional, option

__all__ = ["EvaluateCommand", "print_parts", "run"]

DESCRIPTION = """Measure a model on data: likelihood, baselines, and further metrics of its kind of data.

Every element is scored once, with the context that the model was trained with. Series are also forecast from rolling
origins and compared with the observations. rhapsode evaluate MODEL --help lists the options for the model's kind of data."""


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand:
    """Options."""

    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    sources: Positional[Annotated[tuple[str, ...], option("SOURCE", "")]] = ()
    """Files, folders, patterns, - for standard input, or names; read as in training. For series:
    one table, or none for the training data."""
    split: Annotated[
        Literal["train", "validation", "test"] | None, option("train|validation|test", "none")
    ] = None
    """Score this split of the run's data, in place of a source."""
    json: bool = False
    """Print one JSON object."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    flags = modality_settings(arguments, "evaluation")
    command, typed = parse(EvaluateCommand, "evaluate", DESCRIPTION, arguments, *flags)
    from rhapsode.workflows import open_model
    from rhapsode.workflows.inference.comparison import evaluate

    modality, model = open_model(command.model)
    asked = typed_of(typed, modality.evaluation)
    metrics = evaluate(model, *command.sources, split=command.split, **asked)
    figures = metrics.to_mapping()
    if command.json:
        print_json(figures)
        return 0
    data = f"the {command.split} part" if command.split else ", ".join(command.sources)
    print_parts(metrics.report(f"{command.model} on {data or 'what it learnt from'}"))
    for line in modality.notes(figures):
        note(line)
    return 0


def print_parts(parts: Iterator[Any]) -> None:
    """Print lines, and what `rich` draws, to stdout."""
    from rich.console import Console

    console = Console(highlight=False)
    for part in parts:
        if isinstance(part, str):
            console.print(part, soft_wrap=True, markup=False)
        else:
            console.print(part)

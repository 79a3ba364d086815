"""`rhapsode evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from rhapsode.cli.console import note, print_json
from rhapsode.cli.parse import parse
from rhapsode.cli.series import evaluate_series, series_model_in
from rhapsode.cli.train import source_flags, typed_flags
from rhapsode.config import Positional, SourceSettings, from_mapping, option, to_mapping
from rhapsode.errors import SettingsError
from rhapsode.views.evaluation_report import print_evaluation

if TYPE_CHECKING:
    from rhapsode.modalities.text.model import TextModel

__all__ = ["EvaluateCommand", "asked_source", "run"]

DESCRIPTION = """Score a text with a model: every element once, in the context the model was trained in.

A model of series forecasts the ends of a table, and has options of its own: rhapsode evaluate MODEL --help."""


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand(SourceSettings):
    """Flags of `rhapsode evaluate`."""

    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    sources: Positional[Annotated[tuple[str, ...], option("SOURCE", "")]] = ()
    """Files, folders, patterns, - for standard input, or named corpora; records are read as in training."""
    dynamic: bool = False
    """Report, apart, what the text costs if the model goes on learning from it: up to a minute more."""
    weights: Literal["float32", "bf16", "int8"] = "float32"
    """Also score a part of the text with weights kept as these, as generate can have them, and tell what that costs."""
    json: bool = False
    """Print one JSON object."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    if series_model_in(arguments):
        return evaluate_series(arguments)
    command = parse(EvaluateCommand, "evaluate", DESCRIPTION, arguments)
    if not command.sources:
        raise SettingsError("no source was given", where="evaluate", hint="name a text to score")
    from rhapsode.modalities.text.model import TextModel

    model = TextModel(command.model)
    source = asked_source(command, arguments, model, command.sources)
    found = model.evaluate(
        *command.sources,
        source=source,
        tell=note,
        dynamic=command.dynamic,
        weights=command.weights,
    )
    figures = found.to_mapping()
    if command.json:
        print_json(figures)
        return 0
    print_evaluation(figures, f"{command.model} on {', '.join(command.sources)}")
    return 0


def asked_source(
    command: SourceSettings, arguments: Sequence[str], model: TextModel, sources: Sequence[str]
) -> SourceSettings | None:
    """How sources are to be read: as in training, but for what was typed; None where nothing was."""
    flags = source_flags(command, typed_flags(arguments, command))
    if not flags:
        return None
    kept = to_mapping(model.source_settings(sources))
    if any(name in flags for name in ("field", "template", "prompt_field")):
        kept = {**kept, **dict.fromkeys(("field", "template", "prompt_field", "completion_field"))}
    return from_mapping(SourceSettings, {**kept, **flags}, where="[source]")

"""`rhapsode train`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from rhapsode.cli.console import note, stderr
from rhapsode.cli.parse import parse, typed_of
from rhapsode.cli.set_hints import in_settings, set_places
from rhapsode.cli.training_run import run_training
from rhapsode.config import Positional, Repeated, RunSettings, SourceSettings, option, presets
from rhapsode.errors import RhapsodeError, SettingsError

__all__ = ["TrainCommand", "run"]

DESCRIPTION = """Train a model on files, folders, archives or named corpora, and write a run folder.

Files may contain text in any character encoding, and may be compressed or inside zip or tar archives. For records
(JSON, JSON Lines, CSV, TSV, Parquet), --field or --template selects the text. A table of numbers (CSV, TSV, Parquet,
.npy) is read as time series; --set series.time_column='["date"]' and similar settings override the detected columns.

The last tenth of the data is held out and scored once, at the end. Samples are shown during training. Ctrl-C stops and
saves the run; --resume continues it.

Presets for --config, each a well-known model with its own settings:

{presets}"""


@dataclass(frozen=True)
class TrainCommand(SourceSettings, RunSettings):
    """Options."""

    sources: Positional[Annotated[tuple[str, ...], option("SOURCE", "")]] = ()
    """Files, folders, patterns such as "*.txt", - for standard input, or names listed by `rhapsode
    data list`; an existing path takes precedence."""
    output: Annotated[str | None, option("RUN", "runs/<name of the source>", alias="-o")] = None
    """Run folder: the model, its settings and its metrics; it must not exist yet."""
    config: Annotated[str | None, option("FILE.toml|PRESET", "none")] = None
    """Settings file, for example the config.toml of another run, or the name of a preset; flags
    take precedence."""
    set: Annotated[Repeated[tuple[str, ...]], option("SECTION.KEY=VALUE", "none")] = ()
    """Any single setting, for example network.hidden_size=256 or training.learning_rate=0.002; may
    be repeated."""
    resume: bool = False
    """Continue the run in -o exactly from its last checkpoint."""
    from_: Annotated[str | None, option("MODEL", "random weights", name="from")] = None
    """Fine-tune this base model (a run folder or model file): its encoding, network and weights are
    kept, and the learning rate is lower."""
    plan: bool = False
    """Print the planned settings with their reasons, in the format of --config, and stop; no file
    is written."""
    repeat: Annotated[int | None, option("N", "one run")] = None
    """Train with N consecutive seeds, from --seed (or 1), each in its own folder inside -o and with
    the whole budget; then report mean and spread. With --resume, missing runs are added."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    try:
        return _run(arguments, began)
    except RhapsodeError as problem:
        problem.hint = problem.hint and in_settings(problem.hint, TrainCommand)
        raise


def _run(arguments: Sequence[str], began: float) -> int:
    presets_list = "\n".join(f"  {name}: {about}." for name, about in presets().items())
    command, typed = parse(
        TrainCommand,
        "train",
        DESCRIPTION.format(presets=presets_list),
        arguments,
        elsewhere=partial(set_places, TrainCommand),
    )
    if not command.sources and not command.resume:
        raise SettingsError(
            "no source was given", where="train", hint="name a text file, a folder or a corpus"
        )
    from rhapsode.workflows.runs.requested_settings import requested_settings

    flags = typed_of(typed, RunSettings)
    if source := typed_of(typed, SourceSettings):
        flags["source"] = source
    asked = requested_settings(command.config, command.set, flags)
    if command.plan:
        return _plan(command, asked)
    from rhapsode.workflows.runs.repeat import is_repeated

    again = command.resume and command.output is not None and is_repeated(command.output)
    if command.repeat is not None or again:
        return _repeat(command, asked, began)
    from rhapsode.workflows.runs.run import prepare_training

    training = prepare_training(
        command.sources,
        asked,
        output=command.output,
        resume=command.resume,
        start=command.from_,
        spent=time.monotonic() - began,
    )
    if not run_training(training):
        return 130
    note(f"\nnext:  {training.run.modality.next_command(training.folder.path)}")
    return 0


def _plan(command: TrainCommand, asked: dict[str, Any]) -> int:
    """Print what would be done."""
    if command.resume or command.repeat is not None:
        raise SettingsError(
            "a plan is of one new run", where="--plan", hint="leave out --resume and --repeat"
        )
    import rhapsode as rh

    sys.stdout.write(rh.plan(*command.sources, base=command.from_, **asked).toml())
    return 0


def _repeat(command: TrainCommand, asked: dict[str, Any], began: float) -> int:
    """Run several seeds, and tell how far apart they lie."""
    from rhapsode.views.terminal.model_tables import seeds_table
    from rhapsode.workflows.runs.repeat import repeat

    folder, summary = repeat(
        command.sources,
        asked,
        command.repeat,
        run_training,
        output=command.output,
        resume=command.resume,
        start=command.from_,
        spent=time.monotonic() - began,
    )
    if summary is None:
        note(f"go on with all seeds by: rhapsode train -o {folder} --resume")
        return 130
    stderr().print()
    stderr().print(seeds_table(summary, f"{summary['repeat']} seeds ({folder})"))
    return 0

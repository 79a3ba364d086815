"""`rhapsode train`."""

from __future__ import annotations

import dataclasses
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, UseAppendAction

from rhapsode.cli.console import figures_table, note, stderr
from rhapsode.cli.parse import parse
from rhapsode.config import (
    RunSettings,
    SourceSettings,
    apply_assignments,
    merge,
    option,
    read_toml,
)
from rhapsode.errors import SettingsError

if TYPE_CHECKING:
    from rhapsode.workflows.train import Training

__all__ = ["TrainCommand", "run", "run_training", "source_flags", "typed_flags"]

DESCRIPTION = """Learn from files, folders, archives or named corpora, and leave a run folder.

Files may be text in any encoding, compressed, inside zip or tar, or records (JSON, JSON Lines, CSV, TSV, Parquet): then
--field or --template says what of a record is its text.

The last tenth of the text is held out and scored once, at the end. While it trains it shows samples of what it would
write. Ctrl-C stops it, saved; --resume goes on."""

_LENGTHS = ("budget", "epochs", "steps")


@dataclass(frozen=True)
class TrainCommand(SourceSettings, RunSettings):
    """Flags of `rhapsode train`."""

    sources: Positional[Annotated[tuple[str, ...], option("SOURCE", "")]] = ()
    """Files, folders, patterns as "*.txt", - for standard input, or names that `rhapsode data list` shows; a path that
    exists wins."""
    output: Annotated[str | None, option("RUN", "runs/<name of the source>", alias="-o")] = None
    """Folder for the model and everything about it; it must not exist yet."""
    config: Annotated[str | None, option("FILE.toml", "none")] = None
    """Settings file, such as the config.toml of another run; flags win over it."""
    set: Annotated[UseAppendAction[tuple[str, ...]], option("SECTION.KEY=VALUE", "none")] = ()
    """Any single setting, as network.hidden_size=256 or training.learning_rate=0.002; may be repeated."""
    resume: bool = False
    """Go on with the run in -o, exactly where its checkpoint left it."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command, asked = _asked(arguments)
    if not command.sources and not command.resume:
        raise SettingsError(
            "no source was given", where="train", hint="name a text file, a folder or a corpus"
        )
    from rhapsode.workflows.train import prepare_training

    training = prepare_training(
        command.sources,
        asked,
        output=command.output,
        resume=command.resume,
        spent=time.monotonic() - began,
        tell=note,
    )
    if not run_training(training):
        return 130
    note(f'\nnext:  rhapsode generate {training.folder.path} "..." --temperature 0.8')
    return 0


def _asked(arguments: Sequence[str]) -> tuple[TrainCommand, dict[str, Any]]:
    """The command, and the settings asked for by file, `--set` and flags, in that order."""
    command = parse(TrainCommand, "train", DESCRIPTION, arguments)
    base: dict[str, Any] = {}
    if command.config is not None:
        base = read_toml(Path(command.config))
        base.pop("run", None)  # what a config.toml notes of its own run
    flags = {field.name: field.default for field in dataclasses.fields(RunSettings)}
    plain = TrainCommand()
    typed = typed_flags(arguments, plain)
    # A flag that was typed wins even where it says what is the default anyway.
    given = {name: getattr(command, name) for name in flags if name in typed}
    source = source_flags(command, typed)
    if source:
        given["source"] = source
    if any(name in given for name in _LENGTHS):
        base = {name: value for name, value in base.items() if name not in _LENGTHS}
    return command, merge(apply_assignments(base, command.set), given)


def source_flags(command: SourceSettings, typed: Sequence[str]) -> dict[str, Any]:
    """What was typed of how sources are read."""
    names = [field.name for field in dataclasses.fields(SourceSettings)]
    return {name: getattr(command, name) for name in names if name in typed}


def typed_flags(arguments: Sequence[str], plain: object) -> list[str]:
    """Names of the flags among the arguments."""
    words = {argument.partition("=")[0] for argument in arguments}
    names = [field.name for field in dataclasses.fields(plain)]  # type: ignore[arg-type]
    return [name for name in names if f"--{name.replace('_', '-')}" in words]


def run_training(training: Training) -> bool:
    """Train on the terminal, to the summary; False when it was interrupted."""
    from rhapsode.cli.watch import Watch
    from rhapsode.training.events import Finished
    from rhapsode.workflows.writing_table import copying_in_short

    interrupted = False
    floor = None if training.counted is None else training.counted.loss
    with _stopping(training), Watch(training.settings.budget_seconds(), floor) as watch:
        for event in training.events():
            watch.show(event)
            if isinstance(event, Finished):
                interrupted = event.reason == "interrupted"
    path = training.folder.path
    if interrupted:
        note(f"interrupted and saved; go on with: rhapsode train -o {path} --resume")
        return False
    summary = training.finish()
    stderr.print()
    if summary["loss"] is not None:
        stderr.print(figures_table(summary, f"test share, swept once ({path})"))
    note(
        f"{summary['steps']:,} updates in {summary['seconds']:.1f} s, "
        f"{summary['elements_per_second']:,.0f} elements/s; finishing {summary['finishing_seconds']:.1f} s"
    )
    note(copying_in_short(summary["writing"]))
    return True


@contextmanager
def _stopping(training: Training) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) ends the loop behind its step, saved; the second ends at once."""

    def stop(number: int, frame: object) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        training.loop.stop()
        sys.stderr.write("\nstopping and saving ...\n")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

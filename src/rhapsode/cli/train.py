"""`rhapsode train`."""

from __future__ import annotations

import dataclasses
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from rich.table import Column, Table

from rhapsode.cli.console import note, stderr
from rhapsode.cli.parse import parse, typed_of
from rhapsode.config import (
    Positional,
    Repeated,
    RunSettings,
    SourceSettings,
    apply_assignments,
    merge,
    option,
    presets,
    read_settings,
)
from rhapsode.errors import RhapsodeError, SettingsError
from rhapsode.modalities import MODALITIES

if TYPE_CHECKING:
    from rhapsode.workflows.runs.training import Training

__all__ = ["TrainCommand", "in_settings", "run", "run_training"]

DESCRIPTION = """Learn from files, folders, archives or named corpora, and leave a run folder.

Files may be text in any encoding, compressed, inside zip or tar, or records (JSON, JSON Lines, CSV, TSV, Parquet): then
--field or --template says what of a record is its text. A table of numbers (CSV, TSV, Parquet, .npy) is learnt as time
series; --set series.time_column='["date"]' and the like say what is not found out.

The last tenth of the text is held out and scored once, at the end. While it trains it shows samples of what it would
write. Ctrl-C stops it, saved; --resume goes on.

Presets for --config, each a classic with its own settings:

{presets}"""

_LENGTHS = ("budget", "epochs", "steps")


@dataclass(frozen=True)
class TrainCommand(SourceSettings, RunSettings):
    """Flags of `rhapsode train`."""

    sources: Positional[Annotated[tuple[str, ...], option("SOURCE", "")]] = ()
    """Files, folders, patterns as "*.txt", - for standard input, or names that `rhapsode data list` shows; a path that
    exists wins."""
    output: Annotated[str | None, option("RUN", "runs/<name of the source>", alias="-o")] = None
    """Folder for the model and everything about it; it must not exist yet."""
    config: Annotated[str | None, option("FILE.toml|PRESET", "none")] = None
    """Settings file, such as the config.toml of another run, or the name of a preset; flags win over it."""
    set: Annotated[Repeated[tuple[str, ...]], option("SECTION.KEY=VALUE", "none")] = ()
    """Any single setting, as network.hidden_size=256 or training.learning_rate=0.002; may be repeated."""
    resume: bool = False
    """Go on with the run in -o, exactly where its checkpoint left it."""
    from_: Annotated[str | None, option("MODEL", "fresh weights", name="from")] = None
    """Begin as this model (a run folder or model file), with its elements and its network, at a lower learning rate."""
    plan: bool = False
    """Print the settings it would train with, and why, as a file for --config, and stop; nothing is written."""
    repeat: Annotated[int | None, option("N", "one run")] = None
    """Train with N seeds, --seed (or 1) and those behind it, each in a folder of its own inside -o and with the whole
    budget; then tell mean and spread. With --resume, the runs that are missing are made."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    try:
        return _run(arguments, began)
    except RhapsodeError as problem:
        problem.hint = problem.hint and in_settings(problem.hint)
        raise


def in_settings(hint: str) -> str:
    """A hint that speaks of flags of other commands, as training takes these settings."""
    sections = _sections()

    def setting(found: re.Match[str]) -> str:
        name, value = found[1].replace("-", "_"), found[2]
        if name not in sections:
            return found[0]
        told = f"--set {sections[name]}.{name}"
        return f"{told}={value}" if value else told

    return re.sub(r"--([a-z-]+)(?: (none|mean|\S)(?= |$))?", setting, hint)


def _sections() -> dict[str, str]:
    """Settings that say how one modality reads its sources, by section; those without a flag here."""
    flags = {field.name for field in dataclasses.fields(TrainCommand)}
    found: dict[str, str] = {}
    for name in MODALITIES.names():
        # That section is named as the modality is.
        section = name.partition(".")[0]
        own = getattr(MODALITIES.get(name).settings(), section, None)
        names = dataclasses.fields(own) if dataclasses.is_dataclass(own) else ()
        found |= {field.name: section for field in names if field.name not in flags}
    return found


def _run(arguments: Sequence[str], began: float) -> int:
    command, asked = _asked(arguments)
    if not command.sources and not command.resume:
        raise SettingsError(
            "no source was given", where="train", hint="name a text file, a folder or a corpus"
        )
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
        tell=note,
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
    from rhapsode.training import join_group
    from rhapsode.workflows.runs.plan_run import plan_in_toml, plan_training

    planned = plan_training(
        command.sources, asked, kept=None, start=command.from_, tell=note, group=join_group()
    )
    sys.stdout.write(plan_in_toml(planned))
    return 0


def _repeat(command: TrainCommand, asked: dict[str, Any], began: float) -> int:
    """Run several seeds, and tell how far apart they lie."""
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
        tell=note,
    )
    if summary is None:
        note(f"go on with all seeds by: rhapsode train -o {folder} --resume")
        return 130
    stderr().print()
    stderr().print(_spread_table(summary, f"{summary['repeat']} seeds ({folder})"))
    return 0


def _spread_table(summary: dict[str, Any], title: str) -> Table:
    """Losses seed by seed, their mean and their standard deviation."""
    table = Table(
        Column("seed", style="dim"),
        title=title,
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    headings = {
        "loss": "test loss",
        "network_loss": "network alone",
        "mase": "MASE",
        "crps": "CRPS",
        "validation_loss": "validation",
        "steps": "updates",
        "seconds": "seconds",
    }
    names = [n for n in headings if any(run[n] is not None for run in summary["runs"])]
    for name in names:
        table.add_column(headings[name], justify="right")

    def cells(row: dict[str, Any]) -> list[str]:
        digits = {"steps": 0, "seconds": 1}
        return ["-" if row[n] is None else f"{row[n]:,.{digits.get(n, 4)}f}" for n in names]

    for one in summary["runs"]:
        table.add_row(str(one["seed"]), *cells(one))
    for word, key in (("mean", "mean"), ("spread (sd)", "std")):
        row = {n: summary[n] and summary[n][key] for n in names if n != "steps"}
        table.add_row(word, *cells({**row, "steps": None}), style="bold")
    return table


def _asked(arguments: Sequence[str]) -> tuple[TrainCommand, dict[str, Any]]:
    """The command, and the settings asked for by file, `--set` and flags, in that order."""
    # A paragraph each: what is typed on neighbouring lines would be run together.
    listing = "\n\n".join(f"{name}: {about}." for name, about in presets().items())
    command, typed = parse(TrainCommand, "train", DESCRIPTION.format(presets=listing), arguments)
    base: dict[str, Any] = {}
    if command.config is not None:
        base = read_settings(command.config)
        base.pop("run", None)  # what a config.toml notes of its own run
    # A flag that was typed wins even where it says what is the default anyway.
    given = typed_of(typed, RunSettings)
    _drop_head(base, command, given)
    source = typed_of(typed, SourceSettings)
    if source:
        given["source"] = source
    if any(name in given for name in _LENGTHS):
        base = {name: value for name, value in base.items() if name not in _LENGTHS}
    return command, merge(apply_assignments(base, command.set), given)


def _drop_head(base: dict[str, Any], command: TrainCommand, given: Mapping[str, Any]) -> None:
    """A head or encoding that was typed takes the place of the file's, with all that belongs to it."""
    named = any(word.partition("=")[0].strip() == "head.name" for word in command.set)
    if named and base.get("encoding") == "binned":
        del base["encoding"]
    if named or ("encoding" in given and base.get("encoding", "auto") != command.encoding):
        base.pop("head", None)


def run_training(training: Training) -> bool:
    """Train on the terminal, to the summary; False when it was interrupted."""
    from rhapsode.cli.watch import Watch
    from rhapsode.training.events import Finished

    ended = "done"
    budget, baseline = training.settings.budget_seconds(), training.run.planned.baseline
    with stopping(training.loop), Watch(budget, baseline) as watch:
        for event in training.events():
            watch.show(event)
            if isinstance(event, Finished):
                ended = event.reason
    path = training.folder.path
    if ended == "interrupted":
        note(f"interrupted and saved; go on with: rhapsode train -o {path} --resume")
        return False
    if not training.group.first:
        return True
    if ended == "overfitting":
        note(
            f"stopped early: validation had not improved for {training.settings.training.patience} looks, so the "
            f"{training.run.modality.noun} was being learnt by heart; kept is the best (more dropout, a smaller network "
            "or less time may help)"
        )
    summary = training.finish(note)
    stderr().print()
    for told in training.run.modality.told(summary, f"test share, swept once ({path})"):
        if isinstance(told, str):
            note(told)
        else:
            stderr().print(told)
    note(
        f"{summary['steps']:,} updates in {summary['seconds']:.1f} s, "
        f"{summary['elements_per_second']:,.0f} elements/s; finishing {summary['finishing_seconds']:.1f} s"
    )
    start = summary.get("from")
    if start is not None and start.get("validation_loss") is not None:
        before, after = start["validation_loss"], summary["validation_loss"]
        verdict = "" if after < before else ": no better, so the model is the old one"
        note(
            f"validation on the new {training.run.modality.noun}: {before:.4f} before, {after:.4f} now{verdict}"
        )
    note(f"the course of the run: {training.folder.curve}")
    return True


@contextmanager
def stopping(loop: Any) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) ends the loop after its step, saved; the second ends at once."""

    def stop(number: int, frame: object) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        loop.stop()
        sys.stderr.write("\nstopping and saving ...\n")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

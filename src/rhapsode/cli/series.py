"""What the commands do with series of numbers: train, generate, evaluate, describe."""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.table import Table

from rhapsode.bundle import modality_of
from rhapsode.cli.console import note, print_json, put, stderr
from rhapsode.cli.parse import parse
from rhapsode.config import Positional, Repeated, option
from rhapsode.errors import SettingsError

if TYPE_CHECKING:
    from rhapsode.config import ForecastSettings
    from rhapsode.workflows.series.model import SeriesModel
    from rhapsode.workflows.series.training import SeriesTraining

__all__ = [
    "EvaluateSeriesCommand",
    "evaluate_series",
    "explain_samplers",
    "forecasts_table",
    "generate_series",
    "method_notes",
    "run_series_training",
    "series_model_in",
    "stopping",
    "train_on_series",
]

DESCRIPTION = """Forecasts of a model of series, from rolling origins over the end of every series, beside what came.

Seasonal naive stands beside always; ETS, ARIMA and Theta where statsforecast is installed."""


def series_model_in(arguments: Sequence[str]) -> bool:
    """Whether one of the words names a model of series."""
    return any(not word.startswith("-") and modality_of(word) == "series.v1" for word in arguments)


def train_on_series(
    sources: tuple[str, ...],
    asked: Mapping[str, Any],
    *,
    output: str | None = None,
    resume: bool = False,
    spent: float = 0.0,
) -> Path | None:
    """Train on the terminal, to the summary; the run folder, or None when it was interrupted."""
    from rhapsode.workflows.series.training import prepare_series_training

    training = prepare_series_training(
        sources, asked, output=output, resume=resume, spent=spent, tell=note
    )
    return training.folder.path if run_series_training(training) else None


def run_series_training(training: SeriesTraining) -> bool:
    """Train on the terminal, to the summary; False when it was interrupted."""
    from rhapsode.cli.watch import Watch
    from rhapsode.training.events import Finished

    ended = "done"
    with stopping(training.loop), Watch(training.settings.budget_seconds()) as watch:
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
            f"stopped early: validation had not improved for {training.settings.training.patience} looks; kept is the best"
        )
    summary = training.finish(note)
    stderr().print()
    if summary["loss"] is not None:
        note(f"test share, the end of every series, swept once ({path})")
        note(f"density: {summary['loss']:.4f} nats a value over {summary['elements']:,} values")
        if summary["forecasts"]:
            stderr().print(forecasts_table(summary["forecasts"]))
            method_notes(summary["forecasts"])
    note(
        f"{summary['steps']:,} updates in {summary['seconds']:.1f} s; finishing {summary['finishing_seconds']:.1f} s"
    )
    note(f"the course of the run: {training.folder.curve}")
    return True


@contextmanager
def stopping(loop: Any) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) ends the loop behind its step, saved; the second ends at once."""

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


def forecasts_table(forecasts: Mapping[str, Any]) -> Table:
    """Methods and their figures, for people."""
    from rhapsode.workflows.series.report import METHOD_COLUMNS, method_rows

    count, steps = forecasts["forecasts"], forecasts["horizon"]
    table = Table(
        title=f"{count:,} forecast{'s' if count != 1 else ''}, {steps} steps ahead",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("")
    for name in METHOD_COLUMNS:
        table.add_column(name, justify="right")
    for name, *cells in method_rows(forecasts):
        table.add_row(name, *cells, style="bold" if name == "model" else "")
    return table


def method_notes(forecasts: Mapping[str, Any]) -> None:
    """What was left out, and a warning where the model is no better than a season ago."""
    for line in forecasts["notes"]:
        note(line)
    for found in forecasts["methods"].values():
        for line in found["notes"]:
            note(line)
        break
    if forecasts["warning"]:
        stderr().print(f"warning: {forecasts['warning']}", style="yellow")


@dataclass(frozen=True)
class EvaluateSeriesCommand:
    """Flags of `rhapsode evaluate` for a model of series."""

    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    source: Positional[Annotated[str, option("TABLE", "what it learnt from")]] = ""
    """Table of series whose ends are forecast."""
    horizon: Annotated[int | None, option("N", "the model's own")] = None
    """Steps ahead."""
    origins: Annotated[int | None, option("N", "all in the last tenth")] = None
    """Forecasts of every series, the last of which ends with it."""
    stride: Annotated[int | None, option("N", "the horizon")] = None
    """Steps from one origin to the next."""
    samples: Annotated[int, option("N")] = 200
    """Sample paths of every forecast."""
    seed: Annotated[int, option("N")] = 0
    """Seed of the paths."""
    method: Annotated[Repeated[tuple[str, ...]], option("NAME", "all there are")] = ()
    """A statistical method beside it: ets, arima, theta or none; may be repeated."""
    json: bool = False
    """Print one JSON object."""


def evaluate_series(arguments: Sequence[str]) -> int:
    """`rhapsode evaluate` for a model of series."""
    command = parse(EvaluateSeriesCommand, "evaluate", DESCRIPTION, arguments)
    for name, least in (("horizon", 1), ("origins", 1), ("stride", 1), ("samples", 2), ("seed", 0)):
        value = getattr(command, name)
        if value is not None and value < least:
            raise SettingsError(f"{value} is too small", where=f"--{name}")
    from rhapsode.workflows.series.model import SeriesModel

    model = SeriesModel(command.model)
    methods: tuple[str, ...] | None = command.method or None
    if "none" in command.method:
        if len(command.method) > 1:
            raise SettingsError("none goes with nothing else", where="--method")
        methods = ()
    source = command.source or model.own_source()
    figures, _ = model.evaluate(
        source,
        horizon=command.horizon,
        origins=command.origins,
        stride=command.stride,
        samples=command.samples,
        seed=command.seed,
        methods=methods,
    )
    if command.json:
        print_json(figures)
        return 0
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{command.model} on {source}")
    console.print(
        f"density: {figures['loss']:.4f} nats a value over {figures['elements']:,} values"
    )
    if figures["learnt"]:
        stderr().print(
            f"warning: {figures['learnt']:,} of the values scored were learnt from, or chose the weights; what stands "
            "beside the model has not seen what it forecasts",
            style="yellow",
        )
    console.print(forecasts_table(figures["forecasts"]))
    method_notes(figures["forecasts"])
    return 0


def explain_samplers(model: SeriesModel, settings: ForecastSettings) -> None:
    """Tell of the samplers' steps, where that was asked for; refuse those that do not go with the model.

    Raises:
        SettingsError: a sampler of elements, for a model of densities.
    """
    from rhapsode.workflows.series.sampling import chain_of_bins

    chain = chain_of_bins(settings, model.bins)
    if settings.explain:
        density = f"draw from the density, temperature {settings.temperature:g}"
        note(density if chain is None else chain.explain())


def generate_series(command: Any, typed: Sequence[str]) -> int:
    """`rhapsode generate` for a model of series: new ones, or paths that continue a table.

    Arguments:
        command: the flags.
        typed: names of those that were typed.
    """
    from rhapsode.config import ForecastSettings, SamplingSettings, from_mapping

    samplers = {field.name for field in dataclasses.fields(SamplingSettings)} - {"trace"}
    other = [name for name in typed if name not in {"length", "count", "seed", *samplers}]
    if other:
        raise SettingsError(
            "this is for text; a model of series takes --length, --count, --seed and samplers",
            where=f"--{other[0].replace('_', '-')}",
        )
    from rhapsode.workflows.series.model import SeriesModel
    from rhapsode.workflows.series.output import csv_text, forecast_rows, series_rows

    length = command.length if "length" in typed else None
    seed = 0 if command.seed is None else command.seed
    asked = {
        "horizon": length,
        "samples": command.count,
        "seed": seed,
        **{name: getattr(command, name) for name in samplers if name in typed},
    }
    given = {name: value for name, value in asked.items() if value is not None}
    for flag, value in (("--length", length), ("--count", command.count)):
        if value is not None and value < 1:
            raise SettingsError(f"{value} is too small", where=flag)
    settings = from_mapping(ForecastSettings, given, where="options")
    model = SeriesModel(command.model)
    explain_samplers(model, settings)
    if command.prompt:
        for piece in csv_text(forecast_rows(model.forecast(command.prompt, settings), paths=True)):
            put(piece)
        return 0
    made = model.generate(length, count=command.count, settings=settings)
    for piece in csv_text(series_rows(made)):
        put(piece)
    return 0

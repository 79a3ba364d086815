"""`rhapsode forecast`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rhapsode.bundle import modality_of
from rhapsode.cli.console import note, print_json, put
from rhapsode.cli.parse import parse, settings_of
from rhapsode.cli.train import typed_flags
from rhapsode.config import Positional, from_mapping, option
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import SettingsError
from rhapsode.files import is_there
from rhapsode.modalities.series.settings import ForecastSettings

if TYPE_CHECKING:
    from rhapsode.modalities.series.model import SeriesForecast, SeriesModel

__all__ = ["ForecastCommand", "run"]

DESCRIPTION = """What comes next in series of numbers: sample paths, and quantiles of them.

MODEL is a run folder or model file; the history is continued behind its last known value, and without one the table that
the model learnt from is. Covariates that are known ahead stand in rows behind that value.

A table in the place of the model is learnt from first, within --budget, and then continued; the run is kept."""

DIRECT_BUDGET = "1m"


@dataclass(frozen=True)
class _Places:
    model: Positional[Annotated[str, option("MODEL|TABLE")]]
    """Run folder or model file, or a table to learn from: CSV, TSV, Parquet, .npy, .npz, or a name."""
    history: Positional[Annotated[str, option("HISTORY", "what it learnt from")]] = ""
    """Table of what came before; - reads it from standard input."""


@dataclass(frozen=True)
class ForecastCommand(SeriesSettings, ForecastSettings, _Places):
    """Flags of `rhapsode forecast`."""

    output: Annotated[str | None, option("FILE", "standard output", alias="-o")] = None
    """A .csv, .tsv or .parquet file for the forecast."""
    plot: Annotated[str | None, option("FILE", "none")] = None
    """A .png or .svg picture of history and forecast."""
    budget: Annotated[str | None, option("TIME", DIRECT_BUDGET)] = None
    """Time to learn in, where a table stands in the place of the model."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command = parse(ForecastCommand, "forecast", DESCRIPTION, arguments)
    settings = settings_of(command, ForecastSettings)
    if settings.format == "json" and (settings.paths or command.output is not None):
        raise SettingsError(
            "json has quantiles only, on standard output",
            where="--format",
            hint="leave out --paths and --output, or --format json",
        )
    typed = typed_flags(arguments, command)
    reading = _reading(command, typed)
    from rhapsode.modalities.series.chart import check_picture
    from rhapsode.modalities.series.output import check_table

    if command.plot is not None:
        check_picture(Path(command.plot))
    if command.output is not None:
        check_table(Path(command.output))
    model, source = _model(command, reading, began)
    if model is None:
        return 130
    given = model.read(source, reading)
    for line in given.notes:
        note(line)
    explained = model.explained_forecast(settings)  # refuses what does not fit the model
    if settings.explain:
        note(explained)
    found = model.forecast(given, settings)
    if command.plot is not None:
        _plot(Path(command.plot), model, found)
    _tell(command, settings, found)
    return 0


def _reading(command: ForecastCommand, typed: Sequence[str]) -> dict[str, Any]:
    """What was typed of how a table is read."""
    names = [field.name for field in dataclasses.fields(SeriesSettings)]
    asked = {name: getattr(command, name) for name in names if name in typed}
    from_mapping(SeriesSettings, asked, where="options")  # refused here where it makes no sense
    return asked


def _model(
    command: ForecastCommand, reading: dict[str, Any], began: float
) -> tuple[SeriesModel | None, Any]:
    """The model, and the history it is to continue; no model where learning was interrupted."""
    from rhapsode.modalities.series.model import SeriesModel

    path = Path(command.model)
    if modality_of(command.model) == "series.v1" or (is_there(path) and path.is_dir()):
        if command.budget is not None:
            raise SettingsError(
                "a model has learnt already", where="--budget", hint="name a table to learn from"
            )
        model = SeriesModel(command.model)
        return model, command.history or model.own_source()
    if path.suffix == ".safetensors":
        return SeriesModel(command.model), command.history
    asked: dict[str, Any] = {"budget": command.budget or DIRECT_BUDGET, "seed": command.seed}
    if reading:
        asked["series"] = reading
    if command.horizon is not None:
        asked["data"] = {"horizon": command.horizon}
    from rhapsode.modalities.series.binned_filters import chain_of_bins

    chain_of_bins(settings_of(command, ForecastSettings), None)  # refused before anything is learnt
    from rhapsode.cli.train import run_training
    from rhapsode.workflows.runs.run import prepare_training

    asked["modality"] = "series"
    spent = time.monotonic() - began
    training = prepare_training((command.model,), asked, spent=spent, tell=note)
    if not run_training(training):
        return None, None
    folder = training.folder.path
    note(f"the model is kept in {folder}")
    return SeriesModel(folder), command.history or command.model


def _plot(path: Path, model: SeriesModel, found: SeriesForecast) -> None:
    from rhapsode.modalities.series.chart import write_chart

    steps = found.paths_BSHK.shape[2]
    title = f"{steps} steps ahead, {found.paths_BSHK.shape[1]:,} paths"
    left = write_chart(path, found, title=title)
    note(f"picture: {path}" + (f" ({left} more series are not in it)" if left else ""))


def _tell(command: ForecastCommand, settings: ForecastSettings, found: SeriesForecast) -> None:
    from rhapsode.modalities.series.model import LEVELS
    from rhapsode.modalities.series.output import (
        csv_text,
        forecast_mapping,
        forecast_rows,
        write_table,
    )

    levels = tuple(sorted(set(settings.quantiles))) or LEVELS
    if command.output is not None:
        write_table(Path(command.output), forecast_rows(found, levels, paths=settings.paths))
        note(f"forecast: {command.output}")
    elif settings.format == "json":
        print_json(forecast_mapping(found, levels))
    else:
        for piece in csv_text(forecast_rows(found, levels, paths=settings.paths)):
            put(piece)

"""What the commands do with series of numbers: train, generate, evaluate, describe."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from rhapsode.bundle import modality_of
from rhapsode.cli.console import note, print_json, put, stderr
from rhapsode.cli.parse import parse
from rhapsode.config import Positional, Repeated, option
from rhapsode.errors import SettingsError

if TYPE_CHECKING:
    from rhapsode.modalities.series.model import SeriesModel
    from rhapsode.modalities.series.settings import ForecastSettings

__all__ = [
    "EvaluateSeriesCommand",
    "evaluate_series",
    "explain_samplers",
    "generate_series",
    "series_model_in",
]

DESCRIPTION = """Forecasts of a model of series, from rolling origins over the end of every series, beside what came.

Seasonal naive stands beside always; ETS, ARIMA and Theta where statsforecast is installed."""


def series_model_in(arguments: Sequence[str]) -> bool:
    """Whether one of the words names a model of series."""
    return any(not word.startswith("-") and modality_of(word) == "series.v1" for word in arguments)


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
    from rhapsode.modalities.series.model import SeriesModel

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
    from rhapsode.modalities.series.report import forecasts_table, method_notes

    console.print(forecasts_table(figures["forecasts"]))
    for line in method_notes(figures["forecasts"]):
        note(line)
    return 0


def explain_samplers(model: SeriesModel, settings: ForecastSettings) -> None:
    """Tell of the samplers' steps, where that was asked for; refuse those that do not go with the model.

    Raises:
        SettingsError: a sampler of elements, for a model of densities.
    """
    from rhapsode.modalities.series.binned_filters import chain_of_bins

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
    from rhapsode.config import SamplingSettings, from_mapping
    from rhapsode.modalities.series.settings import ForecastSettings

    samplers = {field.name for field in dataclasses.fields(SamplingSettings)} - {"trace"}
    other = [name for name in typed if name not in {"length", "count", "seed", *samplers}]
    if other:
        raise SettingsError(
            "this is for text; a model of series takes --length, --count, --seed and samplers",
            where=f"--{other[0].replace('_', '-')}",
        )
    from rhapsode.modalities.series.model import SeriesModel
    from rhapsode.modalities.series.output import csv_text, forecast_rows, series_rows

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

"""What the commands do with series of numbers: train, generate, evaluate, describe."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rhapsode.cli.console import note, put
from rhapsode.errors import SettingsError

if TYPE_CHECKING:
    from rhapsode.modalities.series.model import SeriesModel
    from rhapsode.modalities.series.settings import ForecastSettings

__all__ = [
    "explain_samplers",
    "generate_series",
]


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

"""`rhapsode forecast`."""

from __future__ import annotations

from collections.abc import Sequence

from rhapsode.cli.console import print_json, put
from rhapsode.cli.parse import parse, settings_of, typed_of
from rhapsode.config import from_mapping
from rhapsode.errors import SettingsError
from rhapsode.verbs.forecast import (
    ForecastOptions,
    ForecastSettings,
    SeriesSettings,
    forecast,
    forecast_text,
)

__all__ = ["ForecastCommand", "run"]

DESCRIPTION = """Forecast series of numbers by sample paths and their quantiles.

MODEL is a run folder or model file. The forecast begins after the last known value of the history. Without a history,
the table that the model was trained on is continued. Rows after the last value contain covariates known in advance.

If a table is given in place of the model, a model is trained on it within --budget, and the run is kept."""

ForecastCommand = ForecastOptions


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command, typed = parse(ForecastCommand, "forecast", DESCRIPTION, arguments)
    settings = settings_of(command, ForecastSettings)
    if settings.format == "json" and (settings.paths or command.output is not None):
        raise SettingsError(
            "json has quantiles only, on standard output",
            where="--format",
            hint="leave out --paths and --output, or --format json",
        )
    reading = typed_of(typed, SeriesSettings)
    from_mapping(SeriesSettings, reading, where="options")  # refused here where it makes no sense
    from rhapsode.cli.training_run import run_training

    found = forecast(
        command.model,
        command.history,
        settings,
        reading=reading,
        output=command.output,
        plot=command.plot,
        budget=command.budget,
        train=run_training,
        began=began,
    )
    if command.output is not None:
        return 0
    if settings.format == "json":
        print_json(found.to_mapping())
        return 0
    for piece in forecast_text(found, paths=settings.paths):
        put(piece)
    return 0

"""Forecast series of numbers by sample paths and their quantiles.

MODEL is a run folder or model file. The forecast begins after the last known value of the history.
Without a history, the table that the model was trained on is continued. Rows after the last value
contain covariates known in advance.

If a table is given in place of the model, a model is trained on it within --budget, and the run is
kept.
"""

from dataclasses import dataclass
from typing import Annotated

import rhapsode as rh
from rhapsode.cli.console import print_json, put
from rhapsode.cli.parse import Typed, settings_of, typed_of
from rhapsode.config import Positional, option
from rhapsode.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class ForecastCommand(rh.SeriesSettings, rh.ForecastSettings):
    """Output, and training on a table."""

    model: Positional[Annotated[str, option("MODEL|TABLE")]]
    """Run folder or model file, or a table to train on: CSV, TSV, JSON, Parquet, .npy, .npz, or the
    name of a corpus."""
    history: Positional[Annotated[str, option("HISTORY", "the training data")]] = ""
    """Table with the values before the forecast; - reads it from standard input."""

    output: Annotated[str | None, option("FILE", "standard output", alias="-o")] = None
    """File for the forecast: .csv, .tsv or .parquet."""
    plot: Annotated[str | None, option("FILE", "none")] = None
    """File for a picture of the history and the forecast: .png or .svg."""
    budget: Annotated[str | None, option("TIME", "1m")] = None
    """Training time, if a table is given in place of a model."""

    def run(self, typed: Typed, began: float) -> None:
        from rhapsode.cli.watch import run_training

        settings = settings_of(self, rh.ForecastSettings)
        if settings.format == "json" and (settings.paths or self.output is not None):
            raise SettingsError(
                "json contains only quantiles, on standard output",
                where="--format",
                hint="leave out --paths and --output, or --format json",
            )
        forecast = rh.forecast(
            self.model,
            self.history,
            settings,
            reading=typed_of(typed, rh.SeriesSettings),
            output=self.output,
            plot=self.plot,
            budget=self.budget,
            train=run_training,
            began=began,
        )
        if self.output is not None:
            return
        if settings.format == "json":
            print_json(forecast.to_mapping())
            return
        for piece in forecast.csv(paths=settings.paths):
            put(piece)

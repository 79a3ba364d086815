"""Every option of training on series of numbers, declared once, and those of forecasting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from rhapsode.config.options import Repeated, option
from rhapsode.config.sampling import RepetitionSettings, TemperatureSettings, TruncationSettings
from rhapsode.config.train import TrainingSettings
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import SettingsError

__all__ = [
    "BINNED",
    "ForecastSettings",
    "SeriesComparisonSettings",
    "SeriesDataSettings",
    "SeriesEvaluationSettings",
    "SeriesTrainSettings",
]

BINNED = "binned"
"""The encoding whose elements are bins."""

Share = Annotated[float, Meta(ge=0.0, le=0.5)]
Steps = Annotated[int, Meta(ge=1, le=1 << 20)]


@dataclass(frozen=True)
class SeriesDataSettings:
    """How series are divided in time, and what the figures are of."""

    test_share: Share = 0.1
    """Share of the end of every series that is held out and forecast once, when all choices have been made."""
    validation_share: Share | None = None
    """Share of the end of the rest that chooses the best weights. [default: 0.1; 0.2 where fewer than a thousand
    values are known]"""
    horizon: Steps | None = None
    """Steps ahead that figures are of. [default: a season, or 12 where there is none; no more than the test share]"""
    season: Steps | None = None
    """Values to a season. [default: by the frequency]"""
    samples: Annotated[int, Meta(ge=2, le=100_000)] = 200
    """Paths of a forecast that figures are of."""
    run_up: Steps | None = None
    """Values of a history that are read before a forecast, at most. [default: four windows]"""


@dataclass(frozen=True)
class SeriesTrainSettings(TrainingSettings):
    """Everything that decides training on series."""

    model: Annotated[str, option("NAME")] = "lstm_skip"
    """Family: lstm_skip, lstm, awd_lstm, gru, rnn, tcn or transformer."""
    series: SeriesSettings = field(default_factory=SeriesSettings)
    data: SeriesDataSettings = field(default_factory=SeriesDataSettings)
    network: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the model's family, as hidden_size; what is unset is planned. Where conditioner is
    static, what is said of whole series conditions the network; it is fed at every step elsewhere."""
    head: Mapping[str, Any] = field(default_factory=dict)
    """The distribution: name is laplace, gaussian, student_t, gaussian_mixture, quantiles, poisson,
    negative_binomial or bins; and its own settings, of bins: bins, spacing, limit."""


@dataclass(frozen=True)
class ForecastSettings(RepetitionSettings, TruncationSettings, TemperatureSettings):
    """Settings of a forecast.

    Samplers of elements are for models of binned values.
    """

    order: Annotated[str, option("ORDER")] = "hf"
    """Order of the samplers' steps: hf, vllm, llamacpp, or step names joined by commas."""
    explain: bool = False
    """Print the samplers' steps in order, and what is off, to stderr."""
    horizon: Annotated[Steps | None, option("N", "the model's own")] = None
    """Steps to forecast."""
    samples: Annotated[Annotated[int, Meta(ge=1, le=1_000_000)], option("N")] = 200
    """Sample paths of every series."""
    quantiles: Annotated[
        Repeated[tuple[Annotated[float, Meta(gt=0.0, lt=1.0)], ...]],
        option("P", "0.05 0.25 0.5 0.75 0.95"),
    ] = ()
    """A level to print, as 0.9; may be repeated."""
    temperature: Annotated[Annotated[float, Meta(ge=0.0, le=100.0)], option("T")] = 1.0
    """Below 1 narrows every step's distribution about its middle, above 1 widens it; 0 draws the middle itself, of
    binned values the likeliest bin."""
    seed: Annotated[Annotated[int, Meta(ge=0, le=2**63 - 1)], option("N")] = 0
    """Seed of the paths."""
    paths: bool = False
    """Print the sample paths themselves, not quantiles of them."""
    format: Annotated[Literal["csv", "json"], option("csv|json")] = "csv"
    """What is printed."""


@dataclass(frozen=True)
class SeriesComparisonSettings:
    """Settings of a comparison of models of series."""

    horizon: Annotated[Steps | None, option("N", "the model's own")] = None
    """Steps ahead."""
    origins: Annotated[Steps | None, option("N", "all in the last tenth")] = None
    """Forecasts of every series, the last of which ends with it."""
    stride: Annotated[Steps | None, option("N", "the horizon")] = None
    """Steps from one origin to the next."""
    samples: Annotated[Annotated[int, Meta(ge=2, le=1_000_000)], option("N")] = 200
    """Sample paths of every forecast."""
    seed: Annotated[Annotated[int, Meta(ge=0, le=2**63 - 1)], option("N")] = 0
    """Seed of the paths."""


@dataclass(frozen=True)
class SeriesEvaluationSettings(SeriesComparisonSettings):
    """Settings of an evaluation of a model of series."""

    method: Annotated[Repeated[tuple[str, ...]], option("NAME", "all there are")] = ()
    """A statistical method beside it: ets, arima, theta or none; may be repeated."""

    def __post_init__(self) -> None:
        if "none" in self.method and len(self.method) > 1:
            raise SettingsError("none goes with nothing else", where="--method")

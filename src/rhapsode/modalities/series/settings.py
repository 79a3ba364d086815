"""Settings of training, forecasting and evaluation of series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from rhapsode.config import Repeated, TrainingSettings, option
from rhapsode.config.sampling import RepetitionSettings, TemperatureSettings, TruncationSettings
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import SettingsError

# The encoding whose elements are bins.
BINNED = "binned"

Share = Annotated[float, Meta(ge=0.0, le=0.5)]
Steps = Annotated[int, Meta(ge=1, le=1 << 20)]


@dataclass(frozen=True)
class SeriesDataSettings:
    """Splits of series in time, and settings of the metrics."""

    test_share: Share = 0.1
    """Fraction of each series, at its end, that is held out as the test split and forecast once,
    after all choices."""
    validation_share: Share | None = None
    """Fraction of the rest, at its end, that selects the best weights. [default: 0.1; 0.2 if fewer
    than a thousand values are known]"""
    horizon: Steps | None = None
    """Forecast steps of the metrics. [default: one season, or 12 without a season; at most the
    length of the test split]"""
    season: Steps | None = None
    """Number of values in a season. [default: from the frequency]"""
    samples: Annotated[int, Meta(ge=2, le=100_000)] = 200
    """Number of sample paths of a forecast for the metrics."""
    run_up: Steps | None = None
    """Maximum number of past values that are read before a forecast. [default: four windows]"""


@dataclass(frozen=True)
class CalibrationSettings:
    """Transformation of finished sample paths, chosen on the validation split after training."""

    pool: bool = True
    """Average the quantiles of the network with those of simple methods, weighted by their errors
    in the validation split; if a simple method is as good, it makes the forecasts."""
    intervals: bool = True
    """Widen or narrow the intervals so that they hold their share of the validation split."""
    forecasts: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """Maximum number of validation forecasts that choose weights and widths. [default: 400, fewer
    for horizons of more than 30 steps]"""


@dataclass(frozen=True)
class SeriesTrainSettings(TrainingSettings):
    """Settings of training on series."""

    model: Annotated[str, option("NAME")] = "lstm_skip"
    """Model family: lstm_skip, lstm, awd_lstm, gru, rnn, tcn or transformer."""
    series: SeriesSettings = field(default_factory=SeriesSettings)
    data: SeriesDataSettings = field(default_factory=SeriesDataSettings)
    calibration: CalibrationSettings = field(default_factory=CalibrationSettings)
    network: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the model family, for example hidden_size; unset values are planned. With
    conditioner = static, attributes of a whole series condition the network; otherwise they are
    inputs at every step."""
    head: Mapping[str, Any] = field(default_factory=dict)
    """Output distribution. name is laplace, gaussian, student_t, gaussian_mixture, quantiles,
    poisson, negative_binomial, hurdle_gamma, hurdle_negative_binomial or bins; the other keys are
    settings of that distribution, for bins: bins, spacing, limit."""


@dataclass(frozen=True)
class ForecastSettings(RepetitionSettings, TruncationSettings, TemperatureSettings):
    """Settings of a forecast.

    Samplers of elements are for models of binned values.
    """

    order: Annotated[str, option("ORDER")] = "hf"
    """Order of the sampling steps: hf, vllm, llamacpp, or step names separated by commas."""
    explain: bool = False
    """Print the sampling steps in order, and the disabled ones, to stderr."""
    horizon: Annotated[Steps | None, option("N", "the horizon of the model")] = None
    """Number of steps to forecast."""
    samples: Annotated[Annotated[int, Meta(ge=1, le=1_000_000)], option("N")] = 200
    """Number of sample paths of each series."""
    quantiles: Annotated[
        Repeated[tuple[Annotated[float, Meta(gt=0.0, lt=1.0)], ...]],
        option("P", "0.05 0.25 0.5 0.75 0.95"),
    ] = ()
    """Level of a quantile to print, for example 0.9; may be repeated."""
    temperature: Annotated[Annotated[float, Meta(ge=0.0, le=100.0)], option("T")] = 1.0
    """Values below 1 narrow each distribution around its centre, values above 1 widen it; 0 returns
    the centre, or the likeliest bin of binned values."""
    seed: Annotated[Annotated[int, Meta(ge=0, le=2**63 - 1)], option("N")] = 0
    """Random seed of the sample paths."""
    network_alone: bool = False
    """Forecast with the network alone, without the simple methods of its pool and without the
    calibration of its intervals. Samplers and temperatures other than 1 do so too."""
    paths: bool = False
    """Print the sample paths in place of their quantiles."""
    format: Annotated[Literal["csv", "json"], option("csv|json")] = "csv"
    """Output format."""


@dataclass(frozen=True)
class SeriesComparisonSettings:
    """Settings of a comparison of models of series."""

    horizon: Annotated[Steps | None, option("N", "the horizon of the model")] = None
    """Number of steps to forecast."""
    origins: Annotated[Steps | None, option("N", "all in the last tenth")] = None
    """Number of forecasts of each series; the last one ends at the end of the series."""
    stride: Annotated[Steps | None, option("N", "the horizon")] = None
    """Number of steps from one forecast origin to the next."""
    samples: Annotated[Annotated[int, Meta(ge=2, le=1_000_000)], option("N")] = 200
    """Number of sample paths of each forecast."""
    seed: Annotated[Annotated[int, Meta(ge=0, le=2**63 - 1)], option("N")] = 0
    """Random seed of the sample paths."""


@dataclass(frozen=True)
class SeriesEvaluationSettings(SeriesComparisonSettings):
    """Settings of an evaluation of a model of series."""

    method: Annotated[Repeated[tuple[str, ...]], option("NAME", "all that are installed")] = ()
    """Statistical method to compare with: ets, arima, theta or none; may be repeated."""
    anomalies: bool = False
    """Score every value of the table by its probability given the values before it, in place of
    forecasts."""
    false_alarms: Annotated[Annotated[float, Meta(gt=0.0, lt=0.5)] | None, option("P", "0.001")] = (
        None
    )
    """With --anomalies: the fraction of ordinary rows that are flagged."""
    window: Annotated[
        Annotated[int, Meta(ge=2, le=1 << 20)] | None, option("N", "one season, or 12")
    ] = None
    """With --anomalies: the number of values that are also scored together, for changes of level
    and of pattern."""
    output: Annotated[str | None, option("FILE", "none", alias="-o")] = None
    """File for every step of the forecasts beside its observation, with mean and quantiles: .csv,
    .tsv or .parquet. With --anomalies: for the score of every value, or a picture: .png or .svg."""
    plot: Annotated[str | None, option("FILE", "none")] = None
    """With --anomalies: file for a picture of the series and their anomalies: .png or .svg."""

    def __post_init__(self) -> None:
        if "none" in self.method and len(self.method) > 1:
            raise SettingsError("none cannot be combined with other methods", where="--method")
        if self.anomalies:
            for name in ("horizon", "origins", "stride"):
                if getattr(self, name) is not None:
                    raise SettingsError("anomalies are scored one step ahead", where=f"--{name}")
        for name in ("false_alarms", "window", "plot"):
            if not self.anomalies and getattr(self, name) is not None:
                raise SettingsError(
                    "this is a setting of anomaly scores",
                    where=f"--{name.replace('_', '-')}",
                    hint="add --anomalies",
                )

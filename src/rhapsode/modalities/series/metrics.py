"""Metrics of series: density, and forecasts beside baselines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import PathCalibration
from rhapsode.data.tables import SeriesSet
from rhapsode.errors import DataError
from rhapsode.modalities.series.corpus import (
    SeriesPart,
    digest,
    encode_series,
    known_after,
    observed_part,
    owners_of,
    until,
)
from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.modalities.series.forecasting.backtest import (
    MOST_FORECASTS,
    Backtest,
    Ints,
    backtest,
    origins_of,
)
from rhapsode.modalities.series.settings import SeriesComparisonSettings
from rhapsode.modalities.values.modality import ScoredPart, ValueMetrics, protocol_of
from rhapsode.views.evaluation_report import forecasts_report

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValuePredictor
    from rhapsode.modalities.series.model import SeriesModel


# Default fraction of every series, at its end, that is forecast.
SHARE = 0.1


@dataclass(frozen=True, repr=False)
class SeriesMetrics(ValueMetrics):
    """Metrics of a model of series.

    Arguments:
        learnt: number of scored values that were training data.
        forecasts: from rolling origins; None where the part is too short for any.
        nats_N: of each row; NaN where none is scored.
        calibration: of the forecasts; the density is that of the network.
    """

    learnt: int
    forecasts: Backtest | None
    nats_N: NDArray[np.float64]
    calibration: PathCalibration | None = None

    def to_mapping(self) -> dict[str, Any]:
        return {
            "loss": self.loss,
            "elements": self.elements,
            "learnt": self.learnt,
            "forecasts": None if self.forecasts is None else self.forecasts.to_mapping(),
            "protocol": self.protocol,
            "calibration": None if self.calibration is None else self.calibration.to_mapping(),
        }

    def report(self, title: str) -> Iterator[Any]:
        yield from forecasts_report(self.to_mapping(), title)

    def notes(self) -> Iterator[str]:
        from rhapsode.views.figures import method_notes

        if self.learnt:
            yield (
                f"warning: {self.learnt:,} of the scored values were used to train the model "
                "or to select its weights; the other methods have not seen the values they forecast"
            )
        if self.calibration is not None:
            yield self.calibration.in_words()
        if self.forecasts is not None:
            yield from method_notes(self.forecasts.to_mapping())


def end_of_series(
    model: SeriesModel, source: Any, settings: SeriesComparisonSettings
) -> SeriesPart:
    """Ends of series to score, with their number of training values.

    Arguments:
        model: the model.
        source: a table, name, frame, array or set.
        settings: horizon, origins and stride decide how long the ends are.

    Raises:
        DataError: no series is long enough.
    """
    given = observed_part(model.read(source))
    lengths = given.lengths
    ahead = settings.horizon or model.bundle.facts.horizon
    tails = np.maximum(np.rint(lengths * SHARE).astype(np.int64), ahead)
    if settings.origins is not None:
        tails[:] = ahead + (settings.origins - 1) * (settings.stride or ahead)
    first_S = np.where(lengths > ahead, np.maximum(1, lengths - tails), lengths)
    if (first_S >= lengths).all():
        raise DataError(
            f"no series is long enough for a forecast of {ahead} steps",
            hint="give longer series, or a smaller --horizon",
        )
    points = int(known_after(given, first_S).sum())
    split = f"the last {points:,} of {given.observed_NK.sum():,} values, the end of every series"
    learnt = _learnt(model.bundle, given, first_S)
    if learnt:
        split += f"; {learnt:,} of these were used to train the model or to select its weights"
    return SeriesPart(given, first_S, first_S, split, learnt)


def whole_series(model: SeriesModel, source: Any) -> SeriesPart:
    """All values of series to score, with their number of training values.

    Arguments:
        model: the model.
        source: a table, name, frame, array or set.

    Raises:
        DataError: no series holds a value.
    """
    given = observed_part(model.read(source))
    if not len(given):
        raise DataError("no series holds a value", hint="give a table of numbers")
    first_S = np.zeros(len(given), dtype=np.int64)
    learnt = _learnt(model.bundle, given, first_S)
    split = f"all {int(given.observed_NK.sum()):,} values"
    return SeriesPart(given, first_S, given.lengths, split, learnt)


def _learnt(bundle: SeriesBundle, given: SeriesSet, first_S: Ints) -> int:
    """Number of values after the first rows that were training data.

    0 if the model learnt from other series.
    """
    facts = bundle.provenance
    share = facts.test_share
    if facts.data_sha256 != digest(given) or share is None:
        return 0
    end_S = given.lengths - np.rint(given.lengths * share).astype(np.int64)
    return int(known_after(until(given, end_S), first_S).sum())


def encode_part(bundle: SeriesBundle, part: SeriesPart) -> ScoredPart:
    """A part of series as the network of a model takes it."""
    given = part.given
    arrays = encode_series(bundle.encoder, bundle.facts.covariates, given, part.scaled_S)
    known_NK = known_after(given, part.first_S) & (arrays.weights_N > 0)[:, None]
    values_S = np.bincount(owners_of(given), known_NK.sum(axis=1), minlength=len(given))
    return ScoredPart(arrays, part.first_S, values_S.astype(np.int64))


def measure_series(
    predictor: ValuePredictor[SeriesBundle],
    part: SeriesPart,
    *,
    horizon: int,
    season: int,
    settings: SeriesComparisonSettings,
    methods: Sequence[str] = (),
    most: int = MOST_FORECASTS,
    tabled: bool = False,
) -> SeriesMetrics:
    """Density of a part, and forecasts of it from rolling origins.

    Arguments:
        predictor: the model.
        part: data to score.
        horizon: steps ahead.
        season: values to a season.
        settings: origins, stride, samples and seed.
        methods: statistical methods beside the model.
        most: forecasts in all.
        tabled: True to keep a row for every step of the forecasts.
    """
    bundle = predictor.bundle
    encoded = encode_part(bundle, part)
    nats_N = encoded.nats(predictor, bundle.facts.warm_up)
    which, rows = origins_of(
        part.given,
        part.first_S,
        horizon,
        origins=settings.origins,
        stride=settings.stride,
        most=most,
    )
    forecasts = None
    if len(which):
        forecasts = backtest(
            predictor,
            part.given,
            which,
            rows,
            horizon=horizon,
            season=season,
            samples=settings.samples,
            seed=settings.seed,
            methods=methods,
            tabled=tabled,
        )
    return SeriesMetrics(
        float(np.nansum(nats_N) / max(1, encoded.values)),
        encoded.values,
        protocol_of(bundle, part.split),
        part.learnt,
        forecasts,
        nats_N,
        bundle.calibration.paths,
    )

"""Forecasts from rolling origins beside what came, and beside what needs no model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables import SeriesSet
from rhapsode.errors import DataError, SettingsError
from rhapsode.evaluation import (
    ForecastFigures,
    ForecastScore,
    forecast_figures,
    forecast_of_samples,
    rolling_origins,
    score_forecast,
    seasonal_naive,
)
from rhapsode.evaluation.statistical_methods import statistical_forecast
from rhapsode.generation.chain import Chain
from rhapsode.generation.paths import path_seed, sample_paths
from rhapsode.modalities.series.corpus import (
    SeriesPart,
    digest,
    encode_series,
    future_covariates,
    histories_of,
    known_behind,
    observed_lengths,
)
from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.modalities.series.settings import (
    SeriesComparisonSettings,
)
from rhapsode.modalities.values.modality import ScoredPart, ValueMetrics, protocol_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rhapsode.bundle.value_predictor import ValuePredictor
    from rhapsode.modalities.series.model import SeriesModel

__all__ = [
    "Backtest",
    "SeriesMetrics",
    "backtest",
    "draw_forecasts",
    "encode_part",
    "end_of_series",
    "figures_mapping",
    "measure_series",
    "origins_of",
    "stretches_of",
]

Ints = NDArray[np.int64]
MOST_FORECASTS = 2_000
"""Forecasts of one backtest; of more, evenly spread ones are taken."""
MOST_NUMBERS = 1 << 28
"""Numbers of one forecast, 2 GB."""
NUMBERS_AT_ONCE = 1 << 24
SHARE = 0.1
"""Part of the end of every series that is forecast where nothing else is asked for."""


@dataclass(frozen=True, repr=False)
class SeriesMetrics(ValueMetrics):
    """Metrics of a model of series.

    Arguments:
        learnt: values among those scored that training knew.
        forecasts: from rolling origins; None where the part is too short for any.
        nats_N: of each row; NaN where none is scored.
    """

    learnt: int
    forecasts: Backtest | None
    nats_N: NDArray[np.float64]

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "loss": self.loss,
            "elements": self.elements,
            "learnt": self.learnt,
            "forecasts": None if self.forecasts is None else self.forecasts.to_mapping(),
            "protocol": self.protocol,
        }

    def report(self, title: str) -> Iterator[RenderableType]:
        """Density, and a table of forecasts by each method, under a title."""
        from rhapsode.views.figures import forecasts_report

        yield from forecasts_report(self.to_mapping(), title)

    def notes(self) -> Iterator[str]:
        from rhapsode.views.figures import method_notes

        if self.learnt:
            yield (
                f"warning: {self.learnt:,} of the values scored were learnt from, or chose the weights; what "
                "stands beside the model has not seen what it forecasts"
            )
        if self.forecasts is not None:
            yield from method_notes(self.forecasts.to_mapping())


@dataclass(frozen=True)
class Backtest:
    """Figures of forecasts by several methods, of the same points.

    Arguments:
        figures: by method, the model's under "model".
        horizon: steps ahead.
        season: values to a season.
        forecasts: how many origins, over all series and numbers.
        notes: what could not be done.
        scores: by method, of every forecast.
        places: the origin of each of these.
    """

    figures: dict[str, ForecastFigures]
    horizon: int
    season: int
    forecasts: int
    notes: tuple[str, ...]
    scores: dict[str, list[ForecastScore]]
    places: list[int]

    @property
    def warning(self) -> str | None:
        """A sentence where the model is no better than repeating the last season."""
        model, naive = self.figures["model"], self.figures["seasonal naive"]
        for name, ours, theirs in (
            ("MASE", model.mase, naive.mase),
            ("CRPS", model.crps, naive.crps),
        ):
            if ours is not None and theirs is not None and ours >= theirs:
                what = "the last season" if self.season > 1 else "the last value"
                return (
                    f"repeating {what} forecasts better than this model "
                    f"({name} {theirs:.3f} against {ours:.3f})"
                )
        return None

    def to_mapping(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "horizon": self.horizon,
            "season": self.season,
            "forecasts": self.forecasts,
            "methods": {name: figures_mapping(found) for name, found in self.figures.items()},
            "warning": self.warning,
            "notes": list(self.notes),
        }


def figures_mapping(found: ForecastFigures) -> dict[str, Any]:
    """Figures as plain values; None where one is no finite number."""
    plain = {
        "mase": found.mase,
        "smape": found.smape,
        "crps": found.crps,
        "weighted_quantile_loss": found.weighted_quantile_loss,
        "mae": found.mae,
        "rmse": found.rmse,
        "bias": found.bias,
    }
    return {
        **{name: _finite(value) for name, value in plain.items()},
        "coverage": {f"{share:.0%}": _finite(value) for share, value in found.coverage.items()},
        "points": found.points,
        "notes": list(found.notes),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def origins_of(
    given: SeriesSet,
    first_S: Ints,
    horizon: int,
    *,
    origins: int | None,
    stride: int | None,
    most: int = MOST_FORECASTS,
) -> tuple[Ints, Ints]:
    """Series and lengths of history of every forecast.

    Arguments:
        given: the series.
        first_S: rows of each that every history has at least.
        horizon: steps ahead.
        origins: how many for each series; None: as many as the rows behind `first_S` have room for.
        stride: steps between two origins; None: the horizon.
        most: forecasts in all; of more, evenly spread ones are taken.
    """
    which: list[int] = []
    rows: list[int] = []
    for series, length in enumerate(given.lengths.tolist()):
        first, step = int(first_S[series]), stride or horizon
        room = (length - first - horizon) // step + 1 if length - first >= horizon else 0
        ends = rolling_origins(
            length, horizon, room if origins is None else min(origins, room), step
        )
        if not ends and first and length - first > 0 and origins is None:
            ends = [first]  # fewer steps than the horizon: those that there are
        which += [series] * len(ends)
        rows += ends
    if len(which) > most:
        kept = np.unique(np.linspace(0, len(which) - 1, most).astype(int))
        return np.array(which)[kept], np.array(rows)[kept]
    return np.array(which, dtype=np.int64), np.array(rows, dtype=np.int64)


def draw_forecasts(
    predictor: ValuePredictor[SeriesBundle],
    given: SeriesSet,
    which: Ints,
    rows: Ints,
    horizon: int,
    *,
    samples: int,
    seed: int,
    temperature: float = 1.0,
    chain: Chain | None = None,
    wanted: bool = True,
) -> tuple[NDArray[np.float64], list[Ints]]:
    """Paths (B, S, H, K) that follow the first rows of series, and the times of their steps.

    Arguments:
        predictor: the model.
        given: the series.
        which: of it, B; one may occur several times.
        rows: how many first rows of each are known, B.
        horizon: steps, H.
        samples: paths of each, S.
        seed: of the paths.
        temperature: as in `sample_paths`.
        chain: as in `sample_paths`.
        wanted: whether covariates that are not known ahead are an error; if not, they are missing.

    Raises:
        SettingsError: more numbers than can be held.
        DataError: covariates are not known ahead.
    """
    covariates = predictor.bundle.facts.covariates
    numbers = len(which) * samples * horizon * predictor.element_size
    if numbers > MOST_NUMBERS:
        raise SettingsError(
            f"{len(which):,} series x {samples:,} paths x {horizon:,} steps are {numbers:,} numbers, too many to hold",
            where="--samples",
            hint="ask for fewer paths, steps or series at a time",
        )
    ahead = [
        future_covariates(given, covariates, series, count, horizon, wanted=wanted)
        for series, count in zip(which.tolist(), rows.tolist(), strict=True)
    ]
    state = predictor.begin(
        histories_of(given, covariates, which, rows, run_up=predictor.bundle.facts.run_up),
        covariates.condition(given, which),
    )
    known_BHX = np.stack([known for _, known in ahead])
    seeds = [
        path_seed(seed, f"{given.ids[series]}:{count}")
        for series, count in zip(which.tolist(), rows.tolist(), strict=True)
    ]
    drawn = sample_paths(
        predictor,
        state,
        known_BHX,
        samples=samples,
        seeds=seeds,
        temperature=temperature,
        chain=chain,
        filter_seed=seed,
    )
    return drawn, [times for times, _ in ahead]


def backtest(
    predictor: ValuePredictor[SeriesBundle],
    given: SeriesSet,
    which: Ints,
    rows: Ints,
    *,
    horizon: int,
    season: int,
    samples: int,
    seed: int = 0,
    methods: Sequence[str] = (),
) -> Backtest:
    """Forecast from every origin and score it, with seasonal naive beside it, and with what else is asked for.

    Arguments:
        predictor: the model.
        given: the series.
        which: of it, one entry an origin.
        rows: history of each.
        horizon: steps ahead; fewer where a series ends before.
        season: values to a season.
        samples: paths.
        seed: of the paths.
        methods: of `STATISTICAL`, where statsforecast is installed.

    Raises:
        MissingExtraError: statistical methods are asked for and statsforecast is not installed.
    """
    names = ("model", "seasonal naive", *methods)
    scores: dict[str, list[ForecastScore]] = {name: [] for name in names}
    notes: list[str] = []
    places: list[int] = []
    failed: dict[str, int] = dict.fromkeys(methods, 0)
    width = given.values_NK.shape[1]
    at_once = max(1, NUMBERS_AT_ONCE // max(1, samples * horizon * width))
    for start in range(0, len(which), at_once):
        some = slice(start, start + at_once)
        drawn, _ = draw_forecasts(
            predictor,
            given,
            which[some],
            rows[some],
            horizon,
            samples=samples,
            seed=seed,
            wanted=False,
        )
        for place, (series, count) in enumerate(zip(which[some], rows[some], strict=True)):
            values_TK = given.values_NK[given.rows(int(series))]
            for number in range(values_TK.shape[1]):
                history, actual = values_TK[:count, number], values_TK[count:, number][:horizon]
                if not np.isfinite(history).any() or not np.isfinite(actual).any():
                    continue
                steps = len(actual)
                own = forecast_of_samples(drawn[place, :, :steps, number])
                places.append(start + place)
                scores["model"].append(score_forecast(own, actual, history, season))
                naive = seasonal_naive(history, steps, season, samples=samples, seed=seed)
                scores["seasonal naive"].append(score_forecast(naive, actual, history, season))
                for name in methods:
                    try:
                        other = statistical_forecast(name, history, steps, season)
                        scores[name].append(score_forecast(other, actual, history, season))
                    except DataError:
                        failed[name] += 1
    for name, count in failed.items():
        if count:
            notes.append(f"{name} cannot be fitted to {count} of {len(scores['model'])} histories")
    figures = {name: forecast_figures(found) for name, found in scores.items()}
    count = len(scores["model"])
    return Backtest(figures, horizon, season, count, tuple(notes), scores, places)


def end_of_series(
    model: SeriesModel, source: Any, settings: SeriesComparisonSettings
) -> SeriesPart:
    """The ends of series that a model has not seen, or of which it is told what it has.

    Arguments:
        model: the model.
        source: a table, name, frame, array or set.
        settings: horizon, origins and stride decide how long the ends are.

    Raises:
        DataError: no series is long enough.
    """
    whole = model.read(source)
    lengths = observed_lengths(whole)
    kept = np.nonzero(lengths)[0]
    whole, lengths = whole.select(kept), lengths[kept]
    given = whole.cut(whole.offsets[:-1], whole.offsets[:-1] + lengths)
    ahead = settings.horizon or model.bundle.facts.horizon
    if settings.origins is None:
        tails = np.maximum(np.rint(lengths * SHARE).astype(np.int64), ahead)
        first_S = np.where(lengths > ahead, lengths - tails, lengths)
    else:
        reach = ahead + (settings.origins - 1) * (settings.stride or ahead)
        first_S = np.where(lengths > ahead, np.maximum(1, lengths - reach), lengths)
    if (first_S >= lengths).all():
        raise DataError(
            f"no series is long enough for a forecast of {ahead} steps",
            hint="give longer series, or a smaller --horizon",
        )
    points = int(known_behind(given, first_S).sum())
    known = int(given.observed_NK.sum())
    split = f"the last {points:,} of {known:,} values, the end of every series"
    learnt = _learnt(model.bundle, given, first_S)
    if learnt:
        split += f"; of these the model learnt from {learnt:,}, or chose its weights by them"
    return SeriesPart(given, first_S, first_S, split, learnt)


def _learnt(bundle: SeriesBundle, given: SeriesSet, first_S: Ints) -> int:
    """Values behind the first rows that a model knows from training; 0 where these are other series."""
    facts = bundle.provenance
    share = facts.test_share
    if facts.data_sha256 != digest(given) or share is None:
        return 0
    end_S = given.lengths - np.rint(given.lengths * share).astype(np.int64)
    return sum(
        int(given.observed_NK[given.offsets[s] :][first:end].sum())
        for s, (first, end) in enumerate(zip(first_S, end_S, strict=True))
        if end > first
    )


def encode_part(bundle: SeriesBundle, part: SeriesPart) -> ScoredPart:
    """A part of series as the network of a model takes it."""
    given = part.given
    arrays = encode_series(bundle.encoder, bundle.facts.covariates, given, part.scaled_S)
    known_NK = known_behind(given, part.first_S) & (arrays.weights_N > 0)[:, None]
    owner_N = np.repeat(np.arange(len(given)), given.lengths)
    values_S = np.bincount(owner_N, known_NK.sum(axis=1), minlength=len(given))
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
) -> SeriesMetrics:
    """Density of a part, and forecasts of it from rolling origins.

    Arguments:
        predictor: the model.
        part: what to score.
        horizon: steps ahead.
        season: values to a season.
        settings: origins, stride, samples and seed.
        methods: statistical methods beside the model.
        most: forecasts in all.
    """
    bundle = predictor.bundle
    encoded = encode_part(bundle, part)
    nats_N = encoded.nats(predictor, bundle.facts.run_up)
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
        )
    return SeriesMetrics(
        float(np.nansum(nats_N) / max(1, encoded.values)),
        encoded.values,
        protocol_of(bundle, part.split),
        part.learnt,
        forecasts,
        nats_N,
    )


def stretches_of(part: SeriesPart, horizon: int) -> Ints:
    """Rows at which stretches of a part begin, each of at most a horizon, and none over two series."""
    begins = [
        np.arange(offset + first, end, horizon)
        for offset, first, end in zip(
            part.given.offsets[:-1].tolist(),
            part.first_S.tolist(),
            part.given.offsets[1:].tolist(),
            strict=True,
        )
    ]
    # Rows that are not scored belong to the stretch before them, to which they add nothing.
    return np.unique(np.concatenate([[0], *begins])).astype(np.int64)

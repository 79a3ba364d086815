"""Series of numbers as a modality."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import from_mapping
from rhapsode.errors import DataError, SettingsError
from rhapsode.evaluation.statistical_methods import STATISTICAL
from rhapsode.log import log
from rhapsode.modalities.contract import (
    Claim,
    Compared,
    Measure,
    Planned,
    RunRequest,
    Scored,
    Surveyed,
)
from rhapsode.modalities.series.corpus import (
    SeriesCorpus,
    SeriesPart,
    claim_series,
    open_series,
    series_seen,
)
from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.modalities.series.metrics import (
    SeriesMetrics,
    encode_part,
    end_of_series,
    measure_series,
    stretches_of,
)
from rhapsode.modalities.series.settings import (
    BINNED,
    SeriesComparisonSettings,
    SeriesEvaluationSettings,
    SeriesTrainSettings,
)
from rhapsode.modalities.values.modality import NATS, ScoredPart, ValueModality

if TYPE_CHECKING:
    from rhapsode.bundle.network import Network
    from rhapsode.bundle.value_predictor import ValuePredictor
    from rhapsode.modalities.values.next_steps import ValuesSeen
    from rhapsode.views.card import Card

__all__ = ["SERIES", "SeriesModality"]

CRPS = Measure("crps", "CRPS")
MASE = Measure("mase", "MASE")
FINISHING_FORECASTS = 400
"""Forecasts of the test part when training ends, at most; `rhapsode evaluate` makes more."""

SeriesPlan = Planned[SeriesTrainSettings, SeriesCorpus, SeriesBundle]


class SeriesModality(ValueModality[SeriesTrainSettings, SeriesCorpus, SeriesBundle]):
    """Series of numbers, one or several a time."""

    name: ClassVar[str] = "series.v1"
    noun: ClassVar[str] = "series"
    settings = SeriesTrainSettings
    evaluation = SeriesEvaluationSettings
    comparison = SeriesComparisonSettings

    def claim(self, sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
        """Likely for a table of numbers."""
        return claim_series(sources, asked)

    def check(self, settings: SeriesTrainSettings) -> None:
        super().check(settings)
        if settings.encoding not in ("auto", BINNED):
            raise SettingsError(
                f"series have no encoding {settings.encoding!r}",
                where="--encoding",
                hint="leave it out, or binned; --set encoder.log=true and the like set how numbers are scaled",
            )

    def corpus(
        self,
        sources: Sequence[Any],
        settings: SeriesTrainSettings,
        *,
        opened: Any = None,
        base: SeriesBundle | None = None,
    ) -> SeriesCorpus:
        corpus = open_series(tuple(sources), settings.series, settings.data, opened)
        if base is None:
            return corpus
        given = base.facts.check_series(corpus.given)
        return replace(corpus, given=given, season=settings.data.season or base.facts.season)

    def plan(self, corpus: SeriesCorpus, request: RunRequest[SeriesTrainSettings]) -> SeriesPlan:
        from rhapsode.modalities.series.fitting.plan import plan_series_run

        return plan_series_run(corpus, request)

    def initialise(self, network: Network, planned: SeriesPlan) -> bool:
        """Begin as a linear autoregression where the network can, which may be the best there is."""
        from rhapsode.modalities.series.fitting.linear_start import start_linear

        start_linear(network, planned.own)
        return True

    def encoded(self, bundle: SeriesBundle, part: SeriesPart) -> ScoredPart:
        return encode_part(bundle, part)

    def preview(
        self, planned: SeriesPlan, predictor: ValuePredictor[SeriesBundle], temperature: float
    ) -> str:
        """The end of the longest series and one path after it, as bars."""
        from rhapsode.modalities.series.reports import preview_path

        corpus = planned.corpus
        shown = int(np.argmax(corpus.train_S))
        return preview_path(predictor, corpus, shown, planned.settings.samples, temperature)

    def test_figures(
        self, planned: SeriesPlan, part: SeriesPart, predictor: ValuePredictor[SeriesBundle]
    ) -> dict[str, Any]:
        corpus = planned.corpus
        figures = measure_series(
            predictor,
            replace(part, split=f"{part.split}, swept once"),
            horizon=corpus.horizon,
            season=corpus.season,
            settings=SeriesComparisonSettings(samples=planned.settings.data.samples),
            most=FINISHING_FORECASTS,
        ).to_mapping()
        del figures["learnt"]
        return figures

    def to_score(self, model: Any, sources: Sequence[str], asked: Mapping[str, Any]) -> SeriesPart:
        """The ends of the series of one table; the table it learnt from where none is named."""
        if len(sources) > 1:
            raise DataError("series are scored in one table", hint="name a single file")
        source = sources[0] if sources else model.own_source()
        settings = from_mapping(SeriesEvaluationSettings, asked, where="options")
        return end_of_series(model, source, settings)

    def metrics(self, model: Any, part: Any, settings: SeriesEvaluationSettings) -> SeriesMetrics:
        facts = model.bundle.facts
        methods = () if settings.method == ("none",) else settings.method
        if not settings.method and importlib.util.find_spec("statsforecast") is not None:
            methods = tuple(STATISTICAL)
        return measure_series(
            model.predictor,
            part,
            horizon=settings.horizon or facts.horizon,
            season=facts.season,
            settings=settings,
            methods=methods,
        )

    def compare(
        self, models: Mapping[str, Any], part: Any, settings: SeriesComparisonSettings
    ) -> Compared:
        first = next(iter(models.values())).bundle.facts
        horizon, season = settings.horizon or first.horizon, first.season
        begins_U = stretches_of(part, horizon)
        scored: dict[str, Scored] = {}
        sizes: dict[str, NDArray[np.int64]] = {}
        for name, model in models.items():
            log.info(f"scoring with {name}")
            own = replace(part, given=model.bundle.facts.check_series(part.given))
            metrics = measure_series(
                model.predictor, own, horizon=horizon, season=season, settings=settings
            )
            nats_N = metrics.nats_N
            known_N = np.where(np.isfinite(nats_N), own.given.observed_NK.sum(axis=1), 0)
            forecasts = metrics.forecasts
            scores = [] if forecasts is None else forecasts.scores["model"]
            places = np.array([] if forecasts is None else forecasts.places, dtype=np.int64)
            sums = {
                NATS.key: np.add.reduceat(np.nan_to_num(nats_N), begins_U),
                CRPS.key: np.bincount(places, [score.crps or 0.0 for score in scores]),
                MASE.key: np.bincount(places, [score.scaled or 0.0 for score in scores]),
            }
            scaled = [0 if score.scaled is None else score.points for score in scores]
            sizes = {
                NATS.key: np.add.reduceat(known_N, begins_U).astype(np.int64),
                CRPS.key: np.bincount(places, [score.points for score in scores]).astype(np.int64),
                MASE.key: np.bincount(places, scaled).astype(np.int64),
            }
            bundle = model.bundle
            row = {
                "encoding": bundle.config.head.name.partition(".")[0],
                "parameters": sum(array.size for array in bundle.arrays.values()),
                "figures": metrics.to_mapping(),
            }
            scored[name] = Scored(row, sums)
        passages = f"forecasts of {horizon:,} steps, and as long stretches of values"
        return Compared(scored, (NATS, CRPS, MASE), sizes, "forecasts", passages)

    def comparison_report(self, compared: Mapping[str, Any], title: str) -> Iterator[Any]:
        from rhapsode.views.comparison_report import forecast_comparison

        yield from forecast_comparison(compared, title)

    def show(
        self,
        sources: Sequence[Any],
        number: int,
        settings: SeriesTrainSettings,
        *,
        opened: Any = None,
    ) -> ValuesSeen:
        corpus = self.corpus(sources, settings, opened=opened)
        given = corpus.given
        if not 0 <= number < len(given):
            raise DataError(
                f"there is no series {number}, they are numbered 0 to {len(given) - 1}",
                where=", ".join(map(str, sources)),
            )
        request = RunRequest(settings, settings.budget_seconds(), 1.0, None, False)
        return series_seen(self.plan(corpus, request).bundle, given.select([number]))

    def survey(
        self, sources: Sequence[Any], settings: SeriesTrainSettings, opened: Any
    ) -> Surveyed[SeriesCorpus]:
        from rhapsode.modalities.series.reports import survey_series

        return survey_series(sources, settings, opened)

    def survey_report(self, found: Mapping[str, Any], width: int) -> Iterator[Any]:
        from rhapsode.views.survey_report import series_survey

        yield from series_survey(found, width)

    def card(self, bundle: SeriesBundle, summary: Mapping[str, Any]) -> Card:
        from rhapsode.modalities.series.reports import card_of

        return card_of(bundle, summary)

    def told(self, summary: Mapping[str, Any], title: str) -> Iterator[Any]:
        from rhapsode.views.figures import forecasts_report, method_notes

        if summary["loss"] is not None:
            yield from forecasts_report(summary, title)
            if summary["forecasts"]:
                yield from method_notes(summary["forecasts"])

    def next_command(self, folder: Path) -> str:
        return f"rhapsode forecast {folder} --plot forecast.png"


SERIES = SeriesModality()

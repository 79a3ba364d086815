"""Series of numbers as a modality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.modalities.contract import Claim, Planned, RunRequest, Tell
from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.modalities.series.settings import SeriesTrainSettings
from rhapsode.modalities.values.modality import ValueModality
from rhapsode.modalities.values.scored_part import ScoredPart

if TYPE_CHECKING:
    from rhapsode.bundle.network import Network
    from rhapsode.bundle.value_predictor import ValuePredictor
    from rhapsode.data import ValueArrays
    from rhapsode.data.tables import SeriesSet
    from rhapsode.modalities.series.corpus import SeriesCorpus
    from rhapsode.modalities.series.model import SeriesModel
    from rhapsode.views.card import Card

__all__ = ["SERIES", "SeriesModality"]

FINISHING_FORECASTS = 400
"""Forecasts of the test part when training ends, at most; `rhapsode evaluate` makes more."""

SeriesPlan = Planned[SeriesTrainSettings, "SeriesCorpus", SeriesBundle]


class SeriesModality(ValueModality[SeriesTrainSettings, "SeriesCorpus", SeriesBundle]):
    """Series of numbers, one or several a time."""

    name: ClassVar[str] = "series.v1"
    noun: ClassVar[str] = "series"

    @property
    def settings(self) -> type[SeriesTrainSettings]:
        """Settings of training on series."""
        return SeriesTrainSettings

    def claim(self, sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
        """Likely for a table of numbers."""
        from rhapsode.modalities.series.claim import claim_series

        return claim_series(sources, asked)

    def open(self, path: str | Path) -> SeriesModel:
        """The model in a run folder or model file."""
        from rhapsode.modalities.series.model import SeriesModel

        return SeriesModel(path)

    def check(self, settings: SeriesTrainSettings) -> None:
        """Refuse encodings and families that do not exist."""
        from rhapsode.modalities.series.plan import check_settings

        check_settings(settings)

    def corpus(
        self,
        sources: Sequence[Any],
        settings: SeriesTrainSettings,
        tell: Tell,
        *,
        opened: Any = None,
        base: SeriesBundle | None = None,
    ) -> SeriesCorpus:
        """Read one table, and divide every series in time."""
        from rhapsode.modalities.series.corpus import open_series

        corpus = open_series(tuple(sources), settings.series, settings.data, tell, opened)
        if base is None:
            return corpus
        given = base.facts.check_series(corpus.given)
        return replace(corpus, given=given, season=settings.data.season or base.facts.season)

    def plan(self, corpus: SeriesCorpus, request: RunRequest[SeriesTrainSettings]) -> SeriesPlan:
        """Choose encoding, distribution, sizes and rates."""
        from rhapsode.modalities.series.plan import plan_series_run

        return plan_series_run(corpus, request)

    def fitted(self, planned: SeriesPlan) -> ValueArrays:
        """The training part, encoded."""
        fitted: ValueArrays = planned.own.fitted
        return fitted

    def initialise(self, network: Network, planned: SeriesPlan) -> bool:
        """Begin as a linear autoregression where the network can, which may be the best there is."""
        from rhapsode.modalities.series.linear_start import start_linear

        start_linear(network, planned.own.fitted)
        return True

    def validation_part(self, planned: SeriesPlan) -> ScoredPart | None:
        """The end of the training share of every series."""
        corpus = planned.corpus
        # What lies after the validation part must not be scored, nor read.
        return self._part(planned, corpus.until(corpus.chosen_S), corpus.train_S)

    def test_part(self, planned: SeriesPlan) -> tuple[ScoredPart, str] | None:
        """The end of every series."""
        given = planned.corpus.given
        part = self._part(planned, given, planned.corpus.chosen_S)
        if part is None:
            return None
        share = f"{part.values / max(1, int(given.observed_NK.sum())):.1%}"
        split = f"test: the last {share} of the values, the end of every series, swept once"
        return part, split

    def _part(
        self, planned: SeriesPlan, given: SeriesSet, first_S: NDArray[np.int64]
    ) -> ScoredPart | None:
        """What lies behind the first rows of series; None where nothing is known there."""
        from rhapsode.modalities.series.corpus import encode_series, known_behind

        if not known_behind(given, first_S).any():
            return None
        bundle = planned.bundle
        arrays = encode_series(bundle.encoder, bundle.facts.covariates, given, first_S)
        scored_NK = known_behind(given, first_S) & (arrays.weights_N > 0)[:, None]
        return ScoredPart(arrays, first_S, int(scored_NK.sum()))

    def preview(
        self, planned: SeriesPlan, predictor: ValuePredictor[SeriesBundle], temperature: float
    ) -> str:
        """The end of the longest series and one path after it, as bars."""
        from rhapsode.modalities.series.preview import preview_path

        corpus = planned.corpus
        shown = int(np.argmax(corpus.train_S))
        return preview_path(predictor, corpus, shown, planned.settings.samples, temperature)

    def measured(
        self, planned: SeriesPlan, predictor: ValuePredictor[SeriesBundle]
    ) -> dict[str, Any]:
        """Forecasts of the test part from rolling origins."""
        from rhapsode.modalities.series.metrics import backtest, origins_of

        corpus = planned.corpus
        which, rows = origins_of(
            corpus.given,
            corpus.chosen_S,
            corpus.horizon,
            origins=None,
            stride=None,
            most=FINISHING_FORECASTS,
        )
        if not len(which):
            return {"forecasts": None}
        forecasts = backtest(
            predictor,
            corpus.given,
            which,
            rows,
            horizon=corpus.horizon,
            season=corpus.season,
            samples=planned.settings.data.samples,
        )
        return {"forecasts": forecasts.to_mapping()}

    def card(self, bundle: SeriesBundle, summary: Mapping[str, Any]) -> Card:
        """Data, plan, and figures of forecasts."""
        from rhapsode.modalities.series.report import card_of

        return card_of(bundle, summary)

    def told(self, summary: Mapping[str, Any], title: str) -> Iterator[Any]:
        """Density and forecasts of the test part."""
        from rhapsode.modalities.series.report import figures_told

        yield from figures_told(summary, title)

    def next_command(self, folder: Path) -> str:
        """Forecast."""
        return f"rhapsode forecast {folder} --plot forecast.png"


SERIES = SeriesModality()

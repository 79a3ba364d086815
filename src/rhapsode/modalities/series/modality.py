"""Series of numbers as a modality."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rhapsode.modalities.contract import Claim, Finished, Modality, Planned, RunRequest, Tell
from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.modalities.series.settings import SeriesTrainSettings

if TYPE_CHECKING:
    from rhapsode.bundle.network import Network
    from rhapsode.data import Stream
    from rhapsode.modalities.series.corpus import SeriesCorpus
    from rhapsode.views.card import Card

__all__ = ["SERIES", "SeriesModality"]

FINISHING_FORECASTS = 400
"""Forecasts of the test part when training ends, at most; `rhapsode evaluate` makes more."""
STRETCH_WINDOWS = 8

SeriesPlan = Planned[SeriesTrainSettings, "SeriesCorpus", SeriesBundle]


class SeriesModality(Modality[SeriesTrainSettings, "SeriesCorpus", SeriesBundle]):
    """Series of numbers, one or several a time."""

    name: ClassVar[str] = "series.v1"
    noun: ClassVar[str] = "series"
    decides_all_of: ClassVar[tuple[str, ...]] = ("encoder", "network", "head")

    @property
    def settings(self) -> type[SeriesTrainSettings]:
        """Settings of training on series."""
        return SeriesTrainSettings

    def claim(self, sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
        """Likely for a table of numbers."""
        from rhapsode.modalities.series.claim import claim_series

        return claim_series(sources, asked)

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

    def decided(self, bundle: SeriesBundle) -> Mapping[str, Any]:
        """Family, encoding, network and distribution."""
        from rhapsode.config import to_mapping

        config = bundle.config
        network = dict(config.model.settings)
        if "embedding_size" in config.input.settings:
            network["embedding_size"] = config.input.settings["embedding_size"]
        head = bundle.provenance.section("head")
        return {
            "model": config.model.name,
            "encoder": to_mapping(bundle.encoder.settings),
            "network": network,
            "head": dict(head) or {"name": config.head.name},
        }

    def alike(self, name: str, asked: Any, decided: Any) -> bool:
        """True for the same value, or another name of the same component."""
        from rhapsode.heads import HEADS
        from rhapsode.models.families import FAMILIES

        registries: dict[str, Any] = {"model": FAMILIES, "head.name": HEADS}
        if name in registries:
            full = registries[name].full_name
            return bool(full(str(asked)) == full(str(decided)))
        return super().alike(name, asked, decided)

    def plan(self, corpus: SeriesCorpus, request: RunRequest[SeriesTrainSettings]) -> SeriesPlan:
        """Choose encoding, distribution, sizes and rates."""
        from rhapsode.modalities.series.plan import plan_series_run

        return plan_series_run(corpus, request)

    def stream(self, planned: SeriesPlan) -> Stream:
        """Windows of series that go on where they stopped."""
        from rhapsode.data import ValueStream

        training = planned.settings.training
        assert training.batch_size is not None
        assert training.window is not None
        return ValueStream(
            planned.own.fitted,
            batch_size=training.batch_size,
            window=training.window,
            longest=STRETCH_WINDOWS * training.window,
            seed=planned.settings.seed,
        )

    def initialise(self, network: Network, planned: SeriesPlan) -> bool:
        """Begin as a linear autoregression where the network can, which may be the best there is."""
        from rhapsode.modalities.series.linear_start import start_linear

        start_linear(network, planned.own.fitted)
        return True

    def validation(self, planned: SeriesPlan, network: Network) -> Callable[[], float] | None:
        """Nats a value of the validation part."""
        from rhapsode.bundle.value_predictor import ValuePredictor
        from rhapsode.evaluation.losses import value_losses
        from rhapsode.modalities.series.corpus import encode_series

        corpus, bundle = planned.corpus, planned.bundle
        values = corpus.validation_values
        if not values:
            return None
        # What lies after the validation part must not be scored, nor read.
        known = corpus.until(corpus.chosen_S)
        valid = encode_series(bundle.encoder, bundle.facts.covariates, known, corpus.train_S)
        predictor = ValuePredictor(bundle, network)

        def evaluate() -> float:
            network.eval()
            first = valid.offsets[:-1] + corpus.train_S
            nats_N = value_losses(predictor, valid, first, warm_up=bundle.facts.run_up)
            return float(np.nansum(nats_N) / values)

        return evaluate

    def samples(
        self, planned: SeriesPlan, network: Network
    ) -> Callable[[], tuple[tuple[float, str], ...]]:
        """The end of the longest series and one path after it, as bars, at several temperatures."""
        from rhapsode.bundle.value_predictor import ValuePredictor
        from rhapsode.modalities.series.preview import preview_path

        corpus, asked = planned.corpus, planned.settings.samples
        predictor = ValuePredictor(planned.bundle, network)
        shown = int(np.argmax(corpus.train_S))

        def sample() -> tuple[tuple[float, str], ...]:
            if asked.length == 0:
                return ()
            network.eval()
            return tuple(
                (temperature, preview_path(predictor, corpus, shown, asked, temperature))
                for temperature in asked.temperatures
            )

        return sample

    def finish(
        self,
        planned: SeriesPlan,
        bundle: SeriesBundle,
        network: Network,
        folder: Path,
        tell: Tell,
    ) -> Finished[SeriesBundle]:
        """Score the test part, and forecast it from rolling origins."""
        from rhapsode.modalities.series.model import SeriesModel

        figures = self._test_figures(planned, SeriesModel(folder / "model.safetensors", bundle))
        provenance = replace(bundle.provenance, test=figures)
        return Finished(
            replace(bundle, provenance=provenance), figures, marks={"test": figures["loss"]}
        )

    def _test_figures(self, planned: SeriesPlan, model: Any) -> dict[str, Any]:
        from rhapsode.modalities.series.metrics import backtest, origins_of, protocol_of

        corpus = planned.corpus
        if (corpus.chosen_S >= corpus.given.lengths).all():
            return {"loss": None, "reason": "no test share"}
        loss, points = model.loss(corpus.given, corpus.chosen_S)
        which, rows = origins_of(
            corpus.given,
            corpus.chosen_S,
            corpus.horizon,
            origins=None,
            stride=None,
            most=FINISHING_FORECASTS,
        )
        forecasts = None
        if len(which):
            forecasts = backtest(
                model.predictor,
                corpus.given,
                which,
                rows,
                horizon=corpus.horizon,
                season=corpus.season,
                samples=planned.settings.data.samples,
            ).to_mapping()
        share = f"{points / max(1, int(corpus.given.observed_NK.sum())):.1%}"
        split = f"test: the last {share} of the values, the end of every series, swept once"
        return {
            "loss": loss,
            "elements": points,
            "forecasts": forecasts,
            "protocol": protocol_of(model.bundle, split),
        }

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

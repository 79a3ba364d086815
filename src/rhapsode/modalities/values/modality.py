"""Base of modalities of values: batches, validation, samples, density of the test part."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np

from rhapsode.bundle.value_facts import ValueBundle
from rhapsode.config import TrainingSettings
from rhapsode.errors import DataError
from rhapsode.modalities.contract import Corpus, Finished, Modality, Planned, Tell
from rhapsode.modalities.scoring import Compared, Measure, Metrics, Scored
from rhapsode.modalities.values.scored_part import ScoredPart, ValueMetrics, protocol_of

if TYPE_CHECKING:
    from rhapsode.bundle.network import Network
    from rhapsode.bundle.value_predictor import ValuePredictor
    from rhapsode.data import Stream, ValueArrays

__all__ = ["NATS", "ValueModality"]

NATS = Measure("nats_per_value", "nats per value")

STRETCH_WINDOWS = 8

S = TypeVar("S", bound=TrainingSettings)
C = TypeVar("C", bound=Corpus)
B = TypeVar("B", bound=ValueBundle)


class ValueModality(Modality[S, C, B], Generic[S, C, B]):
    """A kind of sequence whose elements are vectors of numbers.

    Its settings have a section `head`.
    """

    decides_all_of: ClassVar[tuple[str, ...]] = ("encoder", "network", "head")

    @abstractmethod
    def fitted(self, planned: Planned[S, C, B]) -> ValueArrays:
        """The training part, encoded."""

    def encoded(self, bundle: B, part: Any) -> ScoredPart:
        """A part of a corpus, or sources, as the network of a model takes it.

        Arguments:
            bundle: the model.
            part: from `part` or `to_score`; a `ValuePart` unless a modality says otherwise.
        """
        return ScoredPart.whole(part.arrays)

    @abstractmethod
    def preview(
        self, planned: Planned[S, C, B], predictor: ValuePredictor[B], temperature: float
    ) -> str:
        """A drawn path in one line."""

    def decided(self, bundle: B) -> Mapping[str, Any]:
        config = bundle.config
        network = dict(config.model.settings)
        if "embedding_size" in config.input.settings:
            network["embedding_size"] = config.input.settings["embedding_size"]
        if config.conditioner is not None:
            network["conditioner"] = config.conditioner.name
            size = config.conditioner.settings.get("condition_size")
            network |= {} if size is None else {"condition_size": size}
        head = bundle.provenance.section("head")
        return {
            "model": config.model.name,
            "encoder": dict(bundle.provenance.section("encoder")),
            "network": network,
            "head": dict(head) or {"name": config.head.name},
        }

    def alike(self, name: str, asked: Any, decided: Any) -> bool:
        """True for the same value, or another name of the same component."""
        from rhapsode.heads import HEADS
        from rhapsode.models import CONDITIONERS, FAMILIES

        registries: dict[str, Any] = {
            "model": FAMILIES,
            "head.name": HEADS,
            "network.conditioner": CONDITIONERS,
        }
        if name in registries:
            full = registries[name].full_name
            return bool(full(str(asked)) == full(str(decided)))
        return super().alike(name, asked, decided)

    def stream(self, planned: Planned[S, C, B]) -> Stream:
        """Windows of sequences that go on where they stopped."""
        from rhapsode.data import ValueStream

        training = planned.settings.training
        assert training.batch_size is not None
        assert training.window is not None
        return ValueStream(
            self.fitted(planned),
            batch_size=training.batch_size,
            window=training.window,
            longest=STRETCH_WINDOWS * training.window,
            seed=planned.settings.seed,
        )

    def validation(self, planned: Planned[S, C, B], network: Network) -> Callable[[], float] | None:
        from rhapsode.bundle.value_predictor import ValuePredictor

        try:
            found = self.part(planned.corpus, planned.settings, "validation")
        except DataError:
            return None
        part = self.encoded(planned.bundle, found)
        predictor = ValuePredictor(planned.bundle, network)

        def evaluate() -> float:
            network.eval()
            return part.loss(predictor, planned.bundle.facts.warm_up)

        return evaluate

    def samples(
        self, planned: Planned[S, C, B], network: Network
    ) -> Callable[[], tuple[tuple[float, str], ...]]:
        from rhapsode.bundle.value_predictor import ValuePredictor

        asked = planned.settings.samples
        predictor = ValuePredictor(planned.bundle, network)

        def sample() -> tuple[tuple[float, str], ...]:
            if asked.length == 0:
                return ()
            network.eval()
            return tuple(
                (temperature, self.preview(planned, predictor, temperature))
                for temperature in asked.temperatures
            )

        return sample

    def finish(
        self, planned: Planned[S, C, B], bundle: B, network: Network, folder: Path, tell: Tell
    ) -> Finished[B]:
        from rhapsode.bundle.network import load_network
        from rhapsode.bundle.value_predictor import ValuePredictor

        figures: dict[str, Any] = {"loss": None, "reason": "no test share"}
        try:
            part = self.part(planned.corpus, planned.settings, "test")
        except DataError:
            part = None
        if part is not None:
            predictor = ValuePredictor(bundle, load_network(bundle))
            figures = self.test_figures(planned, part, predictor)
        provenance = replace(bundle.provenance, test=figures)
        return Finished(
            replace(bundle, provenance=provenance), figures, marks={"test": figures["loss"]}
        )

    def test_figures(
        self, planned: Planned[S, C, B], part: Any, predictor: ValuePredictor[B]
    ) -> dict[str, Any]:
        """Metrics of the test part, as the summary holds them."""
        return self._density(predictor, part, f"{part.split}, swept once").to_mapping()

    def metrics(self, model: Any, part: Any, settings: Any, tell: Tell) -> Metrics:
        return self._density(model.predictor, part, part.split)

    def _density(self, predictor: ValuePredictor[B], part: Any, split: str) -> ValueMetrics:
        bundle = predictor.bundle
        encoded = self.encoded(bundle, part)
        loss = encoded.loss(predictor, bundle.facts.warm_up)
        return ValueMetrics(loss, encoded.values, protocol_of(bundle, split))

    def compare(self, models: Mapping[str, Any], part: Any, settings: Any, tell: Tell) -> Compared:
        scored: dict[str, Scored] = {}
        sizes_S = np.zeros(0, dtype=np.int64)
        for name, model in models.items():
            tell(f"scoring with {name}")
            predictor = model.predictor
            encoded = self.encoded(model.bundle, part)
            nats_N = encoded.nats(predictor, model.bundle.facts.warm_up)
            row = {
                "parameters": sum(array.size for array in model.bundle.arrays.values()),
                "figures": self._density(predictor, part, part.split).to_mapping(),
            }
            scored[name] = Scored(row, {NATS.key: encoded.sums(nats_N)})
            sizes_S = encoded.values_S
        return Compared(scored, (NATS,), {NATS.key: sizes_S}, self.noun, f"whole {self.noun}")

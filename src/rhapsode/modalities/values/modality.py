"""Base of modalities of values: batches, validation, samples, density of the test part."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from rhapsode.bundle.value_facts import ValueBundle
from rhapsode.config import TrainingSettings
from rhapsode.modalities.contract import Corpus, Finished, Modality, Planned, Tell
from rhapsode.modalities.values.scored_part import ScoredPart, protocol_of

if TYPE_CHECKING:
    from rhapsode.bundle.network import Network
    from rhapsode.bundle.value_predictor import ValuePredictor
    from rhapsode.data import Stream, ValueArrays

__all__ = ["ValueModality"]

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

    @abstractmethod
    def validation_part(self, planned: Planned[S, C, B]) -> ScoredPart | None:
        """The part that chooses the best weights; None if there is none."""

    @abstractmethod
    def test_part(self, planned: Planned[S, C, B]) -> tuple[ScoredPart, str] | None:
        """The part that is scored once, and a description of it; None if there is none."""

    @abstractmethod
    def preview(
        self, planned: Planned[S, C, B], predictor: ValuePredictor[B], temperature: float
    ) -> str:
        """A drawn path in one line."""

    def decided(self, bundle: B) -> Mapping[str, Any]:
        """Family, encoding, network and distribution."""
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
        """Nats a value of the validation part."""
        from rhapsode.bundle.value_predictor import ValuePredictor

        part = self.validation_part(planned)
        if part is None:
            return None
        predictor = ValuePredictor(planned.bundle, network)

        def evaluate() -> float:
            network.eval()
            return part.loss(predictor, planned.bundle.facts.warm_up)

        return evaluate

    def samples(
        self, planned: Planned[S, C, B], network: Network
    ) -> Callable[[], tuple[tuple[float, str], ...]]:
        """Previews at several temperatures."""
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
        """Score the test part."""
        from rhapsode.bundle.network import load_network
        from rhapsode.bundle.value_predictor import ValuePredictor

        found = self.test_part(planned)
        figures: dict[str, Any] = {"loss": None, "reason": "no test share"}
        if found is not None:
            part, split = found
            predictor = ValuePredictor(bundle, load_network(bundle))
            figures = {
                "loss": part.loss(predictor, bundle.facts.warm_up),
                "elements": part.values,
                **self.measured(planned, predictor),
                "protocol": protocol_of(bundle, split),
            }
        provenance = replace(bundle.provenance, test=figures)
        return Finished(
            replace(bundle, provenance=provenance), figures, marks={"test": figures["loss"]}
        )

    def measured(self, planned: Planned[S, C, B], predictor: ValuePredictor[B]) -> dict[str, Any]:
        """Further figures of the test part, which only this modality has."""
        return {}

"""Base of modalities of values: batches, validation, samples and density."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.bundle.element_facts import ValueBundle
from rhapsode.config import TrainingSettings
from rhapsode.data import Stream, ValueArrays, ValueStream
from rhapsode.errors import DataError
from rhapsode.evaluation.losses import value_losses
from rhapsode.log import log
from rhapsode.modalities.contract import (
    Compared,
    Corpus,
    FinishedModel,
    Measure,
    Metrics,
    Modality,
    Planned,
    Scored,
    SplitName,
    resolved,
)

if TYPE_CHECKING:
    from rhapsode.bundle.network import Network
    from rhapsode.bundle.value_predictor import ValuePredictor
    from rhapsode.training.planner import PlannedSettings


NATS = Measure("nats_per_value", "nats per value")

STRETCH_WINDOWS = 8

S = TypeVar("S", bound=TrainingSettings)
C = TypeVar("C", bound=Corpus)
B = TypeVar("B", bound=ValueBundle)


def resolved_values(settings: S, plan: PlannedSettings) -> S:
    """Settings filled from a plan, without counts.

    The default precision is float32.
    """
    plan = replace(plan, training={**plan.training, "counts_share": 0.0})
    fixed = {"precision": "float32"} if settings.training.precision == "auto" else {}
    return resolved(settings, plan, fixed=fixed)


class ValueModality(Modality[S, C, B], Generic[S, C, B]):
    """A kind of sequence whose elements are vectors of numbers.

    Its settings have a section `head`, its corpora a method `part`. The plan of a run keeps the
    encoded training split as its own.
    """

    decides_all_of: ClassVar[tuple[str, ...]] = ("encoder", "network", "head")

    def encoded(self, bundle: B, part: Any) -> ScoredPart:
        """A part of a corpus, or sources, encoded for a model.

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
        parts = {"embedding_size": config.input}
        if config.conditioner is not None:
            network["conditioner"] = config.conditioner.name
            parts["condition_size"] = config.conditioner
        network |= {
            name: part.settings[name] for name, part in parts.items() if name in part.settings
        }
        return {
            "model": config.model.name,
            "encoder": dict(bundle.provenance.section("encoder")),
            "network": network,
            "head": dict(bundle.provenance.section("head")) or {"name": config.head.name},
        }

    def alike(self, name: str, asked: Any, decided: Any) -> bool:
        from rhapsode.heads import HEADS
        from rhapsode.models import CONDITIONERS, FAMILIES

        registries = {"model": FAMILIES, "head.name": HEADS, "network.conditioner": CONDITIONERS}
        registry: Any = registries.get(name)
        if registry is None:
            return super().alike(name, asked, decided)
        return bool(registry.full_name(str(asked)) == registry.full_name(str(decided)))

    def stream(self, planned: Planned[S, C, B]) -> Stream:
        training = planned.settings.training
        assert training.batch_size is not None
        assert training.window is not None
        return ValueStream(
            planned.own,
            batch_size=training.batch_size,
            window=training.window,
            longest=STRETCH_WINDOWS * training.window,
            seed=planned.settings.seed,
        )

    def part(self, corpus: Any, settings: S, name: SplitName) -> Any:
        return corpus.part(name)

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
            network.eval()
            return tuple(
                (temperature, self.preview(planned, predictor, temperature))
                for temperature in (asked.temperatures if asked.length else ())
            )

        return sample

    def finish(
        self, planned: Planned[S, C, B], bundle: B, network: Network, folder: Path
    ) -> FinishedModel[B]:
        from rhapsode.bundle.network import load_network
        from rhapsode.bundle.value_predictor import ValuePredictor

        loaded = load_network(bundle)
        bundle = self.calibrated(planned, ValuePredictor(bundle, loaded))
        try:
            part = self.part(planned.corpus, planned.settings, "test")
        except DataError:
            figures: dict[str, Any] = {"loss": None, "reason": "no test split"}
        else:
            figures = self.test_figures(planned, part, ValuePredictor(bundle, loaded))
        bundle = replace(bundle, provenance=replace(bundle.provenance, test=figures))
        paths = bundle.calibration.paths
        extra = {} if paths is None else {"calibration": paths.to_mapping()}
        return FinishedModel(bundle, figures, extra, marks={"test": figures["loss"]})

    def calibrated(self, planned: Planned[S, C, B], predictor: ValuePredictor[B]) -> B:
        """The bundle, with what is chosen on values that were not learnt."""
        return predictor.bundle

    def test_figures(
        self, planned: Planned[S, C, B], part: Any, predictor: ValuePredictor[B]
    ) -> dict[str, Any]:
        """Metrics of the test split, as the summary holds them."""
        return self._density(predictor, part, f"{part.split}, scored once").to_mapping()

    def metrics(self, model: Any, part: Any, settings: Any) -> Metrics:
        return self._density(model.predictor, part, part.split)

    def _density(self, predictor: ValuePredictor[B], part: Any, split: str) -> ValueMetrics:
        bundle = predictor.bundle
        encoded = self.encoded(bundle, part)
        return ValueMetrics(
            encoded.loss(predictor, bundle.facts.warm_up),
            encoded.values,
            protocol_of(bundle, split),
        )

    def compare(self, models: Mapping[str, Any], part: Any, settings: Any) -> Compared:
        scored: dict[str, Scored] = {}
        for name, model in models.items():
            log.info(f"scoring with {name}")
            encoded = self.encoded(model.bundle, part)
            nats_N = encoded.nats(model.predictor, model.bundle.facts.warm_up)
            row = {
                "parameters": model.bundle.parameters,
                "figures": self._density(model.predictor, part, part.split).to_mapping(),
            }
            scored[name] = Scored(row, {NATS.key: encoded.sums(nats_N)})
        return Compared(
            scored,
            (NATS,),
            {NATS.key: encoded.values_S},
            units=self.noun,
            passages=f"whole {self.noun}",
        )


@dataclass(frozen=True)
class ValuePart:
    """Whole sequences to score, encoded.

    Arguments:
        arrays: the sequences.
        split: description of the data, for a protocol.
    """

    arrays: ValueArrays
    split: str


@dataclass(frozen=True)
class ScoredPart:
    """Encoded sequences, of which the ends are scored.

    Arguments:
        arrays: the sequences, up to the last scored row.
        first_S: rows of each before the first scored one.
        values_S: scored numbers of each.
    """

    arrays: ValueArrays
    first_S: NDArray[np.int64]
    values_S: NDArray[np.int64]

    @classmethod
    def whole(cls, arrays: ValueArrays) -> ScoredPart:
        """Sequences that are scored from their first row on."""
        known_N = np.isfinite(arrays.targets_NK).sum(axis=1)
        ends_S = np.concatenate(([0], np.cumsum(known_N)))[arrays.offsets]
        return cls(arrays, np.zeros(len(arrays), dtype=np.int64), np.diff(ends_S))

    @property
    def values(self) -> int:
        """Scored numbers."""
        return int(self.values_S.sum())

    def nats(self, predictor: Predictor, warm_up: int) -> NDArray[np.float64]:
        """Nats of each row, (N,), in the data's own units.

        NaN where no value is scored.

        Arguments:
            predictor: the model.
            warm_up: rows read before the first scored one, at most.
        """
        first_S = self.arrays.offsets[:-1] + self.first_S
        return value_losses(predictor, self.arrays, first_S, warm_up=warm_up)

    def loss(self, predictor: Predictor, warm_up: int) -> float:
        """Nats a value, in the data's own units."""
        return float(np.nansum(self.nats(predictor, warm_up)) / max(1, self.values))

    def sums(self, nats_N: NDArray[np.float64]) -> NDArray[np.float64]:
        """Nats of each sequence, (S,)."""
        size = len(self.arrays)
        owner_N = np.repeat(np.arange(size), np.diff(self.arrays.offsets))
        return np.bincount(owner_N, np.nan_to_num(nats_N), minlength=size).astype(np.float64)


@dataclass(frozen=True, repr=False)
class ValueMetrics(Metrics):
    """Density of a part.

    Arguments:
        loss: nats a value, in the data's own units.
        elements: values scored.
        protocol: how they were measured.
    """

    loss: float
    elements: int
    protocol: dict[str, Any]

    @property
    def perplexity(self) -> float:  # type: ignore[override]
        return math.exp(self.loss)

    def to_mapping(self) -> dict[str, Any]:
        return {"loss": self.loss, "elements": self.elements, "protocol": self.protocol}

    def shown(self, width: int) -> Sequence[Any]:
        return list(self.report(str(self.protocol["split"])))

    def report(self, title: str) -> Iterator[Any]:
        yield title
        yield f"{self.loss:.4f} nats per element"


def protocol_of(bundle: ValueBundle, split: str) -> dict[str, Any]:
    """The protocol of a sweep.

    Arguments:
        bundle: the model.
        split: scored values, in words.
    """
    return {
        "split": split,
        "selected_on": bundle.provenance.selected_on,
        "context": f"carried, at most {bundle.facts.warm_up} values before the first scored one",
        "normalisation": "none: nats of the values in their own units",
        "unknown_cost": "missing values are not scored",
    }

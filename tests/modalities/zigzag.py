"""A toy modality of values: moves of a three-way pen, under a phase known ahead and a class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rhapsode.bundle import Bundle, Component, NetworkConfig, Provenance, bundle_path, read_bundle
from rhapsode.bundle.network import load_network
from rhapsode.bundle.value_predictor import ValuePredictor
from rhapsode.config import TrainingSettings
from rhapsode.data import Condition, ValueArrays
from rhapsode.modalities.contract import Claim, Degree, Planned, RunRequest, Tell
from rhapsode.modalities.scoring import PartName
from rhapsode.modalities.values.modality import ValueModality
from rhapsode.modalities.values.resolved import resolved
from rhapsode.modalities.values.scored_part import ScoredPart
from rhapsode.models import FAMILIES
from rhapsode.training.planner import Plan
from rhapsode.views.card import Card
from tests.modalities.pen_head import PenHead
from tests.modalities.zigzag_encoder import (
    JACOBIAN,
    NAME,
    ZigzagEncoder,
    ZigzagFacts,
    ZigzagPart,
    draw,
    phase,
)

REGISTRATION: dict[str, Any] = {
    "modality": "tests.modalities.zigzag:ZIGZAG",
    "facts": "tests.modalities.zigzag:ZigzagFacts",
    "heads": {"pen.v1": PenHead},
}
PLANNED = {"batch_size": 4, "window": 16, "learning_rate": 0.01, "averaging": 0.9}


class ZigzagCorpus:
    """A drawing a line: its class, and moves `x,y,pen`."""

    def __init__(self, text: str) -> None:
        self.sha256 = hashlib.sha256(text.encode()).hexdigest()
        lines = [line.split() for line in text.splitlines()]
        self.classes = [int(line[0]) for line in lines]
        self.drawings = [np.array([m.split(",") for m in line[1:]], float) for line in lines]
        self.documents, self.characters = len(lines), sum(map(len, self.drawings))

    def part(self, name: PartName) -> ZigzagPart:
        ends = [0, self.documents * 8 // 10, self.documents * 9 // 10, self.documents]
        number = ("train", "validation", "test").index(name)
        some = slice(ends[number], ends[number + 1])
        encoded = [ZigzagEncoder().encode(each, None) for each in self.drawings[some]]
        features_ND = np.concatenate([each.features_TD for each in encoded])
        targets_NK = np.concatenate([each.targets_TK for each in encoded]).astype(np.float32)
        lengths = [len(each.targets_TK) for each in encoded]
        ones_N = np.ones(sum(lengths), np.float32)
        condition = Condition(static_BK=np.eye(2, dtype=np.float32)[self.classes[some]])
        known_N1 = np.concatenate([phase(length) for length in lengths])
        arrays = (features_ND, known_N1, targets_NK, ones_N, JACOBIAN * ones_N)
        whole = ValueArrays(np.cumsum([0, *lengths]), *arrays, condition=condition)
        return ZigzagPart(whole, f"{name}: a part of the lines")


@dataclass
class ZigzagModel:
    path: Path
    bundle: Bundle[Any, Any]

    @cached_property
    def predictor(self) -> Any:
        return ValuePredictor(self.bundle, load_network(self.bundle))

    def generate(self, kind: int = 0, length: int = 8, seed: int = 0) -> Any:
        return draw(self.predictor, kind, length, seed=seed)


@dataclass(frozen=True)
class ZigzagSettings(TrainingSettings):
    head: Mapping[str, Any] = field(default_factory=dict)


class ZigzagModality(ValueModality[ZigzagSettings, ZigzagCorpus, Any]):
    name: ClassVar[str] = NAME
    noun: ClassVar[str] = "zigzags"
    settings = ZigzagSettings

    def claim(self, sources: Sequence[Any], asked: Mapping[str, Any]) -> Claim:
        own = all(str(source).endswith(".zigzag") for source in sources)
        return Claim(Degree.SURE if own else Degree.NONE, "by suffix")

    def open(self, path: str | Path) -> ZigzagModel:
        return ZigzagModel(bundle_path(path), read_bundle(path, ZigzagFacts))

    def check(self, settings: ZigzagSettings) -> None:
        pass

    def corpus(self, sources: Sequence[Any], settings: Any, tell: Tell, **read: Any) -> Any:
        return ZigzagCorpus("".join(Path(source).read_text() for source in sources))

    def plan(self, corpus: ZigzagCorpus, request: RunRequest[Any]) -> Planned[Any, Any, Any]:
        plan = Plan({"hidden_size": 8}, PLANNED, ("a toy",))
        settings = resolved(request.settings, plan, FAMILIES.full_name(request.settings.model))
        settings = replace(settings, network={**plan.network, **settings.network})
        config = NetworkConfig(
            Component("values.v1", {"value_size": 6}),
            Component(settings.model, settings.network),
            Component("pen.v1", {"target_size": 3}),
            conditioner=Component("static.v1", {"static_size": 2}),
        )
        provenance = Provenance(data_sha256=corpus.sha256, selected_on="a validation part")
        config = config if request.base is None else request.base.bundle.config
        bundle = Bundle(config, ZigzagEncoder(), ZigzagFacts(), provenance=provenance)
        train = corpus.part("train").arrays
        return Planned(settings, corpus, bundle, plan, len(train.weights_N), own=train)

    def fitted(self, planned: Any) -> Any:
        return planned.own

    def part(self, corpus: ZigzagCorpus, settings: Any, name: PartName) -> ZigzagPart:
        return corpus.part(name)

    def encoded(self, bundle: Any, part: ZigzagPart) -> ScoredPart:
        lengths = np.diff(part.arrays.offsets)
        return ScoredPart(part.arrays, 0 * lengths, 3 * lengths)

    def preview(self, planned: Any, predictor: Any, temperature: float) -> str:
        moves_TK = draw(predictor, 0, 8, seed=0, temperature=temperature)
        return " ".join("/-\\"[int(pen)] for pen in moves_TK[:, 2])

    def card(self, bundle: Any, summary: Mapping[str, Any]) -> Card:
        return Card("Zigzags", "A toy.", ["Moves."], [str(summary["loss"])], ["Toy."], ["..."])

    def told(self, summary: Mapping[str, Any], title: str) -> Iterator[Any]:
        yield f"{title}: {summary['loss']:.4f}"

    def next_command(self, folder: Path) -> str:
        return f"rhapsode generate {folder}"


ZIGZAG = ZigzagModality()

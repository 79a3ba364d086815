"""A toy modality of values: moves of a three-way pen, under a phase known ahead and a class."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rhapsode.bundle import Bundle, Component, NetworkConfig, Provenance, ValueCondition
from rhapsode.bundle.element_facts import ValueFacts
from rhapsode.config import TrainingSettings
from rhapsode.data import Condition, ValueArrays
from rhapsode.generation.paths import sample_paths
from rhapsode.modalities.contract import Claim, Degree, Planned, RunRequest
from rhapsode.modalities.values.modality import ValueModality, ValuePart, resolved_values
from rhapsode.modalities.values.model import ValueModel
from rhapsode.modalities.values.prompts import Step, ValuePrompt, read_steps
from rhapsode.training.planner import PlannedSettings
from rhapsode.views.card import Card
from tests.modalities.vector_encoder import VectorEncoder, VectorSettings

NAME = "zigzag.v1"
REGISTRATION = {
    "modality": "tests.modalities.zigzag:ZIGZAG",
    "facts": "tests.modalities.zigzag:ZigzagFacts",
    "model": "tests.modalities.zigzag:ZigzagModel",
}
PLANNED = {"batch_size": 4, "window": 16, "learning_rate": 0.01, "averaging": 0.9}
ENCODER = VectorEncoder(VectorSettings(scale=(0.5, 0.5), kinds=(3,)))


def phase(first: int, count: int) -> Any:
    """The covariate known ahead, (T, 1)."""
    return (np.arange(first, first + count, dtype=np.float32) % 2)[:, None]


def condition_of(kinds: Sequence[int]) -> Condition:
    return Condition(static_BK=np.eye(2, dtype=np.float32)[kinds])


@dataclass(frozen=True)
class ZigzagFacts(ValueFacts):
    modality, goes_on_with, command = NAME, "zigzags", "rhapsode generate"
    names = ("x", "y", "pen")
    covariate_size, warm_up, static_size = 1, 64, 2  # type: ignore[assignment]

    @classmethod
    def open_encoder(cls, table: Mapping[str, Any]) -> VectorEncoder:
        return VectorEncoder.from_mapping(table)


class ZigzagPrompt(ValuePrompt):
    """A class, and moves."""

    def __init__(self, model: Any, kind: int, steps: Sequence[Step] = ()) -> None:
        super().__init__(model, steps, condition_of([kind]))
        self.kind = kind

    def known(self, first: int, count: int) -> Any:
        return phase(first, count)[None]

    def saved(self) -> dict[str, Any]:
        return {"kind": self.kind}


class ZigzagModel(ValueModel[Any]):
    facts = ZigzagFacts

    def prompt(self, value: Any, settings: Any) -> ZigzagPrompt:
        kind, *moves = value.split() or ["0"]
        return ZigzagPrompt(self, int(kind), read_steps(";".join(moves), 3))

    def restored(self, saved: Mapping[str, Any]) -> ZigzagPrompt:
        return ZigzagPrompt(self, saved["kind"])


class ZigzagCorpus:
    """A drawing a line: its class, and moves `x,y,pen`."""

    def __init__(self, sources: Sequence[Any]) -> None:
        text = "".join(Path(source).read_text() for source in sources)
        self.sha256 = hashlib.sha256(text.encode()).hexdigest()
        lines = [line.split() for line in text.splitlines()]
        self.classes = [int(line[0]) for line in lines]
        self.drawings = [np.array([m.split(",") for m in line[1:]], float) for line in lines]
        self.documents, self.characters = len(lines), sum(map(len, self.drawings))

    def part(self, name: str) -> ValuePart:
        tenths = {"train": (0, 8), "validation": (8, 9), "test": (9, 10)}.get(name, (0, 10))
        some = slice(*(self.documents * tenth // 10 for tenth in tenths))
        arrays = ValueArrays.join(
            [ENCODER.encode(moves) for moves in self.drawings[some]],
            [phase(0, len(moves)) for moves in self.drawings[some]],
            condition=condition_of(self.classes[some]),
        )
        return ValuePart(arrays, f"{name}: a part of the lines")


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

    def corpus(self, sources: Sequence[Any], settings: Any, **read: Any) -> Any:
        return ZigzagCorpus(sources)

    def plan(self, corpus: ZigzagCorpus, request: RunRequest[Any]) -> Planned[Any, Any, Any]:
        plan = PlannedSettings({"hidden_size": 8}, PLANNED, ("a toy",))
        settings = resolved_values(request.settings, plan)
        config = NetworkConfig(
            Component("values.v1", {"value_size": 6}),
            Component(settings.model, settings.network),
            Component("joint.v1", {"target_size": 3, "kinds": [3]}),
            conditioner=Component("static.v1", {"static_size": 2}),
        )
        config = config if request.base is None else request.base.bundle.config
        provenance = Provenance(data_sha256=corpus.sha256, selected_on="a validation split")
        bundle = Bundle(config, ENCODER, ZigzagFacts(), provenance=provenance)
        train = corpus.part("train").arrays
        return Planned(settings, corpus, bundle, plan, len(train.weights_N), own=train)

    def to_score(self, model: Any, sources: Sequence[str], asked: Any) -> ValuePart:
        return ZigzagCorpus(sources).part(", ".join(sources))

    def preview(self, planned: Any, predictor: Any, temperature: float) -> str:
        state, known = predictor.start(1, ValueCondition(None, condition_of([0]))), phase(0, 8)
        asked: dict[str, Any] = {"samples": 1, "seeds": [0], "temperature": temperature}
        moves_TK = sample_paths(predictor, state, known[None], **asked)[0, 0]
        return " ".join("/-\\"[int(pen)] for pen in moves_TK[:, 2])

    def card(self, bundle: Any, summary: Mapping[str, Any]) -> Card:
        return Card("Zigzags", "A toy.", ["Moves."], [str(summary["loss"])], ["Toy."], ["..."])


ZIGZAG = ZigzagModality()

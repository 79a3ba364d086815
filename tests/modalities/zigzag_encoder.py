"""Moves of a pen to features and targets, for the toy modality of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rhapsode.bundle import NetworkSizes
from rhapsode.bundle.value_facts import ValueFacts
from rhapsode.bundle.value_predictor import ValueCondition
from rhapsode.data import Condition, ValueArrays
from rhapsode.generation.paths import sample_paths

NAME = "zigzag.v1"
SCALE_3 = np.array([0.5, 0.5, 1.0])
JACOBIAN = float(-np.log(SCALE_3).sum())


@dataclass
class ZigzagPaths:
    """Features before the next move of each path: the move before, and where the pen is."""

    last_BD: Any

    def __len__(self) -> int:
        return len(self.last_BD)

    def features(self) -> Any:
        return self.last_BD

    def encode_next(self, values_BK: Any) -> tuple[Any, Any]:
        return values_BK / SCALE_3, np.full(len(values_BK), JACOBIAN)

    def decode_next(self, targets_BK: Any) -> Any:
        return targets_BK * SCALE_3

    def push(self, values_BK: Any) -> None:
        self.last_BD = features_of(values_BK)

    def select(self, rows_R: Any) -> ZigzagPaths:
        return ZigzagPaths(self.last_BD[rows_R])

    @classmethod
    def join(cls, parts: Sequence[ZigzagPaths]) -> ZigzagPaths:
        return cls(np.concatenate([part.last_BD for part in parts]))


def features_of(values_TK: Any) -> Any:
    pens_T3 = np.eye(3)[values_TK[:, 2].astype(int)]
    return np.concatenate((values_TK[:, :2] / SCALE_3[:2], pens_T3), 1).astype(np.float32)


@dataclass
class Encoded:
    features_TD: Any
    targets_TK: Any


class ZigzagEncoder:
    """Moves divided by a half."""

    name, target_size, feature_size, span = NAME, 3, 5, 1
    counts = spans_gaps = False

    def to_mapping(self) -> dict[str, Any]:
        return {"name": self.name}

    def stats(self, history_TK: Any) -> None:
        return None

    def encode(self, values_TK: Any, stats: None) -> Encoded:
        return Encoded(np.pad(features_of(values_TK), ((1, 0), (0, 0)))[:-1], values_TK / SCALE_3)

    def paths_after(self, values_TK: Any, stats: None) -> ZigzagPaths:
        last_BD = self.encode(np.pad(values_TK, ((0, 1), (0, 0))), stats).features_TD[-1:]
        return ZigzagPaths(last_BD)

    def paths(self, stats: None, copies: int = 1) -> ZigzagPaths:
        return ZigzagPaths(np.zeros((copies, 5), np.float32))


@dataclass(frozen=True)
class ZigzagFacts(ValueFacts):
    modality, goes_on_with, command = NAME, "zigzags", "rhapsode generate"
    covariate_size, warm_up = 1, 64  # type: ignore[assignment]

    def to_file(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {}

    @classmethod
    def from_file(cls, table: Any, arrays: Any, encoder: Any) -> ZigzagFacts:
        return cls()

    @classmethod
    def open_encoder(cls, table: Any) -> ZigzagEncoder:
        return ZigzagEncoder()

    def sizes(self, encoder: Any) -> NetworkSizes:
        return NetworkSizes("numbers", ("value_size", 6), ("target_size", 3), ("static_size", 2))

    def described(self, encoder: Any) -> dict[str, Any]:
        return {"encoder": {"name": encoder.name}}


def phase(length: int) -> Any:
    """The covariate known ahead, (T, 1)."""
    return (np.arange(length, dtype=np.float32) % 2)[:, None]


@dataclass(frozen=True)
class ZigzagPart:
    arrays: ValueArrays
    split: str


def draw(predictor: Any, kind: int, length: int, *, seed: int, temperature: float = 1.0) -> Any:
    """New moves (T, 3) of a class."""
    sources = Condition(static_BK=np.eye(2, dtype=np.float32)[[kind]])
    state = predictor.start(1, ValueCondition(None, sources))
    known_1HX = phase(length)[None]
    return sample_paths(
        predictor, state, known_1HX, samples=1, seeds=[seed], temperature=temperature
    )[0, 0]

"""Encoded parts of values that are scored, their metrics, and the protocol of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.value_facts import ValueBundle
from rhapsode.evaluation.losses import value_losses

if TYPE_CHECKING:
    from rhapsode.bundle import Predictor
    from rhapsode.data import ValueArrays

__all__ = ["ScoredPart", "ValueMetrics", "ValuePart", "protocol_of"]


@dataclass(frozen=True)
class ValuePart:
    """Whole sequences to score, encoded.

    Arguments:
        arrays: the sequences.
        split: what they are, in words, for a protocol.
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
        """Nats of each row in the data's own units, (N,); NaN where none is scored.

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
        owner_N = np.repeat(np.arange(len(self.arrays)), np.diff(self.arrays.offsets))
        sums_S = np.bincount(owner_N, np.nan_to_num(nats_N), minlength=len(self.arrays))
        return sums_S.astype(np.float64)


@dataclass(frozen=True)
class ValueMetrics:
    """Density of a part.

    Arguments:
        loss: nats a value, in the data's own units.
        elements: values scored.
        protocol: how these came about.
    """

    loss: float
    elements: int
    protocol: dict[str, Any]

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"loss": self.loss, "elements": self.elements, "protocol": self.protocol}


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

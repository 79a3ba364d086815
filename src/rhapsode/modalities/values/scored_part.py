"""Parts of a corpus of values that are scored, and the protocol of a sweep over them."""

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

__all__ = ["ScoredPart", "protocol_of"]


@dataclass(frozen=True)
class ScoredPart:
    """A part of a corpus, behind what may be read before it.

    Arguments:
        arrays: encoded sequences, up to the end of the part.
        first_S: first row of each that is scored, from its beginning.
        values: numbers that are scored, by which the sum of nats is divided.
    """

    arrays: ValueArrays
    first_S: NDArray[np.int64]
    values: int

    def loss(self, predictor: Predictor, warm_up: int) -> float:
        """Nats a value, in the data's own units.

        Arguments:
            predictor: the model.
            warm_up: rows read before the first scored one, at most.
        """
        first_S = self.arrays.offsets[:-1] + self.first_S
        nats_N = value_losses(predictor, self.arrays, first_S, warm_up=warm_up)
        return float(np.nansum(nats_N) / max(1, self.values))


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

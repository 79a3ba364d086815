"""Encoded sequences of vectors, the common form of all value encoders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
# Features beyond it are clipped.
FARTHEST = 1e4


@dataclass(frozen=True)
class EncodedValues:
    """A sequence of values, encoded for a network.

    Row t of the features is known before row t of the targets.

    Arguments:
        features_TD: the past before each value.
        targets_TK: NaN where missing, or where nothing is there to compare with.
        weights_T: 0 where no target is known.
        log_jacobian_T: nats to add to the log-density of the known targets for one in the data's
            own units.
    """

    features_TD: Singles
    targets_TK: Floats
    weights_T: Singles
    log_jacobian_T: Floats

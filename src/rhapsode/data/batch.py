"""What a loader yields and a network takes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Batch"]


@dataclass(frozen=True)
class Batch:
    """One window of B rows by T steps.

    Arguments:
        inputs: what is read: (B, T) ids, int64; or (B, T, K) values, float32.
        targets: what follows each input, of the same shape.
        weights_BT: float32; 0 where a target is padding, a prompt, missing or not scored.
        reset_BT: bool; True where a row starts afresh before reading that input. None: nowhere.
        known_BTK: float32 covariates known ahead, for series.
        log_jacobian_BT: float32, nats: the encoder's change of units, for series.
        log_scale_BK: float32: natural logarithm of what the mean of each target is multiplied by, for counts.
        positions_BT: where each target stands in the array that is swept, int64; None in training.
    """

    inputs: NDArray[np.int64] | NDArray[np.float32]
    targets: NDArray[np.int64] | NDArray[np.float32]
    weights_BT: NDArray[np.float32]
    reset_BT: NDArray[np.bool_] | None = None
    known_BTK: NDArray[np.float32] | None = None
    log_jacobian_BT: NDArray[np.float32] | None = None
    log_scale_BK: NDArray[np.float32] | None = None
    positions_BT: NDArray[np.int64] | None = None

    @property
    def rows(self) -> int:
        """B, the number of rows."""
        return len(self.inputs)

"""What a loader yields and a network takes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.errors import DataError

__all__ = ["Batch", "forbidden_targets"]


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
        allowed_BTV: bool, for ids: which elements may follow each input; distributions are
            normalised over them. None: all.
    """

    inputs: NDArray[np.int64] | NDArray[np.float32]
    targets: NDArray[np.int64] | NDArray[np.float32]
    weights_BT: NDArray[np.float32]
    reset_BT: NDArray[np.bool_] | None = None
    known_BTK: NDArray[np.float32] | None = None
    log_jacobian_BT: NDArray[np.float32] | None = None
    log_scale_BK: NDArray[np.float32] | None = None
    positions_BT: NDArray[np.int64] | None = None
    allowed_BTV: NDArray[np.bool_] | None = None

    @property
    def rows(self) -> int:
        """B, the number of rows."""
        return len(self.inputs)

    def mask(self) -> NDArray[np.bool_] | None:
        """The mask of the batch, checked; None where everything may follow.

        Raises:
            DataError: a target of a weight above 0 is not allowed.
            ValueError: the mask does not fit the targets, or allows nothing somewhere.
        """
        allowed_BTV = self.allowed_BTV
        if allowed_BTV is None or allowed_BTV.all():
            return None
        if allowed_BTV.ndim != 3 or allowed_BTV.shape[:2] != self.targets.shape:
            raise ValueError(f"a mask {allowed_BTV.shape} does not fit {self.targets.shape} ids")
        if not allowed_BTV.any(axis=-1).all():
            raise ValueError("at least one element must be allowed behind every input")
        wrong_BT = forbidden_targets(self.targets, allowed_BTV) & (self.weights_BT > 0)
        if wrong_BT.any():
            row, time = (int(place) for place in np.argwhere(wrong_BT)[0])
            raise DataError(
                f"element {int(self.targets[row, time])} is not allowed by the grammar",
                where=f"row {row}, position {time} of a batch",
                hint="check that the text and the grammar belong together",
            )
        return allowed_BTV


def forbidden_targets(
    targets_BT: NDArray[Any], allowed_BTV: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Targets that a mask does not allow, (B, T)."""
    ids_BT1 = np.asarray(targets_BT, dtype=np.int64)[..., None]
    return ~np.take_along_axis(allowed_BTV, ids_BT1, axis=-1)[..., 0]

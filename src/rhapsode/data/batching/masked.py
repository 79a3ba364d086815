"""Batches that hold which elements may follow each input."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.batch import Batch, Stream


@dataclass(frozen=True)
class AllowedElements:
    """Elements that may stand at each place of an array of ids.

    Places often share what is allowed there, so that each mask is kept once.

    Arguments:
        masks_MV: the distinct masks, bool.
        which_N: the mask of each place.
    """

    masks_MV: NDArray[np.bool_]
    which_N: NDArray[np.int64]

    def fill(self, batch: Batch) -> Batch:
        """The batch with its mask; everything may follow where nothing is scored.

        Arguments:
            batch: it says where its targets stand.
        """
        assert batch.positions_BT is not None, "the batch must say where its targets stand"
        positions_BT, last = batch.positions_BT, len(self.which_N) - 1
        inside_BT = (positions_BT >= 0) & (positions_BT <= last)
        allowed_BTV = self.masks_MV[self.which_N[np.clip(positions_BT, 0, last)]]
        allowed_BTV[~inside_BT] = True
        return replace(batch, allowed_BTV=allowed_BTV)


class MaskedStream:
    """A stream whose batches hold which elements may follow each input.

    Arguments:
        stream: ids; its batches say where their targets stand.
        allowed: in the array that the stream reads.
    """

    def __init__(self, stream: Stream, allowed: AllowedElements) -> None:
        self._stream = stream
        self._allowed = allowed
        self.batch_size, self.carries = stream.batch_size, stream.carries
        self.elements_per_epoch = stream.elements_per_epoch
        self.scored, self.steps = stream.scored, stream.steps

    def batch(self, step: int) -> Batch:
        """The batch of a step, with its mask."""
        return self._allowed.fill(self._stream.batch(step))

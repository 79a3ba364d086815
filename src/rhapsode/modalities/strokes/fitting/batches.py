"""Batches of drawings, with noise in place of rounding."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.data import Batch, Condition, ValueArrays
from rhapsode.encoding.strokes import StrokeEncoder
from rhapsode.encoding.vectors import Floats
from rhapsode.errors import DataError

Ints = NDArray[np.int64]
# Batches whose drawings are sorted by length together.
POOL = 32


def encode_drawings(
    encoder: StrokeEncoder, moves: list[Floats], condition: Condition | None = None
) -> ValueArrays:
    """Drawings as features and targets, one after another.

    Arguments:
        encoder: scales and grid.
        moves: (T, 3) of each drawing.
        condition: the text of each; None where a model does not write from texts.
    """
    encoded = encoder.encode_all(moves)
    return ValueArrays(
        np.cumsum([0, *map(len, moves)]),
        encoded.features_TD,
        np.zeros((len(encoded.features_TD), 0), dtype=np.float32),
        encoded.targets_TK.astype(np.float32),
        encoded.weights_T,
        encoded.log_jacobian_T.astype(np.float32),
        condition=condition,
    )


def dithered(targets: NDArray[Any], step: float, seed: object) -> NDArray[Any]:
    """Targets with uniform noise of one step of the grid.

    The expected log-density of such moves is at most the log-probability of the moves on the grid.

    Arguments:
        targets: (..., 3).
        step: of the grid, in units of the targets; 0 without a grid.
        seed: of the noise.
    """
    if not step:
        return targets
    random = np.random.default_rng(seed)  # type: ignore[arg-type]
    noise = random.random((*targets.shape[:-1], 2), dtype=np.float32) - np.float32(0.5)
    noisy = targets.copy()
    noisy[..., :2] += np.float32(step) * noise
    return noisy


class DrawingStream:
    """Batches of whole drawings, each read from the zero state.

    Drawings of similar length share a batch. Longer drawings than a window are read in parts, which
    begin elsewhere at every pass.

    Arguments:
        arrays: the drawings.
        batch_size: B, drawings side by side.
        window: T, the maximum length of a row.
        step: of the grid, in units of the targets; every batch has noise of its own.
        seed: of order and noise.

    Raises:
        DataError: there is nothing to learn from.
    """

    carries = False

    def __init__(
        self, arrays: ValueArrays, *, batch_size: int, window: int, step: float, seed: int
    ) -> None:
        if not len(arrays.weights_N):
            raise DataError("the training split has no moves")
        self._arrays, self._step, self._seed = arrays, step, seed
        self.batch_size, self._window = batch_size, window
        self.elements_per_epoch = int(arrays.weights_N.sum())
        self._epochs: list[list[Ints]] = []
        self._ends, self._scored = [0], [0]

    def _rows(self, epoch: int) -> list[Ints]:
        """Batches of a pass: first row, row after the last, and drawing of each row, (B, 3)."""
        random = np.random.default_rng((self._seed, epoch))
        rows = []
        for drawing, (start, stop) in enumerate(
            zip(self._arrays.offsets[:-1].tolist(), self._arrays.offsets[1:].tolist(), strict=True)
        ):
            cuts = [start]
            if stop - start > self._window:
                first = start + int(random.integers(1, self._window + 1))
                cuts += range(first, stop, self._window)
            rows += [
                (low, high, drawing) for low, high in zip(cuts, [*cuts[1:], stop], strict=True)
            ]
        rows_N3 = np.array(rows, dtype=np.int64)
        rows_N3 = rows_N3[random.permutation(len(rows_N3))]
        pool = POOL * self.batch_size
        batches = []
        for first in range(0, len(rows_N3), pool):
            part = rows_N3[first : first + pool]
            part = part[np.argsort(part[:, 1] - part[:, 0], kind="stable")]
            batches += [
                part[place : place + self.batch_size]
                for place in range(0, len(part), self.batch_size)
            ]
        return [batches[place] for place in random.permutation(len(batches))]

    def _at(self, step: int) -> Ints:
        while self._ends[-1] <= step:
            batches = self._rows(len(self._epochs))
            self._epochs.append(batches)
            self._ends.append(self._ends[-1] + len(batches))
            counts = [int((rows[:, 1] - rows[:, 0]).sum()) for rows in batches]
            self._scored += (self._scored[-1] + np.cumsum(counts)).tolist()
        epoch = bisect_right(self._ends, step) - 1
        return self._epochs[epoch][step - self._ends[epoch]]

    def batch(self, step: int) -> Batch:
        """The batch of `step`: (B, T)."""
        rows_R3 = self._at(step)
        rows_B3 = np.zeros((self.batch_size, 3), dtype=np.int64)
        rows_B3[: len(rows_R3)] = rows_R3
        starts_B, stops_B, drawings_B = rows_B3.T
        time = int((stops_B - starts_B).max())
        batch = self._arrays.batch(starts_B, stops_B, drawings_B, time)
        reset_BT = np.zeros((self.batch_size, time), dtype=np.bool_)
        reset_BT[:, 0] = True
        targets_BTK = dithered(batch.targets, self._step, (self._seed, 1, step))
        return replace(batch, targets=targets_BTK, reset_BT=reset_BT, positions_BT=None)

    def scored(self, steps: int) -> int:
        """Elements scored by the first `steps` steps."""
        if steps:
            self._at(steps - 1)
        return self._scored[steps]

    def steps(self, epochs: float) -> int:
        """Steps that make about `epochs` passes, at least 1."""
        self._at(0)
        return max(1, round(epochs * len(self._epochs[0])))

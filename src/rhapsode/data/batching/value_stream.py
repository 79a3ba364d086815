"""Batches of series for training, with carried states.

It reads encoded arrays and is independent of encoders.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.batch import Batch, Condition
from rhapsode.errors import DataError

Ints = NDArray[np.int64]
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class ValueArrays:
    """Encoded series, concatenated.

    Series s has the rows `offsets[s]` to `offsets[s + 1]`.

    Arguments:
        offsets: where each series begins, and where the last one ends.
        features_ND: features of the past before each target.
        known_NX: covariates known ahead; X may be 0.
        targets_NK: values to predict; NaN where missing.
        weights_N: 0 where no target is known.
        log_jacobian_N: nats.
        log_scale_SK: natural logarithm of the factor of the means of each series of counts; None
            where targets are no counts.
        condition: condition of each series, S rows; None: unconditional.
    """

    offsets: Ints
    features_ND: Singles
    known_NX: Singles
    targets_NK: Singles
    weights_N: Singles
    log_jacobian_N: Singles
    log_scale_SK: Singles | None = None
    condition: Condition | None = None

    @classmethod
    def join(
        cls,
        encoded: Sequence[Any],
        known: Sequence[Singles],
        *,
        log_scale_SK: Singles | None = None,
        condition: Condition | None = None,
    ) -> ValueArrays:
        """Concatenate encoded series.

        Arguments:
            encoded: features, targets, weights and log-Jacobians of each, as encoders give them.
            known: covariates of each, (T, X).
            log_scale_SK: of each, where targets are counts.
            condition: of each, where there is any.
        """
        return cls(
            np.cumsum([0, *(len(each.targets_TK) for each in encoded)]),
            np.concatenate([each.features_TD for each in encoded]),
            np.concatenate(known),
            np.concatenate([each.targets_TK for each in encoded]).astype(np.float32),
            np.concatenate([each.weights_T for each in encoded]),
            np.concatenate([each.log_jacobian_T for each in encoded]).astype(np.float32),
            log_scale_SK,
            condition,
        )

    def __len__(self) -> int:
        """The number of series."""
        return len(self.offsets) - 1

    def batch(self, starts_B: Ints, stops_B: Ints, series_B: Ints, time: int) -> Batch:
        """Rows of `time` steps from each start on, padded after each stop.

        Arguments:
            starts_B: first row of each, over all series.
            stops_B: the row after the last of each.
            series_B: the series of each.
            time: T.
        """
        places_BT = starts_B[:, None] + np.arange(time)
        inside_BT = places_BT < stops_B[:, None]
        places_BT = np.where(inside_BT, places_BT, np.maximum(stops_B - 1, 0)[:, None])
        targets_BTK = self.targets_NK[places_BT]
        targets_BTK[~inside_BT] = np.nan
        return Batch(
            inputs=self.features_ND[places_BT],
            targets=targets_BTK,
            weights_BT=self.weights_N[places_BT] * inside_BT,
            known_BTK=self.known_NX[places_BT] if self.known_NX.shape[1] else None,
            log_jacobian_BT=self.log_jacobian_N[places_BT] * inside_BT,
            log_scale_BK=None if self.log_scale_SK is None else self.log_scale_SK[series_B],
            positions_BT=np.where(inside_BT, places_BT, -1),
            condition=None if self.condition is None else self.condition.select(series_B).trimmed(),
        )


class ValueStream:
    """Windows of series; each row reads one stretch after another.

    A stretch is a whole series, or, of a long one, a part: parts begin elsewhere at every pass.
    Every stretch begins from the zero state, always at the beginning of a window, so that no kernel
    call is split. Passes follow one another without a gap, each in an order of its own.

    Arguments:
        arrays: the series.
        batch_size: B, rows side by side.
        window: T, steps of a window: gradients reach back this far.
        longest: steps of the longest stretch.
        seed: seed of the order.

    Raises:
        DataError: there is nothing to learn from.
    """

    carries = True

    def __init__(
        self, arrays: ValueArrays, *, batch_size: int, window: int, longest: int, seed: int = 0
    ) -> None:
        self._arrays = arrays
        self.batch_size = batch_size
        self._window = window
        self._longest = max(longest, window)
        self._seed = seed
        lengths = np.diff(arrays.offsets)
        if not arrays.weights_N.any():
            raise DataError("the training split has no known value")
        self.elements_per_epoch = int(arrays.weights_N.sum())
        parts = np.maximum(1, -(-lengths // self._longest))
        windows = parts * -(-np.minimum(lengths, self._longest) // window)
        self._steps_per_epoch = max(1, -(-int(windows.sum()) // batch_size))
        self._walk = self._rows()
        self._made: list[tuple[Ints, NDArray[np.bool_]]] = []
        self._scored = [0]

    def _stretches(self) -> Iterator[tuple[int, int, int]]:
        """Endless stretches: series, first row, and the row after the last."""
        offsets, longest = self._arrays.offsets, self._longest
        for epoch in itertools.count():
            random = np.random.default_rng((self._seed, epoch))
            found: list[tuple[int, int, int]] = []
            for series, (start, stop) in enumerate(itertools.pairwise(offsets.tolist())):
                cuts = [start]
                if stop - start > longest:
                    # The first part has a random length, so that the others begin anywhere.
                    first = start + int(random.integers(1, longest + 1))
                    cuts += range(first, stop, longest)
                found += [
                    (series, low, high)
                    for low, high in zip(cuts, [*cuts[1:], stop], strict=True)
                    if self._arrays.weights_N[low:high].any()
                ]
            for place in random.permutation(len(found)):
                yield found[place]

    def _rows(self) -> Iterator[tuple[Ints, NDArray[np.bool_]]]:
        """Rows of every step, and the mask of those that reset.

        Rows are series, start and stop, (B, 3); the mask is (B,).
        """
        stretches = self._stretches()
        rows = np.zeros((self.batch_size, 3), dtype=np.int64)
        while True:
            fresh = rows[:, 1] >= rows[:, 2]
            for row in np.nonzero(fresh)[0]:
                rows[row] = next(stretches)
            yield rows.copy(), fresh
            rows[:, 1] += self._window

    def _at(self, step: int) -> tuple[Ints, NDArray[np.bool_]]:
        while len(self._made) <= step:
            rows, fresh = next(self._walk)
            self._made.append((rows, fresh))
            ends = np.minimum(rows[:, 1] + self._window, rows[:, 2])
            count = sum(
                int(self._arrays.weights_N[low:high].sum())
                for low, high in zip(rows[:, 1], ends, strict=True)
            )
            self._scored.append(self._scored[-1] + count)
        return self._made[step]

    def batch(self, step: int) -> Batch:
        """The batch of `step`: (B, T)."""
        rows, fresh = self._at(step)
        batch = self._arrays.batch(rows[:, 1], rows[:, 2], rows[:, 0], self._window)
        reset_BT = np.zeros((self.batch_size, self._window), dtype=np.bool_)
        reset_BT[:, 0] = fresh
        return replace(batch, reset_BT=reset_BT, positions_BT=None)

    def scored(self, steps: int) -> int:
        """Elements scored by the first `steps` steps."""
        if steps:
            self._at(steps - 1)
        return self._scored[steps]

    def steps(self, epochs: float) -> int:
        """Steps that make about `epochs` passes, at least 1."""
        return max(1, round(epochs * self._steps_per_epoch))


def sweep_values(
    arrays: ValueArrays, starts_S: Ints, stops_S: Ints, *, rows: int, window: int
) -> Iterator[tuple[bool, Batch]]:
    """Batches that read each stretch of all series once.

    Stretches of similar length are side by side.

    Arguments:
        arrays: the series.
        starts_S: first row of each series' stretch, over all series.
        stops_S: the row after its last.
        rows: stretches side by side.
        window: steps of a batch.

    Yields:
        True if the rows begin from the zero state (if not, they continue), and the batch.
        `positions_BT` holds the row of each target, -1 where there is none.
    """
    order = np.argsort(stops_S - starts_S, kind="stable")
    order = order[(stops_S > starts_S)[order]]
    for first in range(0, len(order), rows):
        some = order[first : first + rows]
        longest = int((stops_S - starts_S)[some].max())
        for begin in range(0, longest, window):
            time = min(window, longest - begin)
            yield begin == 0, arrays.batch(starts_S[some] + begin, stops_S[some], some, time)

"""Predictors of a `window:N` context: every distribution is read anew off the last N elements. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.distribution import Distribution, Elements
from rhapsode.bundle.predictor import Examined, NetworkPredictor, Stretch, StretchRequest
from rhapsode.data.batch import Condition

if TYPE_CHECKING:
    from rhapsode.data import Batch

__all__ = ["LastElements", "Window"]


@dataclass(frozen=True)
class LastElements:
    """The last elements that every row has read.

    Arguments:
        elements_BT: up to N; where a row has fewer, they stand at its end.
        count_B: how many each row has.
        condition: what every row depends on, B sources; None: nothing.
    """

    elements_BT: NDArray[np.int64]
    count_B: NDArray[np.int64]
    condition: Condition | None = None

    def select(self, rows_R: NDArray[np.int64]) -> LastElements:
        """The memory of some rows."""
        condition = None if self.condition is None else self.condition.select(rows_R)
        return LastElements(self.elements_BT[rows_R], self.count_B[rows_R], condition)

    def fork(self) -> LastElements:
        """A memory of its own; nothing changes one in place."""
        return self


class Window(NetworkPredictor):
    """A predictor that sees only the last N elements, as a network of a `window:N` context was trained.

    Arguments:
        predictor: of the network; it is always started anew.
        size: N.
    """

    def __init__(self, predictor: NetworkPredictor, size: int) -> None:
        self._predictor = predictor
        self._size = size

    @property
    def vocab_size(self) -> int:
        return self._predictor.vocab_size

    @property
    def window(self) -> int:
        return self._size

    def start(self, rows: int, condition: Any = None) -> LastElements:
        if condition is not None:
            self._predictor.start(rows, condition)  # refuses one that it cannot use
            if condition.rows == 1:
                condition = condition.select(np.zeros(rows, dtype=np.int64))
        none_B0 = np.zeros((rows, 0), dtype=np.int64)
        return LastElements(none_B0, np.zeros(rows, dtype=np.int64), condition)

    def advance(
        self,
        elements: Elements,
        state: LastElements,
        known_BUX: NDArray[np.float32] | None = None,
        *,
        features: bool = False,
    ) -> tuple[Distribution, LastElements]:
        """Read ids (B, T); the distribution of what follows the last N, and the memory of these.

        Features are those of the elements read that are among the last N.
        """
        time = elements.shape[1]
        if time == 0:
            raise ValueError("advance needs at least one element")
        ids_BT = np.asarray(elements, dtype=np.int64)
        seen_BT = np.concatenate((state.elements_BT, ids_BT), axis=1)[:, -self._size :]
        count_B = np.minimum(state.count_B + time, self._size)
        memory = LastElements(seen_BT, count_B, state.condition)
        start = self._predictor.start(len(seen_BT), state.condition)
        if (count_B < seen_BT.shape[1]).any():  # rows of unequal length
            rows = [
                row_T[len(row_T) - count :] for row_T, count in zip(seen_BT, count_B, strict=True)
            ]
            following, _ = self._predictor.read(rows, start)
            return following, memory
        windows, _ = self._predictor.advance(seen_BT, start, features=features)
        if windows.features_BTH is not None:
            windows.features_BTH = windows.features_BTH[:, -time:]
        return windows, memory

    def score(self, batch: Batch, state: Any | None = None) -> tuple[NDArray[np.float32], None]:
        return self._predictor.score(batch, None)[0], None

    def examine(self, batch: Batch, state: Any | None = None) -> tuple[Examined, None]:
        return self._predictor.examine(batch, None)[0], None

    def distributions(
        self, batch: Batch, state: Any | None = None
    ) -> tuple[Iterator[NDArray[np.float32]], None]:
        return self._predictor.distributions(batch, None)[0], None

    def join(self, states: Sequence[LastElements]) -> LastElements:
        width = max(state.elements_BT.shape[1] for state in states)
        padded = [
            np.pad(state.elements_BT, ((0, 0), (width - state.elements_BT.shape[1], 0)))
            for state in states
        ]
        counts = [state.count_B for state in states]
        conditions = [state.condition for state in states]
        there = [condition for condition in conditions if condition is not None]
        if len(there) not in {0, len(states)}:
            raise ValueError("rows with and without a condition are not joined")
        condition = Condition.join(there) if there else None
        return LastElements(np.concatenate(padded), np.concatenate(counts), condition)

    def stretches(self, request: StretchRequest) -> Iterator[Stretch] | None:
        return self._predictor.stretches(replace(request, window=self._size))

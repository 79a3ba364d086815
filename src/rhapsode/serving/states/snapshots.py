"""States of a model after a text, and their reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Distribution, Elements, LogitsDistribution, Predictor, log_softmax
from rhapsode.modalities.opened import Prompt

# Elements that are read in one call, so that others need not wait long.
CHUNK = 512
_ONE = np.zeros(1, dtype=np.int64)


@dataclass(frozen=True)
class Snapshot:
    """The state of one row, and the distribution behind it.

    Arguments:
        state: after the elements; use a copy, see `rows`.
        following: distribution of the next element.
        elements: all that was read, without what `Prompt.start` has read.
    """

    state: Any
    following: Distribution
    elements: tuple[Any, ...]

    def rows(self, predictor: Predictor, count: int) -> tuple[Any, Distribution]:
        """Copies of the state and of the distribution, for several rows."""
        rows_R = np.zeros(count, dtype=np.int64)
        return predictor.select(self.state, rows_R), self.following.select(rows_R)


class StoredDistribution(LogitsDistribution):
    """A distribution that was stored.

    Arguments:
        logits_BV: of the model.
        alone_BV: of its network alone.
    """

    def __init__(self, logits_BV: NDArray[np.float32], alone_BV: NDArray[np.float32]) -> None:
        super().__init__(logits_BV)
        self._alone_BV = alone_BV

    @property
    def alone_BV(self) -> NDArray[np.float32]:
        return self._alone_BV

    def select(self, rows_R: NDArray[np.int64]) -> StoredDistribution:
        return StoredDistribution(self.logits_BV[rows_R], self._alone_BV[rows_R])


class PromptReader:
    """Reading of a prompt, part by part.

    Arguments:
        predictor: the model.
        prompt: gives the beginning.
        elements: to read after it, those of `begin` among them.
        begin: the state after the first of them; None for the beginning of the text.
    """

    def __init__(
        self,
        predictor: Predictor,
        prompt: Prompt,
        elements: Sequence[Any],
        begin: Snapshot | None = None,
    ) -> None:
        self._predictor, self._prompt, self._elements = predictor, prompt, tuple(elements)
        if begin is None:
            self._state, self._waiting = prompt.start(predictor)
            self._waiting = (*self._waiting, *self._elements)
            self._following: Distribution | None = None
        else:
            self._state, self._following = begin.rows(predictor, 1)
            self._waiting = self._elements[len(begin.elements) :]
        self.cached = 0 if begin is None else len(begin.elements)

    @property
    def left(self) -> int:
        """Number of elements to read."""
        return len(self._waiting)

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot after the last element; None before that."""
        if self._waiting or self._following is None:
            return None
        return Snapshot(self._state, self._following.select(_ONE), self._elements)

    def read(self, most: int = CHUNK) -> Snapshot | None:
        """Read some elements; the snapshot after the last one, None before.

        Arguments:
            most: number of elements.
        """
        read_together(self._predictor, [self], most)
        return self.snapshot

    def _next(self, most: int) -> Elements:
        part, self._waiting = self._waiting[:most], self._waiting[most:]
        return self._prompt.stack(part)


def read_together(predictor: Predictor, readers: Sequence[PromptReader], most: int) -> None:
    """Read the next elements of several prompts in one call.

    Arguments:
        predictor: of all of them.
        readers: with the same number of elements left, or more than `most`.
        most: number of elements.
    """
    parts = [reader._next(most) for reader in readers]
    if not parts[0].shape[1]:
        return
    states = [reader._state for reader in readers]
    state = states[0] if len(states) == 1 else predictor.join(states)
    elements_BT: NDArray[np.int64] = np.concatenate(parts)
    following, after = predictor.advance(elements_BT, state)
    if len(readers) == 1:
        readers[0]._following, readers[0]._state = following, after
        return
    for number, reader in enumerate(readers):
        row_1 = np.array([number])
        reader._following = following.select(row_1)
        reader._state = predictor.select(after, row_1)


def extend(
    predictor: Predictor, prompt: Prompt, begin: Snapshot, elements: Sequence[Any]
) -> Snapshot:
    """The snapshot after further elements."""
    reader = PromptReader(predictor, prompt, (*begin.elements, *elements), begin)
    while (snapshot := reader.read()) is None:
        pass
    return snapshot


def log_probs_of(
    predictor: Predictor, prompt: Prompt, elements: NDArray[np.int64]
) -> Iterator[NDArray[np.float64]]:
    """Log-probabilities (V,) of all ids before each element, one after the other.

    Arguments:
        predictor: over ids.
        prompt: gives the beginning.
        elements: ids.
    """
    state, waiting = prompt.start(predictor)
    for element in elements.tolist():
        following, state = predictor.advance(prompt.stack(waiting), state)
        yield log_softmax(following.logits_BV)[0]
        waiting = (element,)

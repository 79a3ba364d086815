"""No long run of the training data is written again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding import Encoder
from rhapsode.generation.filters.contract import Context, Filter, Logits
from rhapsode.generation.filters.dead_end import refuse_dead_ends

if TYPE_CHECKING:
    from rhapsode.counts import SuffixIndex  # loads the compiler


class NoCopy(Filter):
    """Removes every element that would complete a run of N elements found verbatim in the training data.

    Each row follows the longest end of what it has written that occurs there, up to N - 1 elements; when it is that
    long, all that follows it anywhere in the data is removed. The prompt counts in, so that no run goes on from it.
    When nothing else is left, end-of-sequence included, that is an error: a copy is never written, and another limit
    never quietly given up.

    A row costs a few steps through sorted suffixes, and those at the brink one look at what follows.

    Arguments:
        size: N, at least 2.
        index: over the elements of the training data.
        encoder: of the model.
        forced: so many first elements are decided by a prefix, which may copy.
    """

    name = "no_copy"

    def __init__(self, size: int, index: SuffixIndex, encoder: Encoder, *, forced: int = 0) -> None:
        if size < 2:
            raise ValueError("runs of less than two elements cannot be avoided")
        self._size = size
        self._index = index
        self._encoder = encoder
        self._forced = forced

    def init(self, rows: int) -> NDArray[np.int64] | int:
        """How many rows there are; what they have read is known when they are first seen."""
        return rows

    def select(self, state: Any, rows_R: NDArray[np.int64]) -> Any:
        return len(rows_R) if isinstance(state, int) else state[rows_R]

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        state_B3 = self._read(context) if isinstance(state, int) else self._written(state, context)
        logits_BV = logits_BV.copy()
        known: dict[bytes, NDArray[np.unsignedinteger]] = {}
        for row in np.flatnonzero(state_B3[:, 0] >= self._size - 1):
            # Rows of one request often stand at the same place.
            key = state_B3[row].tobytes()
            if key not in known:
                known[key] = self._index.followers(state_B3[row])
            logits_BV[row, known[key]] = -np.inf
        what = f"all others would complete {self._size} elements of the training data"
        refuse_dead_ends(logits_BV, context, self._encoder, what, forced=self._forced)
        return logits_BV, state_B3

    def _read(self, context: Context) -> NDArray[np.int64]:
        """The state behind all that stands before the rows."""
        rows = [
            np.concatenate((prompt_N, output_N))[-(self._size - 1) :]
            for prompt_N, output_N in zip(context.prompt, context.output, strict=True)
        ]
        states: dict[bytes, NDArray[np.int64]] = {}
        for row_N in rows:
            if row_N.tobytes() not in states:
                one_13 = self._index.start(1)
                for element in row_N:
                    one_13 = self._index.extend(one_13, [int(element)], most=self._size - 1)
                states[row_N.tobytes()] = one_13[0]
        return np.stack([states[row_N.tobytes()] for row_N in rows])

    def _written(self, state_B3: NDArray[np.int64], context: Context) -> NDArray[np.int64]:
        last_B = np.array([output_N[-1] for output_N in context.output], dtype=np.int64)
        return self._index.extend(state_B3, last_B, most=self._size - 1)

    def explain(self) -> str:
        return f"no_copy {self._size}"

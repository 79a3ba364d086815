"""What generation and evaluation know of a model, whatever computes it."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rhapsode.data import Batch

__all__ = ["Predictor"]


class Predictor(Protocol):
    """A distribution over the next element, given those before it."""

    @property
    def vocab_size(self) -> int:
        """V."""
        ...

    def start(self, rows: int, condition: NDArray[np.float32] | None = None) -> Any:
        """The state of rows that have read nothing; it has `select(rows)` and `fork()`."""
        ...

    def advance(
        self, elements_BT: NDArray[np.int64], state: Any
    ) -> tuple[NDArray[np.float32], Any]:
        """Read elements; logits (B, V) of what follows the last one, and the state behind it."""
        ...

    def score(self, batch: Batch, state: Any | None = None) -> tuple[NDArray[np.float32], Any]:
        """Log-probability (nats) of every target of a batch, (B, T), and the state behind it.

        Targets of weight 0 may get 0. A model of a `window:N` context reads every batch from the zero state: the
        state is None.
        """
        ...

    def select(self, state: Any, rows_R: NDArray[np.int64]) -> Any:
        """The state of some rows, in that order; a row may occur twice."""
        ...

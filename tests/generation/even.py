"""A predictor that knows nothing, and what such predictors of tests have in common."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rhapsode.bundle import LogitsDistribution, Predictor
from rhapsode.data import Batch


class Ruled(Predictor):
    """Logits come from a rule; states are arrays with a row for each row.

    Arguments:
        vocab_size: V.
    """

    def __init__(self, vocab_size: int) -> None:
        self._vocab_size = vocab_size

    @property
    def vocab_size(self) -> int:
        return self._vocab_size

    def start(self, rows: int, condition: Any = None) -> Any:
        return np.zeros((rows, 1), dtype=np.int64)

    def logits(self, elements_BT: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """Logits (B, V) of what follows, and the state behind the elements."""
        raise NotImplementedError

    def advance(
        self,
        elements: np.ndarray,
        state: Any,
        known_BUX: np.ndarray | None = None,
        *,
        features: bool = False,
    ) -> tuple[LogitsDistribution, Any]:
        logits_BV, state = self.logits(elements, state)
        return LogitsDistribution(logits_BV), state

    def score(self, batch: Batch, state: Any | None = None) -> tuple[np.ndarray, Any]:
        raise NotImplementedError("it is asked for what follows only")

    def select(self, state: Any, rows_R: np.ndarray) -> Any:
        return state[rows_R]

    def join(self, states: Sequence[Any]) -> Any:
        return np.concatenate(states)


class Even(Ruled):
    """Every element equally likely, whatever stands before; rows are told apart by the draw."""

    def logits(self, elements_BT: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        return np.zeros((len(elements_BT), self.vocab_size), dtype=np.float32), state

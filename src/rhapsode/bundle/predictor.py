"""What generation and evaluation know of a model, whatever computes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rhapsode.data import Batch

__all__ = ["Examined", "Narrowing", "NetworkPredictor", "Predictor"]


@dataclass(frozen=True)
class Examined:
    """The distributions that a batch was scored with, in short; all (B, T).

    Arguments:
        log_prob_BT: log-probability of every target, nats.
        top_BT: the likeliest element.
        top_log_prob_BT: its log-probability, nats.
        entropy_BT: of the distribution, nats.
    """

    log_prob_BT: NDArray[np.float32]
    top_BT: NDArray[np.int64]
    top_log_prob_BT: NDArray[np.float32]
    entropy_BT: NDArray[np.float32]


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

    def examine(self, batch: Batch, state: Any | None = None) -> tuple[Examined, Any]:
        """What `score` gives and more of each distribution, at a higher price; and the state behind the batch."""
        ...

    def select(self, state: Any, rows_R: NDArray[np.int64]) -> Any:
        """The state of some rows, in that order; a row may occur twice."""
        ...


class NetworkPredictor(Predictor, Protocol):
    """A predictor that runs a network, and tells more of it."""

    @property
    def window(self) -> int:
        """Elements that count, 0 where all do."""
        ...

    def features(
        self, elements_BT: NDArray[np.int64], state: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], Any]:
        """Read elements; the features (B, up to T, H) of the last ones, then what `advance` gives."""
        ...

    def distributions(
        self, batch: Batch, state: Any | None = None
    ) -> tuple[Iterator[NDArray[np.float32]], Any]:
        """Log-probabilities (nats) of all elements behind every input, and the state behind the batch.

        They come in parts (B, some T, V), from the first position to the last.
        """
        ...


class Narrowing(Protocol):
    """What is left of the elements at every step of R paths of K numbers, each number an element out of V bins."""

    @property
    def middles(self) -> bool:
        """Whether an element is the number in its middle, not one drawn in it."""
        ...

    def keep(self, logits_RKV: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of the next step, -inf for what must not be drawn."""
        ...

    def wrote(self, elements_RK: NDArray[np.int64]) -> None:
        """Takes note of what was drawn."""
        ...

"""The predictor that counts: an n-gram model seen as generation and evaluation see a network. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.distribution import Elements, LogitsDistribution
from rhapsode.bundle.predictor import Examined, Predictor, refuse_condition
from rhapsode.counts.ngram import NGramModel, NGramState
from rhapsode.data import Batch

__all__ = ["NGramPredictor"]


class NGramPredictor(Predictor):
    """A predictor over an n-gram model.

    Arguments:
        model: the model.
    """

    def __init__(self, model: NGramModel) -> None:
        self._model = model

    @property
    def vocab_size(self) -> int:
        return self._model.vocab_size

    def start(self, rows: int, condition: Any = None) -> NGramState:
        refuse_condition(condition)
        return self._model.start(rows)

    def advance(
        self,
        elements: Elements,
        state: NGramState,
        known_BUX: NDArray[np.float32] | None = None,
        *,
        features: bool = False,
    ) -> tuple[LogitsDistribution, NGramState]:
        if elements.shape[1] == 0:
            raise ValueError("advance needs at least one element")
        state = self._model.advance(np.asarray(elements, dtype=np.int64), state)
        log_prob_BV = np.log(self._model.distribution(state)).astype(np.float32)
        return LogitsDistribution(log_prob_BV), state

    def score(
        self, batch: Batch, state: NGramState | None = None
    ) -> tuple[NDArray[np.float32], NGramState]:
        refuse_condition(batch.condition)
        return self._model.score(
            np.asarray(batch.inputs, dtype=np.int64),
            np.asarray(batch.targets, dtype=np.int64),
            self.start(batch.rows) if state is None else state,
            scored_BT=batch.weights_BT > 0,
            reset_BT=batch.reset_BT,
            allowed_BTV=batch.mask(),
        )

    def examine(self, batch: Batch, state: NGramState | None = None) -> tuple[Examined, NGramState]:
        refuse_condition(batch.condition)
        found, state = self._model.examine(
            np.asarray(batch.inputs, dtype=np.int64),
            np.asarray(batch.targets, dtype=np.int64),
            self.start(batch.rows) if state is None else state,
            reset_BT=batch.reset_BT,
            allowed_BTV=batch.mask(),
        )
        return Examined(*found), state

    def join(self, states: Sequence[NGramState]) -> NGramState:
        return NGramState(np.concatenate([state.node_B for state in states]))

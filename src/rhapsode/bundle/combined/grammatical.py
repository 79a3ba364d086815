"""Predictors whose distributions are normalised over what a grammar allows. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.distribution import Distribution, Elements, LogitsDistribution
from rhapsode.bundle.predictor import (
    Examined,
    NetworkPredictor,
    Predictor,
    Stretch,
    StretchRequest,
)

if TYPE_CHECKING:
    from rhapsode.data import Batch
    from rhapsode.encoding.state_machine import Grammar, GrammarTable

__all__ = [
    "Grammatical",
    "GrammaticalNetwork",
    "GrammaticalState",
]


@dataclass(frozen=True)
class GrammaticalState:
    """The state of a predictor and that of its grammar."""

    predictor: Any
    grammar: Any

    def fork(self) -> GrammaticalState:
        """A state of its own."""
        return GrammaticalState(self.predictor.fork(), self.grammar.fork())


class Grammatical(Predictor):
    """A predictor over ids, normalised over what a grammar allows.

    The grammar reads every element from the start of a text, also where the predictor sees a window
    only. Parts of a mixture are normalised one by one before they are mixed:
    `MixedPredictor.restricted` sees to that.

    A batch that holds masks keeps them. Windows that begin within a text need the masks of their
    loader; without them, a window is taken for the beginning of a text.

    Arguments:
        predictor: of a network or of counts; not a mixture.
        grammar: over the same elements.

    Raises:
        ValueError: another number of identifiers, or elements of several numbers.
    """

    def __init__(self, predictor: Predictor, grammar: Grammar) -> None:
        if predictor.vocab_size != grammar.vocab_size or predictor.element_size != 1:
            raise ValueError(
                f"a grammar over {grammar.vocab_size} elements does not fit a predictor of "
                f"{predictor.vocab_size}"
            )
        self._predictor = predictor
        self._grammar = grammar

    @property
    def vocab_size(self) -> int:
        return self._predictor.vocab_size

    @property
    def batch_rows(self) -> int:
        return self._predictor.batch_rows

    def start(self, rows: int, condition: Any = None) -> GrammaticalState:
        return GrammaticalState(self._predictor.start(rows, condition), self._grammar.init(rows))

    def advance(
        self,
        elements: Elements,
        state: GrammaticalState,
        known_BUX: NDArray[np.float32] | None = None,
        *,
        features: bool = False,
    ) -> tuple[Distribution, GrammaticalState]:
        following, behind = self._predictor.advance(
            elements, state.predictor, known_BUX, features=features
        )
        ids_BT = np.asarray(elements, dtype=np.int64)
        place = self._grammar.advance(ids_BT, state.grammar)
        allowed_BV = self._grammar.allowed_BV(place)
        if not allowed_BV.all():
            following = LogitsDistribution(following.logits_BV, following.features_BTH, allowed_BV)
        return following, GrammaticalState(behind, place)

    def masked(self, batch: Batch, state: GrammaticalState | None = None) -> Batch:
        if batch.allowed_BTV is not None:
            return batch
        return self._masked(batch, state)[0]

    def _masked(self, batch: Batch, state: GrammaticalState | None) -> tuple[Batch, Any]:
        """A batch with its mask, and the grammar's state behind it."""
        before = self._grammar.init(batch.rows) if state is None else state.grammar.fork()
        ids_BT = np.asarray(batch.inputs, dtype=np.int64)
        if batch.allowed_BTV is not None:
            return batch, self._grammar.read(ids_BT, before, batch.reset_BT)
        allowed_BTV, behind = self._grammar.masks(ids_BT, before, batch.reset_BT)
        return replace(batch, allowed_BTV=allowed_BTV), behind

    def score(
        self, batch: Batch, state: GrammaticalState | None = None
    ) -> tuple[NDArray[np.float32], GrammaticalState | None]:
        """Log-probabilities of targets (B, T), and the state behind the batch.

        Raises:
            DataError: a target of a weight above 0 is not allowed.
        """
        masked, place = self._masked(batch, state)
        scores_BT, behind = self._predictor.score(masked, _own(state))
        return scores_BT, _joined(behind, place)

    def examine(
        self, batch: Batch, state: GrammaticalState | None = None
    ) -> tuple[Examined, GrammaticalState | None]:
        """As for every predictor; what is not allowed takes no part.

        Raises:
            DataError: a target of a weight above 0 is not allowed.
        """
        masked, place = self._masked(batch, state)
        examined, behind = self._predictor.examine(masked, _own(state))
        return examined, _joined(behind, place)

    def select(self, state: GrammaticalState, rows_R: NDArray[np.int64]) -> GrammaticalState:
        return GrammaticalState(
            self._predictor.select(state.predictor, rows_R), state.grammar.select(rows_R)
        )

    def join(self, states: Sequence[GrammaticalState]) -> GrammaticalState:
        return GrammaticalState(
            self._predictor.join([state.predictor for state in states]),
            self._grammar.join([state.grammar for state in states]),
        )

    @cached_property
    def _table(self) -> GrammarTable | None:
        return self._grammar.compiled()

    def stretches(self, request: StretchRequest) -> Iterator[Stretch] | None:
        """As the predictor's own; None where the grammar has no table."""
        if self._table is None or request.grammar is not None:
            return None
        return self._predictor.stretches(replace(request, grammar=self._table))

    def workers(self, calls: int) -> AbstractContextManager[Executor | None]:
        return self._predictor.workers(calls)


class GrammaticalNetwork(Grammatical, NetworkPredictor):
    """A predictor that runs a network, within a grammar; see `Grammatical`.

    Arguments:
        network: the predictor that runs it.
        grammar: over the same elements.
    """

    def __init__(self, network: NetworkPredictor, grammar: Grammar) -> None:
        super().__init__(network, grammar)
        self._network = network

    @property
    def window(self) -> int:
        return self._network.window

    def distributions(
        self, batch: Batch, state: GrammaticalState | None = None
    ) -> tuple[Iterator[NDArray[np.float32]], GrammaticalState | None]:
        """As for every network; -inf for what is not allowed."""
        masked, place = self._masked(batch, state)
        parts, behind = self._network.distributions(masked, _own(state))
        return parts, _joined(behind, place)


def _own(state: GrammaticalState | None) -> Any:
    """The predictor's part of a state."""
    return None if state is None else state.predictor


def _joined(behind: Any, place: Any) -> GrammaticalState | None:
    """The state behind a batch; None for models of windows."""
    return None if behind is None else GrammaticalState(behind, place)

"""Predictors whose distributions are normalised over what a grammar allows. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.distribution import Distribution, Elements, LogitsDistribution, Singles
from rhapsode.bundle.predictor import Examined, Predictor, States, Stretch, StretchRequest
from rhapsode.bundle.row_table import RowParts, TableRequest, WritingTable

if TYPE_CHECKING:
    from rhapsode.data import Batch
    from rhapsode.encoding.automata import GrammarTable
    from rhapsode.encoding.state_machine import Grammar


class Grammatical(Predictor):
    """A predictor over ids, normalised over what a grammar allows.

    The grammar reads every element from the start of a text, even if the predictor sees only a
    window. Parts of a mixture are normalised one by one before they are mixed:
    `MixedPredictor.restricted` does that.

    A batch that has masks keeps them. Windows that begin within a text need the masks of their
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
        self.vocab_size = predictor.vocab_size
        self.batch_rows = predictor.batch_rows
        self.window = predictor.window

    def start(self, rows: int, condition: Any = None) -> States:
        return States((self._predictor.start(rows, condition), self._grammar.init(rows)))

    def advance(
        self,
        elements: Elements,
        state: States,
        known_BUX: Singles | None = None,
        *,
        features: bool = False,
    ) -> tuple[Distribution, States]:
        before, place = state.parts
        following, after = self._predictor.advance(elements, before, known_BUX, features=features)
        place = self._grammar.advance(np.asarray(elements, dtype=np.int64), place)
        allowed_BV = self._grammar.allowed_BV(place)
        if not allowed_BV.all():
            following = LogitsDistribution(following.logits_BV, following.features_BTH, allowed_BV)
        return following, States((after, place))

    def masked(self, batch: Batch, state: States | None = None) -> Batch:
        return batch if batch.allowed_BTV is not None else self._masked(batch, state)[0]

    def _masked(self, batch: Batch, state: States | None) -> tuple[Batch, Any, Any]:
        """A batch with its mask, and the states for it.

        The predictor's state is that before the batch, the grammar's that after it.
        """
        before, place = (None, self._grammar.init(batch.rows)) if state is None else state.parts
        ids_BT = np.asarray(batch.inputs, dtype=np.int64)
        place = place.fork()
        if batch.allowed_BTV is not None:
            return batch, before, self._grammar.read(ids_BT, place, batch.reset_BT)
        allowed_BTV, place = self._grammar.masks(ids_BT, place, batch.reset_BT)
        return replace(batch, allowed_BTV=allowed_BTV), before, place

    def score(self, batch: Batch, state: States | None = None) -> tuple[Singles, States | None]:
        """Log-probabilities of targets (B, T), and the state after the batch.

        Raises:
            DataError: a target of a weight above 0 is not allowed.
        """
        masked, before, place = self._masked(batch, state)
        scores_BT, after = self._predictor.score(masked, before)
        return scores_BT, States.after(after, place)

    def examine(self, batch: Batch, state: States | None = None) -> tuple[Examined, States | None]:
        """Score a batch and describe each distribution over the allowed elements.

        Raises:
            DataError: a target of a weight above 0 is not allowed.
        """
        masked, before, place = self._masked(batch, state)
        examined, after = self._predictor.examine(masked, before)
        return examined, States.after(after, place)

    def distributions(
        self, batch: Batch, state: States | None = None
    ) -> tuple[Iterator[Singles], States | None]:
        masked, before, place = self._masked(batch, state)
        parts, after = self._predictor.distributions(masked, before)
        return parts, States.after(after, place)

    def distributions_where(
        self, batch: Batch, wanted_BT: NDArray[np.bool_], state: States | None = None
    ) -> tuple[Singles, States | None]:
        masked, before, place = self._masked(batch, state)
        log_prob_PV, after = self._predictor.distributions_where(masked, wanted_BT, before)
        return log_prob_PV, States.after(after, place)

    def join(self, states: Sequence[States]) -> States:
        return States.joined((self._predictor, self._grammar), states)

    @cached_property
    def _table(self) -> GrammarTable | None:
        return self._grammar.compiled()

    def stretches(self, request: StretchRequest) -> Iterator[Stretch] | None:
        """Stretches of the predictor; None if the grammar has no table."""
        if self._table is None or request.grammar is not None:
            return None
        return self._predictor.stretches(replace(request, grammar=self._table))

    def row_parts(self, state: States) -> RowParts:
        before, place = state.parts
        return replace(self._predictor.row_parts(before), place=place.state_BK)

    def table(self, request: TableRequest) -> WritingTable | None:
        """A table of the predictor; None without a finite grammar."""
        if self._table is None or request.grammar is not None:
            return None
        parts = request.parts or self.row_parts
        return self._predictor.table(replace(request, grammar=self._table, parts=parts))

    def workers(self, calls: int) -> AbstractContextManager[Executor | None]:
        return self._predictor.workers(calls)

"""State machines over elements: grammars and contexts. No torch.

Some have a finite form, a table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.automata import (
    ContextsTable,
    Flags,
    GrammarTable,
    Ids,
    Place,
    T,
    Transitions,
    joined,
)


class StateMachine(ABC):
    """A Moore machine over elements: its output depends on its state alone.

    It reads every element of the vocabulary in every state. A state has `select(rows)` and
    `fork()`. `advance` may write into the state that it is given: fork it first to keep it. The
    result of a row never depends on other rows, nor on how its elements are split into calls.
    """

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """V, the number of identifiers."""

    @abstractmethod
    def init(self, rows: int) -> Any:
        """The state of rows that have read nothing."""

    @abstractmethod
    def advance(self, elements_BT: Ids, state: Any) -> Any:
        """State after reading elements.

        Arguments:
            elements_BT: ids from 0 to V - 1; T may be 0.
            state: of B rows; it may be written into.
        """

    @abstractmethod
    def join(self, states: Sequence[Any]) -> Any:
        """The rows of several states, in order."""

    def renew(self, state: Any, reset_B: Flags) -> Any:
        """The state with some rows reset.

        Arguments:
            state: of B rows.
            reset_B: True where a row is reset.
        """
        if not reset_B.any():
            return state
        rows = len(reset_B)
        rows_B = np.where(reset_B, rows, np.arange(rows))
        return self.join([state, self.init(1)]).select(rows_B)

    def fill(
        self,
        outputs_BTX: NDArray[Any],
        output: Callable[[Any], NDArray[Any]],
        ids_BT: Ids,
        state: Any,
        reset_BT: Flags | None,
    ) -> Any:
        """Write the output after each element and return the last state.

        Arguments:
            outputs_BTX: filled with the outputs.
            output: output of a state, (B, X).
            ids_BT: ids from 0 to V - 1.
            state: of B rows; it may be written into.
            reset_BT: True where a row is reset before it reads the element. None: nowhere.
        """
        for t in range(ids_BT.shape[1]):
            if reset_BT is not None:
                state = self.renew(state, reset_BT[:, t])
            state = self.advance(ids_BT[:, t : t + 1], state)
            outputs_BTX[:, t] = output(state)
        return state

    def read(self, ids_BT: Ids, state: Any, reset_BT: Flags | None = None) -> Any:
        """State after reading elements, with resets on the way.

        Arguments:
            ids_BT: ids from 0 to V - 1.
            state: of B rows; it may be written into.
            reset_BT: True where a row is reset before it reads the element. None: nowhere.
        """
        if reset_BT is None or not reset_BT.any():
            return self.advance(ids_BT, state)
        for t in range(ids_BT.shape[1]):
            state = self.advance(ids_BT[:, t : t + 1], self.renew(state, reset_BT[:, t]))
        return state


Table = TypeVar("Table", bound=Transitions)


class TableMachine(StateMachine, Generic[Table]):
    """A state machine given by a table.

    Arguments:
        table: the automaton.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    @property
    def vocab_size(self) -> int:
        return self._table.vocab_size

    def compiled(self) -> Table:
        """The automaton."""
        return self._table

    def init(self, rows: int) -> Place:
        """The first states."""
        return Place(np.tile(np.array(self._table.starts, dtype=np.int32), (rows, 1)))

    def advance(self, elements_BT: Ids, state: Place) -> Place:
        """States after reading elements."""
        return Place(self.path(elements_BT, state)[:, -1].copy())

    def join(self, states: Sequence[Place]) -> Place:
        return Place(np.concatenate([state.state_BK for state in states]))

    def path(self, ids_BT: Ids, state: Place, reset_BT: Flags | None = None) -> NDArray[np.int32]:
        """States before the first element and after each.

        They are (B, T + 1, K).

        Arguments:
            ids_BT: ids from 0 to V - 1.
            state: of B rows.
            reset_BT: True where a row is reset before it reads the element. None: nowhere.
        """
        rows, time = ids_BT.shape
        here_BK = state.state_BK
        state_BTK = np.empty((rows, time + 1, here_BK.shape[1]), dtype=np.int32)
        state_BTK[:, 0] = here_BK
        first_K = np.array(self._table.starts, dtype=np.int32)
        for t in range(time):
            if reset_BT is not None:
                here_BK = np.where(reset_BT[:, t, None], first_K, here_BK)
            state_BTK[:, t + 1] = here_BK = self._table.next_SV[here_BK, ids_BT[:, t, None]]
        return state_BTK

    def look_up(
        self,
        values_SX: NDArray[T],
        join: Callable[[NDArray[T], NDArray[T]], NDArray[T]],
        ids_BT: Ids,
        state: Place,
        reset_BT: Flags | None,
    ) -> tuple[NDArray[T], Place]:
        """Values of the states after each element, and the last states.

        Values are (B, T, X).

        Arguments:
            values_SX: by state.
            join: of the values of two automata.
            ids_BT: ids from 0 to V - 1.
            state: of B rows.
            reset_BT: True where a row is reset before it reads the element. None: nowhere.
        """
        state_BTK = self.path(ids_BT, state, reset_BT)
        values_BTX = joined(values_SX, join, state_BTK[:, 1:])
        return values_BTX, Place(state_BTK[:, -1].copy())


class Grammar(StateMachine):
    """A grammar: the elements that may follow those before them.

    Distributions are normalised over the allowed elements. Prompts may contain elements that are
    not allowed: after these, too, something is allowed.
    """

    @abstractmethod
    def allowed_BV(self, state: Any) -> Flags:
        """Elements that may follow, at least one of each row, (B, V)."""

    def masks(self, ids_BT: Ids, state: Any, reset_BT: Flags | None = None) -> tuple[Flags, Any]:
        """Elements that may follow each element that is read.

        Arguments:
            ids_BT: ids from 0 to V - 1.
            state: of B rows; it may be written into.
            reset_BT: True where a row is reset before it reads the element. None: nowhere.

        Returns:
            Allowed elements (B, T, V), and the state after the elements.
        """
        allowed_BTV = np.empty((*ids_BT.shape, self.vocab_size), dtype=np.bool_)
        return allowed_BTV, self.fill(allowed_BTV, self.allowed_BV, ids_BT, state, reset_BT)

    def compiled(self) -> GrammarTable | None:
        """The grammar as a finite automaton; None without a finite form."""
        return None


class FiniteGrammar(TableMachine[GrammarTable], Grammar):
    """A grammar given by a finite automaton.

    Arguments:
        table: the automaton.
    """

    def allowed_BV(self, state: Place) -> Flags:
        return self._table.allowed_by(state.state_BK)

    def masks(
        self, ids_BT: Ids, state: Place, reset_BT: Flags | None = None
    ) -> tuple[Flags, Place]:
        return self.look_up(self._table.allowed_SV, np.logical_and, ids_BT, state, reset_BT)


class Contexts(StateMachine):
    """Small integers that sum up what was read, such as a depth."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """The number of values of each of the C integers."""

    @abstractmethod
    def values_BC(self, state: Any) -> Ids:
        """Integers of each row, (B, C), each below its size."""

    def along(self, ids_BT: Ids, state: Any, reset_BT: Flags | None = None) -> tuple[Ids, Any]:
        """Integers after each element that is read.

        Arguments:
            ids_BT: ids from 0 to V - 1.
            state: of B rows; it may be written into.
            reset_BT: True where a row is reset before it reads the element. None: nowhere.

        Returns:
            The integers (B, T, C), and the state after the elements.
        """
        values_BTC = np.empty((*ids_BT.shape, len(self.sizes)), dtype=np.int64)
        return values_BTC, self.fill(values_BTC, self.values_BC, ids_BT, state, reset_BT)

    def compiled(self) -> ContextsTable | None:
        """The contexts as a finite automaton; None without a finite form."""
        return None


class FiniteContexts(TableMachine[ContextsTable], Contexts):
    """Contexts given by a finite automaton.

    Arguments:
        table: the automaton.
    """

    @property
    def sizes(self) -> tuple[int, ...]:
        return self._table.sizes

    def values_BC(self, state: Place) -> Ids:
        return joined(self._table.values_SC, np.add, state.state_BK)

    def along(self, ids_BT: Ids, state: Place, reset_BT: Flags | None = None) -> tuple[Ids, Place]:
        return self.look_up(self._table.values_SC, np.add, ids_BT, state, reset_BT)

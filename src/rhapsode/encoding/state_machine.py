"""State machines over elements: grammars and contexts. No torch.

Some have a finite form, a table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]


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


@dataclass(frozen=True)
class Place:
    """The states of rows in a finite machine; never changed in place.

    Arguments:
        state_B: numbers of states, int32.
    """

    state_B: NDArray[np.int32]

    def select(self, rows_R: Ids) -> Place:
        """The states of some rows."""
        return Place(self.state_B[rows_R])

    def fork(self) -> Place:
        """The state itself, which is never changed in place."""
        return self


@dataclass(frozen=True)
class Transitions:
    """A finite automaton; rows begin in state 0.

    Arguments:
        next_SV: the state after each element, by state, int32.

    Raises:
        ValueError: it is not a table, or leads to a state that does not exist.
    """

    next_SV: NDArray[np.int32]

    def __post_init__(self) -> None:
        next_SV = self.next_SV
        if next_SV.ndim != 2 or not next_SV.size:
            raise ValueError(f"transitions have the shape (S, V), not {next_SV.shape}")
        if not 0 <= next_SV.min() <= next_SV.max() < len(next_SV):
            raise ValueError(f"transitions must lead to states from 0 to {len(next_SV) - 1}")
        # As compiled code reads them.
        object.__setattr__(self, "next_SV", np.require(next_SV, np.int32, ["C", "W"]))

    @property
    def vocab_size(self) -> int:
        """V."""
        return int(self.next_SV.shape[1])


Table = TypeVar("Table", bound=Transitions)
T = TypeVar("T", bound=np.generic)


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
        """State 0."""
        return Place(np.zeros(rows, dtype=np.int32))

    def advance(self, elements_BT: Ids, state: Place) -> Place:
        """States after reading elements."""
        return Place(self.path(elements_BT, state)[:, -1].copy())

    def join(self, states: Sequence[Place]) -> Place:
        return Place(np.concatenate([state.state_B for state in states]))

    def path(self, ids_BT: Ids, state: Place, reset_BT: Flags | None = None) -> NDArray[np.int32]:
        """States before the first element and after each, (B, T + 1).

        Arguments:
            ids_BT: ids from 0 to V - 1.
            state: of B rows.
            reset_BT: True where a row is reset before it reads the element. None: nowhere.
        """
        rows, time = ids_BT.shape
        state_BT = np.empty((rows, time + 1), dtype=np.int32)
        state_BT[:, 0] = here_B = state.state_B
        for t in range(time):
            if reset_BT is not None:
                here_B = np.where(reset_BT[:, t], np.int32(0), here_B)
            state_BT[:, t + 1] = here_B = self._table.next_SV[here_B, ids_BT[:, t]]
        return state_BT

    def look_up(
        self, values_SX: NDArray[T], ids_BT: Ids, state: Place, reset_BT: Flags | None
    ) -> tuple[NDArray[T], Place]:
        """Values of the states after each element, and the last states.

        Values are (B, T, X).

        Arguments:
            values_SX: by state.
            ids_BT: ids from 0 to V - 1.
            state: of B rows.
            reset_BT: True where a row is reset before it reads the element. None: nowhere.
        """
        state_BT = self.path(ids_BT, state, reset_BT)
        return values_SX[state_BT[:, 1:]], Place(state_BT[:, -1].copy())


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


@dataclass(frozen=True)
class GrammarTable(Transitions):
    """A finite automaton with allowed elements; rows begin in state 0.

    Arguments:
        next_SV: the state after each element, by state, int32; also after elements that are not
            allowed.
        allowed_SV: elements that may follow, by state; at least one in each.

    Raises:
        ValueError: shapes that differ, a state that does not exist, or one that allows nothing.
    """

    allowed_SV: Flags

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.allowed_SV.shape != self.next_SV.shape:
            raise ValueError(
                f"transitions {self.next_SV.shape} and allowed elements {self.allowed_SV.shape} "
                "have different shapes"
            )
        if not self.allowed_SV.any(axis=1).all():
            raise ValueError("at least one element must be allowed in every state")
        object.__setattr__(self, "allowed_SV", np.require(self.allowed_SV, np.bool_, ["C", "W"]))


class FiniteGrammar(TableMachine[GrammarTable], Grammar):
    """A grammar given by a finite automaton.

    Arguments:
        table: the automaton.
    """

    def allowed_BV(self, state: Place) -> Flags:
        return self._table.allowed_SV[state.state_B]

    def masks(
        self, ids_BT: Ids, state: Place, reset_BT: Flags | None = None
    ) -> tuple[Flags, Place]:
        return self.look_up(self._table.allowed_SV, ids_BT, state, reset_BT)


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


@dataclass(frozen=True)
class ContextsTable(Transitions):
    """A finite automaton with C integers per state; rows begin in 0.

    Arguments:
        next_SV: the state after each element, by state, int32.
        values_SC: the integers of each state, from 0, int64.
        sizes: the number of values of each of the C integers.

    Raises:
        ValueError: shapes that differ, a state that does not exist, or a value out of range.
    """

    values_SC: Ids
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.values_SC.shape != (len(self.next_SV), len(self.sizes)):
            raise ValueError(
                f"values have the shape {(len(self.next_SV), len(self.sizes))}, "
                f"not {self.values_SC.shape}"
            )
        if (self.values_SC < 0).any() or (self.values_SC >= np.array(self.sizes)).any():
            raise ValueError(f"values must lie from 0 up to, not including, {self.sizes}")
        object.__setattr__(self, "values_SC", np.require(self.values_SC, np.int64, ["C", "W"]))


class FiniteContexts(TableMachine[ContextsTable], Contexts):
    """Contexts given by a finite automaton.

    Arguments:
        table: the automaton.
    """

    @property
    def sizes(self) -> tuple[int, ...]:
        return self._table.sizes

    def values_BC(self, state: Place) -> Ids:
        return self._table.values_SC[state.state_B]

    def along(self, ids_BT: Ids, state: Place, reset_BT: Flags | None = None) -> tuple[Ids, Place]:
        return self.look_up(self._table.values_SC, ids_BT, state, reset_BT)

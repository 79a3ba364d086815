"""Contexts: small integers that count experts may use. No torch."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from rhapsode.encoding.state_machine import (
    Flags,
    Ids,
    Place,
    StateMachine,
    TableMachine,
    Transitions,
)


@dataclass(frozen=True)
class ContextsTable(Transitions):
    """A finite automaton with C integers a state; rows begin in 0.

    Arguments:
        next_SV: the state behind each element, by state, int32.
        values_SC: the integers of each state, from 0, int64.
        sizes: the number of values of each of the C integers.

    Raises:
        ValueError: shapes that differ, a state that is none, or a value out of range.
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


class Contexts(StateMachine):
    """Small integers that sum up what was read, such as a depth."""

    @property
    @abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """The number of values of each of the C integers."""

    @abstractmethod
    def values_BC(self, state: Any) -> Ids:
        """The integers of each row, (B, C), each from 0 to below its size."""

    def along(self, ids_BT: Ids, state: Any, reset_BT: Flags | None = None) -> tuple[Ids, Any]:
        """The integers behind each element that is read.

        Arguments:
            ids_BT: ids from 0 to V - 1.
            state: of B rows; it may be written into.
            reset_BT: True where a row begins anew before it reads the element. None: nowhere.

        Returns:
            The integers (B, T, C), and the state behind the elements.
        """
        values_BTC = np.empty((*ids_BT.shape, len(self.sizes)), dtype=np.int64)
        return values_BTC, self.fill(values_BTC, self.values_BC, ids_BT, state, reset_BT)

    def compiled(self) -> ContextsTable | None:
        """The contexts as a finite automaton; None where they are none."""
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
        return self._table.values_SC[state.state_B]

    def along(self, ids_BT: Ids, state: Place, reset_BT: Flags | None = None) -> tuple[Ids, Place]:
        state_BT = self.path(ids_BT, state, reset_BT)
        return self._table.values_SC[state_BT[:, 1:]], Place(state_BT[:, -1].copy())

"""Grammars: the contract, and the finite form. No torch."""

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
class GrammarTable(Transitions):
    """A finite automaton of what may follow; rows begin in state 0.

    Arguments:
        next_SV: the state behind each element, by state, int32; also behind what is not allowed.
        allowed_SV: elements that may follow, by state; at least one in each.

    Raises:
        ValueError: shapes that differ, a state that is none, or one that allows nothing.
    """

    allowed_SV: Flags

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.allowed_SV.shape != self.next_SV.shape:
            raise ValueError(
                f"transitions {self.next_SV.shape} and what is allowed {self.allowed_SV.shape} "
                "have different shapes"
            )
        if not self.allowed_SV.any(axis=1).all():
            raise ValueError("at least one element must be allowed in every state")
        object.__setattr__(self, "allowed_SV", np.require(self.allowed_SV, np.bool_, ["C", "W"]))


class Grammar(StateMachine):
    """Elements that may follow those before them.

    Distributions are normalised over what is allowed. Behind elements that are not allowed
    something is allowed, too: prompts may hold them.
    """

    @abstractmethod
    def allowed_BV(self, state: Any) -> Flags:
        """Elements that may follow, at least one of each row, (B, V)."""

    def masks(self, ids_BT: Ids, state: Any, reset_BT: Flags | None = None) -> tuple[Flags, Any]:
        """Elements that may follow each element that is read.

        Arguments:
            ids_BT: ids from 0 to V - 1.
            state: of B rows; it may be written into.
            reset_BT: True where a row begins anew before it reads the element. None: nowhere.

        Returns:
            What may follow (B, T, V), and the state behind the elements.
        """
        allowed_BTV = np.empty((*ids_BT.shape, self.vocab_size), dtype=np.bool_)
        return allowed_BTV, self.fill(allowed_BTV, self.allowed_BV, ids_BT, state, reset_BT)

    def compiled(self) -> GrammarTable | None:
        """The grammar as a finite automaton; None where it is none."""
        return None


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
        state_BT = self.path(ids_BT, state, reset_BT)
        return self._table.allowed_SV[state_BT[:, 1:]], Place(state_BT[:, -1].copy())

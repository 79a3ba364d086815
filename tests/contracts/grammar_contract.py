"""Laws of every grammar: those of a state machine, and that something may always follow.

A grammar claims the contract with a subclass that makes one::

    class TestBrackets(GrammarContract):
        def make(self): ...
"""

from abc import abstractmethod
from typing import Any

import numpy as np
from hypothesis import given
from numpy.typing import NDArray

from rhapsode.encoding import Grammar, GrammarTable
from tests.contracts.state_machine_contract import ROWS, StateMachineContract, prove, seeds


class GrammarContract(StateMachineContract):
    """The suite of grammars."""

    @abstractmethod
    def make(self) -> Grammar:
        """A grammar."""

    def tell(self, machine: Grammar, state: Any) -> NDArray[np.bool_]:
        return machine.allowed_BV(state)

    def tell_along(
        self,
        machine: Grammar,
        ids_BT: NDArray[np.int64],
        state: Any,
        reset_BT: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.bool_], Any]:
        return machine.masks(ids_BT, state, reset_BT)

    def told_by(self, table: GrammarTable) -> NDArray[np.bool_]:
        return table.allowed_SV

    def join(self, told_BKX: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return told_BKX.all(axis=1)

    @prove
    @given(seed=seeds)
    def test_something_may_always_follow(self, seed: int) -> None:
        grammar = self.make()
        ids_BT = self.ids(grammar, 60, seed=seed)
        allowed_BV = grammar.allowed_BV(grammar.init(ROWS))
        assert allowed_BV.shape == (ROWS, grammar.vocab_size)
        assert allowed_BV.dtype == np.bool_
        assert allowed_BV.any(axis=1).all()
        allowed_BTV, _ = grammar.masks(ids_BT, grammar.init(ROWS))
        assert allowed_BTV.shape == (*ids_BT.shape, grammar.vocab_size)
        assert allowed_BTV.dtype == np.bool_
        assert allowed_BTV.any(axis=-1).all()

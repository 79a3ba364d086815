"""Laws of all contexts: those of a state machine, and that every integer lies below its size.

Contexts claim the contract with a subclass that makes some::

    class TestDepths(ContextsContract):
        def make(self): ...
"""

from abc import abstractmethod
from typing import Any

import numpy as np
from hypothesis import given
from numpy.typing import NDArray

from rhapsode.encoding import Contexts, ContextsTable
from tests.contracts.state_machine_contract import ROWS, StateMachineContract, prove, seeds


class ContextsContract(StateMachineContract):
    """The suite of contexts."""

    @abstractmethod
    def make(self) -> Contexts:
        """Some contexts."""

    def tell(self, machine: Contexts, state: Any) -> NDArray[np.int64]:
        return machine.values_BC(state)

    def tell_along(
        self,
        machine: Contexts,
        ids_BT: NDArray[np.int64],
        state: Any,
        reset_BT: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], Any]:
        return machine.along(ids_BT, state, reset_BT)

    def told_by(self, table: ContextsTable) -> NDArray[np.int64]:
        return table.values_SC

    def join(self, told_BKX: NDArray[np.int64]) -> NDArray[np.int64]:
        return told_BKX.sum(axis=1)

    @prove
    @given(seed=seeds)
    def test_every_integer_lies_below_its_size(self, seed: int) -> None:
        contexts = self.make()
        values_BC = contexts.values_BC(contexts.init(ROWS))
        assert values_BC.shape == (ROWS, len(contexts.sizes))
        values_BTC, _ = contexts.along(self.ids(contexts, 60, seed=seed), contexts.init(ROWS))
        assert values_BTC.dtype == np.int64
        assert (values_BTC >= 0).all()
        assert (values_BTC < np.array(contexts.sizes)).all()
        table = contexts.compiled()
        assert table is None or table.sizes == contexts.sizes

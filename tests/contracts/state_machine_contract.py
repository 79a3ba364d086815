"""Laws of every state machine over elements: pieces, rows, forks, and beginning anew.

A grammar claims `GrammarContract`, contexts claim `ContextsContract`; both have these laws.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rhapsode.encoding.state_machine import StateMachine

ROWS = 4
TIME = 12

prove = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.differing_executors],
)
cut_lists = st.lists(st.booleans(), min_size=TIME - 1, max_size=TIME - 1)
reset_grids = st.lists(
    st.lists(st.booleans(), min_size=TIME, max_size=TIME), min_size=ROWS, max_size=ROWS
)
seeds = st.integers(0, 99)


class StateMachineContract(ABC):
    """Laws of reading; `tell` and `tell_along` give outputs at one place and along a text."""

    @abstractmethod
    def make(self) -> Any:
        """A machine whose outputs depend on what it has read."""

    @abstractmethod
    def tell(self, machine: Any, state: Any) -> NDArray[Any]:
        """What it tells of each row, (B, ...)."""

    @abstractmethod
    def tell_along(
        self,
        machine: Any,
        ids_BT: NDArray[np.int64],
        state: Any,
        reset_BT: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[Any], Any]:
        """What it tells behind each element, (B, T, ...), and the state behind them."""

    def ids(
        self, machine: StateMachine, time: int = TIME, rows: int = ROWS, seed: int = 0
    ) -> NDArray[np.int64]:
        return np.random.default_rng(seed).integers(machine.vocab_size, size=(rows, time))

    def one_by_one(
        self, machine: StateMachine, ids_BT: NDArray[np.int64], state: Any
    ) -> tuple[NDArray[Any], Any]:
        told = []
        for t in range(ids_BT.shape[1]):
            state = machine.advance(ids_BT[:, t : t + 1], state)
            told.append(self.tell(machine, state))
        return np.stack(told, axis=1), state

    def assert_goes_on_alike(
        self, machine: StateMachine, one: Any, other: Any, rows: int = ROWS
    ) -> None:
        more_BT = self.ids(machine, 5, rows, seed=7)
        told = [self.one_by_one(machine, more_BT, state.fork())[0] for state in (one, other)]
        np.testing.assert_array_equal(*told)

    def test_what_it_tells_depends_on_what_was_read(self) -> None:
        machine = self.make()
        state = machine.advance(self.ids(machine, rows=40), machine.init(40))
        assert len(np.unique(self.tell(machine, state).reshape(40, -1), axis=0)) > 1

    @prove
    @given(cuts=cut_lists, seed=seeds)
    @example(cuts=[True] * (TIME - 1), seed=0)
    @example(cuts=[False] * (TIME - 1), seed=0)
    def test_reading_at_once_equals_reading_in_pieces(self, cuts: list[bool], seed: int) -> None:
        machine = self.make()
        ids_BT = self.ids(machine, seed=seed)
        behind = machine.advance(ids_BT, machine.init(ROWS))
        told_BT, along = self.tell_along(machine, ids_BT, machine.init(ROWS))
        wanted_BT, _ = self.one_by_one(machine, ids_BT, machine.init(ROWS))
        np.testing.assert_array_equal(told_BT, wanted_BT)
        state, pieces, told = machine.init(ROWS), machine.init(ROWS), []
        ends = [t + 1 for t, cut in enumerate(cuts) if cut]
        for start, end in zip([0, *ends], [*ends, TIME], strict=True):
            state = machine.advance(ids_BT[:, start:end], state)
            part_BT, pieces = self.tell_along(machine, ids_BT[:, start:end], pieces)
            told.append(part_BT)
        np.testing.assert_array_equal(np.concatenate(told, axis=1), wanted_BT)
        for other in (state, along, pieces, machine.read(ids_BT, machine.init(ROWS))):
            self.assert_goes_on_alike(machine, other, behind)

    def test_reading_nothing_changes_nothing(self) -> None:
        machine = self.make()
        state = machine.advance(self.ids(machine), machine.init(ROWS))
        wanted = self.tell(machine, state)
        state = machine.advance(self.ids(machine, 0), state)
        np.testing.assert_array_equal(self.tell(machine, state), wanted)

    @prove
    @given(seed=seeds)
    def test_rows_never_meet(self, seed: int) -> None:
        machine = self.make()
        ids_BT = self.ids(machine, seed=seed)
        told_BT, behind = self.tell_along(machine, ids_BT, machine.init(ROWS))
        for row in range(ROWS):
            alone_BT = ids_BT[row : row + 1]
            found_BT, state = self.tell_along(machine, alone_BT, machine.init(1))
            np.testing.assert_array_equal(found_BT[0], told_BT[row])
            self.assert_goes_on_alike(machine, state, behind.select(np.array([row])), 1)

    @pytest.mark.parametrize("rows", [[2, 0, 1, 3], [1, 1, 0, 2, 1], [3], []])
    def test_selected_rows_go_on_as_before(self, rows: list[int]) -> None:
        machine, rows_R = self.make(), np.array(rows, dtype=np.int64)
        state = machine.advance(self.ids(machine), machine.init(ROWS))
        chosen = state.select(rows_R)
        more_BT = self.ids(machine, 5, seed=1)
        wanted_BT, _ = self.one_by_one(machine, more_BT, state.fork())
        found_BT, _ = self.one_by_one(machine, more_BT[rows_R], chosen)
        np.testing.assert_array_equal(found_BT, wanted_BT[rows_R])

    def test_joined_rows_go_on_as_before(self) -> None:
        machine = self.make()
        ids_BT = self.ids(machine)
        whole = machine.advance(ids_BT, machine.init(ROWS))
        parts = [
            machine.advance(ids_BT[rows], machine.init(count))
            for rows, count in ((slice(0, 1), 1), (slice(1, ROWS), ROWS - 1))
        ]
        self.assert_goes_on_alike(machine, machine.join(parts), whole)

    def test_forks_never_see_their_twin(self) -> None:
        machine = self.make()
        state = machine.advance(self.ids(machine), machine.init(ROWS))
        twin, third = state.fork(), state.fork()
        more_BT = self.ids(machine, 5, seed=1)
        wanted_BT, _ = self.one_by_one(machine, more_BT, twin)
        machine.advance(self.ids(machine, 6, seed=2), third)
        found_BT, _ = self.one_by_one(machine, more_BT, state)
        np.testing.assert_array_equal(found_BT, wanted_BT)

    @prove
    @given(resets=reset_grids, seed=seeds)
    @example(resets=[[True] * TIME] * ROWS, seed=0)
    @example(resets=[[False] * TIME] * ROWS, seed=0)
    def test_a_reset_row_begins_anew(self, resets: list[list[bool]], seed: int) -> None:
        machine, reset_BT = self.make(), np.array(resets)
        ids_BT = self.ids(machine, seed=seed)
        before = machine.advance(self.ids(machine, 3, seed=5), machine.init(ROWS))
        told_BT, behind = self.tell_along(machine, ids_BT, before.fork(), reset_BT)
        read = machine.read(ids_BT, before.fork(), reset_BT)
        self.assert_goes_on_alike(machine, read, behind)
        for row in range(ROWS):
            state = before.select(np.array([row]))
            for t in range(TIME):
                if reset_BT[row, t]:
                    state = machine.init(1)
                state = machine.advance(ids_BT[row : row + 1, t : t + 1], state)
                np.testing.assert_array_equal(self.tell(machine, state)[0], told_BT[row, t])
            self.assert_goes_on_alike(machine, state, behind.select(np.array([row])), 1)

    def table_steps(self, machine: Any, seed: int) -> None:
        """Compare the table of a machine, state by state, with the machine itself."""
        table = machine.compiled()
        if table is None:
            return
        ids_BT = self.ids(machine, 60, seed=seed)
        state, place_BK = machine.init(ROWS), np.tile(table.starts, (ROWS, 1))
        assert table.vocab_size == machine.vocab_size
        assert table.next_SV.dtype == np.int32
        for t in range(ids_BT.shape[1]):
            told = self.join(self.told_by(table)[place_BK])
            np.testing.assert_array_equal(told, self.tell(machine, state))
            state = machine.advance(ids_BT[:, t : t + 1], state)
            place_BK = table.next_SV[place_BK, ids_BT[:, t, None]]

    @abstractmethod
    def told_by(self, table: Any) -> NDArray[Any]:
        """What a table tells, by state."""

    @abstractmethod
    def join(self, told_BKX: NDArray[Any]) -> NDArray[Any]:
        """What several automata tell together."""

    @prove
    @given(seed=seeds)
    def test_the_table_equals_the_machine_step_by_step(self, seed: int) -> None:
        self.table_steps(self.make(), seed)

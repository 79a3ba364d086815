"""Brackets nested at most three deep: a grammar and contexts that count as they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding import (
    Contexts,
    ContextsTable,
    FiniteGrammar,
    Grammar,
    GrammarTable,
)
from rhapsode.encoding.state_machine import StateMachine

END, UNKNOWN, OPENING, CLOSING = range(4)
DEEPEST = 3


@dataclass
class Depth:
    """Open brackets of each row, written into as they are read."""

    depth_B: NDArray[np.int64]

    def select(self, rows_R: NDArray[np.int64]) -> Depth:
        return Depth(self.depth_B[rows_R])

    def fork(self) -> Depth:
        return Depth(self.depth_B.copy())


class Reader(StateMachine):
    """Counts open brackets; end-of-sequence closes all of them."""

    def __init__(self, vocab_size: int) -> None:
        self._vocab_size = vocab_size

    @property
    def vocab_size(self) -> int:
        return self._vocab_size

    def init(self, rows: int) -> Depth:
        return Depth(np.zeros(rows, dtype=np.int64))

    def advance(self, elements_BT: NDArray[np.int64], state: Depth) -> Depth:
        for ids_B in elements_BT.T:
            state.depth_B += (ids_B == OPENING).astype(np.int64) - (ids_B == CLOSING)
            np.clip(state.depth_B, 0, DEEPEST, out=state.depth_B)
            state.depth_B[ids_B == END] = 0
        return state

    def join(self, states: Sequence[Depth]) -> Depth:
        return Depth(np.concatenate([state.depth_B for state in states]))

    def transitions(self) -> NDArray[np.int32]:
        """The depth behind each element, by depth."""
        every_SV = np.repeat(np.arange(DEEPEST + 1)[:, None], self.vocab_size, axis=1)
        ids_N1 = np.tile(np.arange(self.vocab_size), DEEPEST + 1)[:, None]
        behind = self.advance(ids_N1, Depth(every_SV.reshape(-1)))
        return behind.depth_B.reshape(every_SV.shape).astype(np.int32)


class Brackets(Reader, Grammar):
    """Brackets close what was opened, none opens too deep, and texts end with all closed.

    Arguments:
        vocab_size: V; letters come behind the brackets and may stand anywhere; the unknown element
            may stand nowhere.
        finite: whether it has a table.
    """

    def __init__(self, vocab_size: int, *, finite: bool = True) -> None:
        super().__init__(vocab_size)
        self._finite = finite

    def allowed_BV(self, state: Depth) -> NDArray[np.bool_]:
        allowed_BV = np.ones((len(state.depth_B), self.vocab_size), dtype=np.bool_)
        allowed_BV[:, UNKNOWN] = False
        allowed_BV[:, END] = state.depth_B == 0
        allowed_BV[:, CLOSING] = state.depth_B > 0
        allowed_BV[:, OPENING] = state.depth_B < DEEPEST
        return allowed_BV

    def compiled(self) -> GrammarTable | None:
        if not self._finite:
            return None
        return GrammarTable(self.transitions(), self.allowed_BV(Depth(np.arange(DEEPEST + 1))))


class Depths(Reader, Contexts):
    """How deep a place is, and whether it is an even depth."""

    @property
    def sizes(self) -> tuple[int, ...]:
        return DEEPEST + 1, 2

    def values_BC(self, state: Depth) -> NDArray[np.int64]:
        return np.stack((state.depth_B, state.depth_B % 2), axis=1)

    def compiled(self) -> ContextsTable:
        values_SC = self.values_BC(Depth(np.arange(DEEPEST + 1)))
        return ContextsTable(self.transitions(), values_SC, self.sizes)


def last_element_grammar(vocab_size: int) -> FiniteGrammar:
    """A grammar in which about half the elements may follow an element, whatever came before that.

    Whatever obeys it does so also where a row begins anew.
    """
    random = np.random.default_rng(3)
    allowed_SV = random.random((vocab_size + 1, vocab_size)) < 0.5
    allowed_SV[np.arange(vocab_size + 1), (np.arange(vocab_size + 1) * 7 + 3) % vocab_size] = True
    allowed_SV[0] = True
    next_SV = np.tile(np.arange(1, vocab_size + 1, dtype=np.int32), (vocab_size + 1, 1))
    return FiniteGrammar(GrammarTable(next_SV, allowed_SV))


def everything(vocab_size: int) -> FiniteGrammar:
    """A grammar of two states that allows everything."""
    next_SV = np.tile(np.arange(vocab_size, dtype=np.int32) % 2, (2, 1))
    return FiniteGrammar(GrammarTable(next_SV, np.ones((2, vocab_size), dtype=np.bool_)))


def counting_up(vocab_size: int, first: int = 0) -> FiniteGrammar:
    """A grammar that allows one element at a time: one more than the last.

    Behind the highest it allows `first`.
    """
    states = np.arange(vocab_size + 1)
    follower_S = np.where(states == vocab_size, first, states)
    allowed_SV = np.arange(vocab_size) == follower_S[:, None]
    next_SV = np.tile(np.arange(1, vocab_size + 1, dtype=np.int32), (vocab_size + 1, 1))
    return FiniteGrammar(GrammarTable(next_SV, allowed_SV))


def walk(
    grammar: Grammar, time: int, rows: int, seed: int, first: int | None = None
) -> NDArray[np.int64]:
    """Random elements (B, T) that obey a grammar, each allowed one as likely as the next."""
    random = np.random.default_rng(seed)
    ids_BT = np.empty((rows, time), dtype=np.int64)
    state = grammar.init(rows)
    for t in range(time):
        noise_BV = random.random((rows, grammar.vocab_size))
        ids_BT[:, t] = np.where(grammar.allowed_BV(state), noise_BV, -1).argmax(axis=1)
        if t == 0 and first is not None:
            ids_BT[:, 0] = first
        state = grammar.advance(ids_BT[:, t : t + 1], state)
    return ids_BT

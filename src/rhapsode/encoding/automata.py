"""Finite automata over elements, as tables. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class Place:
    """The states of rows in a finite machine; never changed in place.

    Arguments:
        state_BK: numbers of states, one of each of K automata, int32.
    """

    state_BK: NDArray[np.int32]

    def select(self, rows_R: Ids) -> Place:
        """The states of some rows."""
        return Place(self.state_BK[rows_R])

    def fork(self) -> Place:
        """The state itself, which is never changed in place."""
        return self


@dataclass(frozen=True)
class Transitions:
    """Finite automata that read the same elements side by side.

    One automaton for every combination of their states would be as large as the product of their
    sizes.

    Arguments:
        next_SV: the state after each element, by state, int32. The automata have states of their
            own.
        starts: the first state of each of K automata.

    Raises:
        ValueError: it is not a table, or leads to a state that does not exist.
    """

    next_SV: NDArray[np.int32]
    starts: tuple[int, ...] = field(default=(0,), kw_only=True)

    def __post_init__(self) -> None:
        next_SV = self.next_SV
        if next_SV.ndim != 2 or not next_SV.size:
            raise ValueError(f"transitions have the shape (S, V), not {next_SV.shape}")
        states = np.append(next_SV.ravel(), self.starts)
        if not self.starts or not 0 <= states.min() <= states.max() < len(next_SV):
            raise ValueError(f"transitions must lead to states from 0 to {len(next_SV) - 1}")
        # As compiled code reads them.
        object.__setattr__(self, "next_SV", np.require(next_SV, np.int32, ["C", "W"]))

    @property
    def vocab_size(self) -> int:
        """V."""
        return int(self.next_SV.shape[1])


def joined(
    values_SX: NDArray[T],
    join: Callable[[NDArray[T], NDArray[T]], NDArray[T]],
    state_XK: NDArray[np.int32],
) -> NDArray[T]:
    """Values of states of K automata, joined.

    Arguments:
        values_SX: by state.
        join: of the values of two automata.
        state_XK: states, in an array of any shape.
    """
    values_X: NDArray[T] = values_SX[state_XK[..., 0]]
    for k in range(1, state_XK.shape[-1]):
        values_X = join(values_X, values_SX[state_XK[..., k]])
    return values_X


@dataclass(frozen=True)
class GrammarTable(Transitions):
    """Finite automata with allowed elements; all of them must allow what follows.

    Arguments:
        next_SV: the state after each element, by state, int32; also after elements that are not
            allowed.
        allowed_SV: elements that may follow, by state; at least one in each. Of several automata,
            states that occur together allow an element together.
        starts: the first state of each automaton.

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

    @classmethod
    def of_several(cls, automata: Sequence[tuple[Ids, Flags]]) -> GrammarTable:
        """Automata side by side.

        Arguments:
            automata: transitions and allowed elements of each, whose states begin with 0.
        """
        sizes = [len(next_SV) for next_SV, _ in automata]
        starts = tuple(np.cumsum([0, *sizes[:-1]]).tolist())
        parts = [next_SV + start for (next_SV, _), start in zip(automata, starts, strict=True)]
        allowed_SV = np.concatenate([allowed_SV for _, allowed_SV in automata])
        return cls(np.concatenate(parts).astype(np.int32), allowed_SV, starts=starts)

    def allowed_by(self, state_BK: NDArray[np.int32]) -> Flags:
        """Elements that all automata allow, (B, V)."""
        return joined(self.allowed_SV, np.logical_and, state_BK)

    def can_spare(self, banned_N: Ids) -> bool:
        """True if something is always left without some elements.

        Of several automata, the answer may be False where it need not be.

        Arguments:
            banned_N: the elements.
        """
        left_SV = self.allowed_SV.copy()
        left_SV[:, banned_N] = False
        if len(self.starts) == 1:
            return bool(left_SV.any(axis=1).all())
        # Another element stands wherever a banned one does.
        return all(
            (left_SV | ~self.allowed_SV[:, banned, None]).all(axis=0).any() for banned in banned_N
        )


@dataclass(frozen=True)
class ContextsTable(Transitions):
    """Finite automata with C integers per state, which add up.

    Arguments:
        next_SV: the state after each element, by state, int32.
        values_SC: the integers of each state, from 0, int64.
        sizes: the number of values of each of the C integers.
        starts: the first state of each automaton.

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

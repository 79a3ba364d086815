"""The contract of tables that write continuations of many requests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rhapsode.bundle.predictor import CompiledSteps, Stretch
    from rhapsode.counts.mixing.experts import Experts
    from rhapsode.encoding.automata import GrammarTable


@dataclass(frozen=True)
class Entrant:
    """A continuation that joins a table.

    Arguments:
        key: names it in the stretches.
        state: of one row after its prompt, of the predictor that made the table.
        logits_V: of the next element by the network alone, float32.
        prompt_N: ids before the continuation.
        written_N: ids of the continuation that were written before, and read.
        chain: filters before the draw.
        seed: of the draw.
        sequence: index of the continuation.
        length: number of elements, those written before among them.
    """

    key: int
    state: Any
    logits_V: NDArray[np.float32]
    prompt_N: NDArray[np.int64]
    written_N: NDArray[np.int64]
    chain: CompiledSteps
    seed: int
    sequence: int
    length: int


@dataclass(frozen=True)
class RowParts:
    """Parts of the state of one row that a table needs.

    Arguments:
        networks: state of each network.
        counted: of the counts; None without them.
        place: in the automata of the grammar, int32 (1, K); None without one.
    """

    networks: tuple[Any, ...]
    counted: Any = None
    place: Any = None


@dataclass(frozen=True)
class TableRequest:
    """Parts of a model that a table writes with.

    Arguments:
        parts: splits a state of the predictor.
        experts: counts that are mixed into every distribution; None: none.
        grammar: restricts the elements; None: no restriction.
    """

    parts: Callable[[Any], RowParts] | None = None
    experts: Experts | None = None
    grammar: GrammarTable | None = None


class WritingTable(ABC):
    """Continuations that are written together; they join and leave between calls.

    The elements of each are those that it would have alone.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of continuations."""

    @abstractmethod
    def admits(self, chain: CompiledSteps) -> bool:
        """True if continuations with these filters can join."""

    @abstractmethod
    def join(self, entrants: Sequence[Entrant]) -> list[Stretch]:
        """Add continuations, and return the first element of each."""

    @abstractmethod
    def leave(self, keys: set[int]) -> None:
        """Remove continuations that have not ended."""

    @abstractmethod
    def write(self, seconds: float, *, alone: bool = False) -> list[Stretch]:
        """Write all of them for some seconds; those that end leave.

        Arguments:
            seconds: the time.
            alone: True if nothing else writes on this machine, so that other cores may help.
        """

"""Filters: each takes logits and gives logits with some candidates weighted anew or removed (-inf)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import Registry
from rhapsode.errors import SettingsError

__all__ = ["FILTERS", "Context", "Filter", "Suppress", "Temperature", "TopK", "TopP"]

GREEDY_BELOW = 1e-5

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Context:
    """What a filter may look at, and must not change.

    Arguments:
        prompt: ids of the prompt, per row.
        output: ids generated so far, per row.
        position_B: number of the element about to be chosen, from 0.
        sequence_B: index of the continuation that each row is.
        seed: seed of the draw.
    """

    prompt: tuple[NDArray[np.int64], ...]
    output: tuple[NDArray[np.int64], ...]
    position_B: NDArray[np.int64]
    sequence_B: NDArray[np.int64]
    seed: int


class Filter(ABC):
    """Logits (B, V) to logits (B, V), never in place; at least one candidate a row stays finite.

    A filter that remembers overrides `init`, and for its state `select` and `fork`; the others have none.
    """

    name: ClassVar[str]

    @abstractmethod
    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        """The logits after this step, and the filter's state."""

    def init(self, rows: int) -> Any:
        """The state of rows that have generated nothing."""
        return None

    def select(self, state: Any, rows_R: NDArray[np.int64]) -> Any:
        """The state of some rows."""
        return state

    def fork(self, state: Any) -> Any:
        """A state of its own."""
        return state

    def explain(self) -> str:
        """The step in a few words."""
        return self.name


FILTERS: Registry[type[Filter]] = Registry("filter")


@FILTERS.register("suppress.v1")
class Suppress(Filter):
    """Elements that are never generated.

    Arguments:
        elements: their ids.

    Raises:
        SettingsError: nothing would be left.
    """

    name = "suppress"

    def __init__(self, elements: tuple[int, ...], vocab_size: int) -> None:
        if len(set(elements)) >= vocab_size:
            raise SettingsError("every element is suppressed")
        if any(not 0 <= element < vocab_size for element in elements):
            raise SettingsError(f"suppressed elements must lie from 0 to {vocab_size - 1}")
        self._elements = np.array(sorted(set(elements)), dtype=np.int64)

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        """-inf at the suppressed elements."""
        logits_BV = logits_BV.copy()
        logits_BV[:, self._elements] = -np.inf
        return logits_BV, state

    def explain(self) -> str:
        """The step in a few words."""
        return f"suppress {self._elements.tolist()}"


@FILTERS.register("temperature.v1")
class Temperature(Filter):
    """z / T; under 1e-5 only the likeliest element stays, the lowest id on ties.

    Arguments:
        temperature: T, 0 or more.

    Raises:
        SettingsError: a negative temperature, or none.
    """

    name = "temperature"

    def __init__(self, temperature: float) -> None:
        if not (0.0 <= temperature < float("inf")):
            raise SettingsError(f"temperature {temperature} is not a number from 0 up")
        self._temperature = temperature

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        """Logits divided by the temperature."""
        if self._temperature < GREEDY_BELOW:
            chosen_B = logits_BV.argmax(axis=1)
            greedy_BV = np.full_like(logits_BV, -np.inf)
            greedy_BV[np.arange(len(logits_BV)), chosen_B] = 0.0
            return greedy_BV, state
        # From the maximum, so that no logit overflows: the distribution is the same.
        shifted_BV = logits_BV - logits_BV.max(axis=1, keepdims=True)
        return (shifted_BV / np.float64(self._temperature)).astype(np.float32), state

    def explain(self) -> str:
        """The step in a few words."""
        return f"temperature {self._temperature:g}"


@FILTERS.register("top_k.v1")
class TopK(Filter):
    """The k largest logits, ties broken by the lowest id; 0 is off, as is k >= V.

    Arguments:
        k: candidates to keep.

    Raises:
        SettingsError: a negative k.
    """

    name = "top_k"

    def __init__(self, k: int) -> None:
        if k < 0:
            raise SettingsError(f"top_k {k} is negative")
        self._k = k

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        """-inf outside the k largest."""
        if self._k == 0 or self._k >= logits_BV.shape[1]:
            return logits_BV, state
        order_BV = np.argsort(-logits_BV, axis=1, kind="stable")
        kept_BV = np.full_like(logits_BV, -np.inf)
        kept_Bk = order_BV[:, : self._k]
        np.put_along_axis(kept_BV, kept_Bk, np.take_along_axis(logits_BV, kept_Bk, axis=1), axis=1)
        return kept_BV, state

    def explain(self) -> str:
        """The step in a few words."""
        return f"top_k {self._k}" if self._k else "top_k off"


@FILTERS.register("top_p.v1")
class TopP(Filter):
    """The smallest set of likeliest elements with mass >= p, at least one; p = 1 is off (Holtzman et al. 2020).

    Arguments:
        p: mass to keep, 0 to 1.

    Raises:
        SettingsError: p outside 0 to 1.
    """

    name = "top_p"

    def __init__(self, p: float) -> None:
        if not 0.0 <= p <= 1.0:
            raise SettingsError(f"top_p {p} is not between 0 and 1")
        self._p = p

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        """-inf outside the set."""
        if self._p >= 1.0:
            return logits_BV, state
        order_BV = np.argsort(-logits_BV, axis=1, kind="stable")
        sorted_BV = np.take_along_axis(logits_BV, order_BV, axis=1).astype(np.float64)
        mass_BV = np.exp(sorted_BV - sorted_BV[:, :1])
        total_BV = np.cumsum(mass_BV, axis=1)
        # An element stays while the mass before it is short of p: the one that crosses p stays too.
        before_BV = total_BV - mass_BV
        keep_BV = (before_BV < self._p * total_BV[:, -1:]) & np.isfinite(sorted_BV)
        keep_BV[:, 0] = True
        kept_BV = np.full_like(logits_BV, -np.inf)
        np.put_along_axis(
            kept_BV, order_BV, np.where(keep_BV, sorted_BV, -np.inf).astype(np.float32), axis=1
        )
        return kept_BV, state

    def explain(self) -> str:
        """The step in a few words."""
        return f"top_p {self._p:g}" if self._p < 1.0 else "top_p off"

"""Penalties: elements that have occurred are weighted anew. Nothing is removed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import log_softmax
from rhapsode.errors import SettingsError
from rhapsode.generation.filters.contract import FILTERS, Context, Filter, Logits


@dataclass
class Counted:
    """How often each element has occurred, per row.

    Arguments:
        count_BV: occurrences; None before the first logits tell V.
        read: outputs counted so far, per row; -1 before the prompt.
    """

    count_BV: NDArray[np.int32] | None
    read: list[int]


class _Counting(Filter):
    """Shared by the penalties: occurrences in the output, or in prompt and output, carried from step to step."""

    _with_prompt: bool

    def init(self, rows: int) -> Counted:
        return Counted(None, [-1] * rows)

    def select(self, state: Counted, rows_R: NDArray[np.int64]) -> Counted:
        picked = None if state.count_BV is None else state.count_BV[rows_R]
        return Counted(picked, [state.read[row] for row in rows_R])

    def fork(self, state: Counted) -> Counted:
        copied = None if state.count_BV is None else state.count_BV.copy()
        return Counted(copied, list(state.read))

    def _counts(
        self, state: Counted, context: Context, shape: tuple[int, ...]
    ) -> NDArray[np.int32]:
        """The counts up to now; only what is new is looked at."""
        if state.count_BV is None:
            state.count_BV = np.zeros(shape, dtype=np.int32)
        for row, output in enumerate(context.output):
            read = state.read[row]
            if read > len(output):  # something was taken back
                read = -1
            if read < 0:
                read = 0
                state.count_BV[row] = 0
                if self._with_prompt:
                    np.add.at(state.count_BV[row], context.prompt[row], 1)
            if len(output) == read + 1:  # by far the most frequent case
                state.count_BV[row, output[read]] += 1
            else:
                np.add.at(state.count_BV[row], output[read:], 1)
            state.read[row] = len(output)
        return state.count_BV


@FILTERS.register("repetition.v1")
class Repetition(_Counting):
    """log p * r for what occurs in prompt or output, once for each element; r = 1 is off (Keskar et al. 2019).

    The published form divides positive logits and multiplies negative ones, so that it depends on an arbitrary shift
    of all logits. Here it is applied to log-probabilities, which no shift changes, and which are never positive.

    Arguments:
        penalty: r; above 1 against repetition, below 1 in favour of it.

    Raises:
        SettingsError: r is not positive.
    """

    name = "repetition"
    _with_prompt = True

    def __init__(self, penalty: float) -> None:
        if not 0.0 < penalty < float("inf"):
            raise SettingsError(f"repetition_penalty {penalty} is not a positive number")
        self._penalty = penalty

    def apply(self, logits_BV: Logits, context: Context, state: Counted) -> tuple[Logits, Counted]:
        """Log-probabilities, those of what has occurred multiplied."""
        if self._penalty == 1.0:
            return logits_BV, state
        count_BV = self._counts(state, context, logits_BV.shape)
        log_BV = log_softmax(logits_BV)
        np.multiply(log_BV, self._penalty, out=log_BV, where=count_BV > 0)
        return log_BV.astype(np.float32), state

    def compiled(self) -> tuple[str, float] | None:
        return None if self._penalty == 1.0 else ("repetition", self._penalty)

    def explain(self) -> str:
        return f"repetition {self._penalty:g}" if self._penalty != 1.0 else "repetition off"


@FILTERS.register("frequency.v1")
class Frequency(_Counting):
    """z - f c, where c counts the element in the output; the prompt does not count. 0 is off (OpenAI API).

    Arguments:
        penalty: f, from -2 to 2.

    Raises:
        SettingsError: f outside its range.
    """

    name = "frequency"
    _with_prompt = False

    def __init__(self, penalty: float) -> None:
        if not -2.0 <= penalty <= 2.0:
            raise SettingsError(f"frequency_penalty {penalty} is not between -2 and 2")
        self._penalty = penalty

    def apply(self, logits_BV: Logits, context: Context, state: Counted) -> tuple[Logits, Counted]:
        """Logits lowered in proportion to the count."""
        if self._penalty == 0.0:
            return logits_BV, state
        count_BV = self._counts(state, context, logits_BV.shape)
        after_BV = logits_BV.copy()
        written = count_BV.nonzero()
        after_BV[written] -= np.float64(self._penalty) * count_BV[written]
        return after_BV, state

    def compiled(self) -> tuple[str, float]:
        return "frequency", self._penalty

    def explain(self) -> str:
        return f"frequency {self._penalty:g}" if self._penalty else "frequency off"


@FILTERS.register("presence.v1")
class Presence(_Counting):
    """z - p for what occurs in the output, however often; the prompt does not count. 0 is off (OpenAI API).

    Arguments:
        penalty: p, from -2 to 2.

    Raises:
        SettingsError: p outside its range.
    """

    name = "presence"
    _with_prompt = False

    def __init__(self, penalty: float) -> None:
        if not -2.0 <= penalty <= 2.0:
            raise SettingsError(f"presence_penalty {penalty} is not between -2 and 2")
        self._penalty = penalty

    def apply(self, logits_BV: Logits, context: Context, state: Counted) -> tuple[Logits, Counted]:
        """Logits lowered once."""
        if self._penalty == 0.0:
            return logits_BV, state
        count_BV = self._counts(state, context, logits_BV.shape)
        after_BV = logits_BV.copy()
        after_BV[count_BV.nonzero()] -= np.float32(self._penalty)
        return after_BV, state

    def compiled(self) -> tuple[str, float]:
        return "presence", self._penalty

    def explain(self) -> str:
        return f"presence {self._penalty:g}" if self._penalty else "presence off"

"""Penalties: elements that have occurred are weighted anew. Nothing is removed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import log_softmax
from rhapsode.generation.filters.contract import (
    FILTERS,
    POSITIVE,
    Context,
    Limits,
    Logits,
    NumberFilter,
)

_WITHIN_TWO = Limits(lambda value: -2.0 <= value <= 2.0, "is not between -2 and 2")


@dataclass
class Counted:
    """How often each element has occurred, per row.

    Arguments:
        count_BV: occurrences; None before the first logits tell V.
        read: outputs counted so far, per row; -1 before the prompt.
    """

    count_BV: NDArray[np.int32] | None
    read: list[int]


class _Counting(NumberFilter):
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
    setting = "repetition_penalty"
    limits = POSITIVE
    off = 1.0
    has_kernel = True
    _with_prompt = True

    def _change(self, logits_BV: Logits, context: Context, state: Counted) -> Logits:
        count_BV = self._counts(state, context, logits_BV.shape)
        log_BV = log_softmax(logits_BV)
        np.multiply(log_BV, self._value, out=log_BV, where=count_BV > 0)
        return log_BV.astype(np.float32)


@FILTERS.register("frequency.v1")
class Frequency(_Counting):
    """z - f c, where c counts the element in the output; the prompt does not count. 0 is off (OpenAI API).

    Arguments:
        penalty: f, from -2 to 2.

    Raises:
        SettingsError: f outside its range.
    """

    name = "frequency"
    setting = "frequency_penalty"
    limits = _WITHIN_TWO
    has_kernel = True
    _with_prompt = False

    def _change(self, logits_BV: Logits, context: Context, state: Counted) -> Logits:
        count_BV = self._counts(state, context, logits_BV.shape)
        after_BV = logits_BV.copy()
        written = count_BV.nonzero()
        after_BV[written] -= np.float64(self._value) * count_BV[written]
        return after_BV


@FILTERS.register("presence.v1")
class Presence(_Counting):
    """z - p for what occurs in the output, however often; the prompt does not count. 0 is off (OpenAI API).

    Arguments:
        penalty: p, from -2 to 2.

    Raises:
        SettingsError: p outside its range.
    """

    name = "presence"
    setting = "presence_penalty"
    limits = _WITHIN_TWO
    has_kernel = True
    _with_prompt = False

    def _change(self, logits_BV: Logits, context: Context, state: Counted) -> Logits:
        count_BV = self._counts(state, context, logits_BV.shape)
        after_BV = logits_BV.copy()
        after_BV[count_BV.nonzero()] -= np.float32(self._value)
        return after_BV

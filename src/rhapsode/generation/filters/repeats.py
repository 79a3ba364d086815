"""Bans and penalties on elements that have occurred and on repeated runs.

The steps on runs need the earlier places that the end of a text repeats, and for how many elements.
With every new element the answer follows from the previous one: a step costs one pass of NumPy over
the places, and no search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import log_softmax
from rhapsode.errors import SettingsError
from rhapsode.generation.filters.contract import (
    FILTERS,
    FROM_ZERO,
    POSITIVE,
    WHOLE,
    Context,
    Filter,
    Limits,
    Logits,
    NumberFilter,
)

# No penalty is larger: logits stay finite, and whatever is lower than others by this much is never
# drawn.
LARGEST_PENALTY = 1e9


class Echo:
    """Lengths of the runs that repeat the end of a text.

    For every place they give the length of the run that ends there.

    Arguments:
        elements_N: the text so far.
        breakers: elements that no run may contain.
    """

    def __init__(self, elements_N: NDArray[np.int64], breakers: Set[int] = frozenset()) -> None:
        self._breakers, self._size = breakers, len(elements_N)
        room = max(256, 2 * self._size)
        self._elements = np.zeros(room, dtype=np.int64)
        self._elements[: self._size] = elements_N
        self._length = np.zeros(room, dtype=np.int64)
        self._length[: max(self._size - 1, 0)] = self._from_nothing()

    def __len__(self) -> int:
        return self._size

    def copy(self) -> Echo:
        """One that goes its own way."""
        twin = copy(self)
        twin._elements, twin._length = self._elements.copy(), self._length.copy()
        return twin

    def extend(self, element: int) -> None:
        """The text with one more element."""
        if self._size == len(self._elements):
            self._elements = np.concatenate((self._elements, np.zeros_like(self._elements)))
            self._length = np.concatenate((self._length, np.zeros_like(self._length)))
        size = self._size
        same_R = self._elements[:size] == element if element not in self._breakers else []
        place_R = np.flatnonzero(same_R)
        before_R = np.where(place_R > 0, self._length[place_R - 1], 0)
        self._length[:size] = 0
        self._length[place_R] = before_R + 1
        self._elements[size] = element
        self._size += 1

    def followers(self, least: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Elements after earlier runs that repeat the end, and the lengths.

        Runs have at least this length.
        """
        place_R = np.flatnonzero(self._length[: max(self._size - 1, 0)] >= least)
        return self._elements[place_R + 1], self._length[place_R]

    def _from_nothing(self) -> NDArray[np.int64]:
        """The lengths for a whole text at once.

        They are the Z function of the text read backwards (Gusfield 1997).
        """
        size = self._size
        # A breaker is like nothing else, not even itself.
        backwards = [
            -1 - place if element in self._breakers else element
            for place, element in enumerate(self._elements[:size][::-1].tolist())
        ]
        lengths = [0] * size
        left = right = 0
        for place in range(1, size):
            length = min(right - place, lengths[place - left]) if place < right else 0
            while place + length < size and backwards[length] == backwards[place + length]:
                length += 1
            lengths[place] = length
            if place + length > right:
                left, right = place, place + length
        return np.array(lengths[:0:-1], dtype=np.int64)


Echoes = list[Echo | None]


class _Echoing(Filter):
    """Base of the steps on repeated runs.

    The state holds an echo of each row's prompt and output.
    """

    def init(self, rows: int) -> Echoes:
        return [None] * rows

    def select(self, state: Echoes, rows_R: NDArray[np.int64]) -> Echoes:
        return self.fork([state[row] for row in rows_R])

    def fork(self, state: Echoes) -> Echoes:
        return [None if echo is None else echo.copy() for echo in state]

    def _echoes(
        self, state: Echoes, context: Context, breakers: Set[int] = frozenset()
    ) -> list[Echo]:
        """The echoes up to now; only what is new is looked at."""
        fresh: dict[int, Echo] = {}
        echoes: list[Echo] = []
        for row, (prompt, output) in enumerate(zip(context.prompt, context.output, strict=True)):
            echo = state[row]
            if echo is not None and len(echo) <= len(prompt) + len(output):
                for element in output[len(echo) - len(prompt) :]:
                    echo.extend(int(element))
            elif len(output):  # new, or something was taken back
                echo = Echo(np.concatenate((prompt, output)), breakers)
            elif id(prompt) in fresh:
                echo = fresh[id(prompt)].copy()
            else:
                echo = fresh[id(prompt)] = Echo(prompt, breakers)
            state[row] = echo
            echoes.append(echo)
        return echoes


@FILTERS.register("no_repeat_ngram.v1")
class NoRepeatNgram(NumberFilter, _Echoing):
    """Ban repeated runs of n elements (Paulus et al. 2017).

    Prompt and output count. 0 is off. Where no candidate would be left, the row stays as it is.

    Arguments:
        size: n.

    Raises:
        SettingsError: n is negative.
    """

    name = setting = "no_repeat_ngram"
    limits = WHOLE

    def _change(self, logits_BV: Logits, context: Context, state: Any) -> Logits:
        after_BV = logits_BV.copy()
        for row, echo in enumerate(self._echoes(state, context)):
            banned_R, _ = echo.followers(int(self._value) - 1)
            if self._value == 1:
                banned_R = np.concatenate(
                    (context.prompt[row][:1], context.output[row][:1], banned_R)
                )
            after_BV[row, banned_R] = -np.inf
            if not np.isfinite(after_BV[row]).any():
                after_BV[row] = logits_BV[row]
        return after_BV


@FILTERS.register("dry.v1")
class Dry(_Echoing):
    """Penalty on elements that lengthen a repeated run (DRY, Weidmann 2024).

    z - m base^(L - allowed) where L >= allowed. L is the length of the longest run before an
    earlier occurrence of the element, in prompt and output, that repeats the end of the text. Runs
    do not reach over sequence breakers, and breakers are never penalised. The penalty grows
    exponentially and is clamped at 1e9.

    Arguments:
        multiplier: m; 0 is off.
        base: of the growth, 1 or more.
        allowed: length that may be repeated, 1 or more.
        breakers: ids of elements that end a run, as line ends and punctuation.

    Raises:
        SettingsError: a value out of range.
    """

    name = "dry"

    def __init__(
        self, multiplier: float, base: float = 1.75, allowed: int = 2, breakers: Sequence[int] = ()
    ) -> None:
        FROM_ZERO.check("dry_multiplier", multiplier)
        if not 1.0 <= base < float("inf"):
            raise SettingsError(f"dry_base {base} is not a number from 1 up")
        if allowed < 1:
            raise SettingsError(f"dry_allowed_length {allowed} is not 1 or more")
        self._multiplier, self._base, self._allowed = multiplier, base, allowed
        self._breakers = frozenset(breakers)

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        if self._multiplier == 0.0:
            return logits_BV, state
        after_BV = logits_BV.copy()
        for row, echo in enumerate(self._echoes(state, context, self._breakers)):
            element_R, length_R = echo.followers(self._allowed)
            if not len(element_R):
                continue
            longest_V = np.zeros(logits_BV.shape[1], dtype=np.int64)
            np.maximum.at(longest_V, element_R, length_R)
            longest_V[list(self._breakers)] = 0
            hit_R = np.flatnonzero(longest_V)
            # In logarithms, so that no power overflows.
            log_R = math.log(self._multiplier) + math.log(self._base) * (
                longest_V[hit_R] - self._allowed
            )
            penalty_R = np.exp(np.minimum(log_R, math.log(LARGEST_PENALTY)))
            after_BV[row, hit_R] = (logits_BV[row, hit_R] - penalty_R).astype(np.float32)
        return after_BV, state

    def explain(self) -> str:
        text = f"dry {self._multiplier:g} x {self._base:g}^(length - {self._allowed})"
        return f"{text}, broken by {sorted(self._breakers)}" if self._breakers else text


_WITHIN_TWO = Limits(lambda value: -2.0 <= value <= 2.0, "is not between -2 and 2")


class _Counting(NumberFilter):
    """Base of the penalties on elements that have occurred.

    Arguments:
        value: the number.
        span: number of last elements, of prompt and output, in which occurrences count; 0 for all.
        spared: elements that are never penalised, as line ends.

    Raises:
        SettingsError: a number out of range.
    """

    _with_prompt: bool

    def __init__(self, value: float, span: int = 0, spared: Sequence[int] = ()) -> None:
        super().__init__(value)
        WHOLE.check("penalty_range", span)
        self._span, self._spared = span, tuple(sorted(set(spared)))

    def _counts(self, context: Context, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Occurrences of each element within the span, per row."""
        count_BV = np.zeros(shape, dtype=np.int64)
        for row, (prompt, output) in enumerate(zip(context.prompt, context.output, strict=True)):
            span = self._span or len(prompt) + len(output)
            count_BV[row] = np.bincount(output[max(0, len(output) - span) :], minlength=shape[1])
            if self._with_prompt and span > len(output):
                seen = prompt[max(0, len(prompt) + len(output) - span) :]
                count_BV[row] += np.bincount(seen, minlength=shape[1])
        count_BV[:, self._spared] = 0
        return count_BV

    def compiled(self) -> tuple[str, Any] | None:
        step = super().compiled()
        return None if step is None else (step[0], (step[1], self._span, self._spared))

    def explain(self) -> str:
        last = f" in the last {self._span}" if self._span else ""
        without = f" without {list(self._spared)}" if self._spared else ""
        return f"{super().explain()}{last}{without}"


@FILTERS.register("repetition.v1")
class Repetition(_Counting):
    """Penalty on elements that have occurred, on log-probabilities (Keskar et al. 2019).

    log p * r for each element of prompt and output, however often it occurs; r = 1 is off.

    The published form divides positive logits and multiplies negative ones, so that it depends on
    an arbitrary shift of all logits. Log-probabilities do not change with such a shift and are
    never positive.

    Arguments:
        value: r; above 1 against repetition, below 1 in favour of it.
        span: see `_Counting`.
        spared: see `_Counting`.

    Raises:
        SettingsError: r is not positive.
    """

    name = compiled_name = "repetition"
    setting = "repetition_penalty"
    limits = POSITIVE
    off = 1.0
    _with_prompt = True

    def _change(self, logits_BV: Logits, context: Context, state: Any) -> Logits:
        count_BV = self._counts(context, logits_BV.shape)
        log_BV = log_softmax(logits_BV)
        np.multiply(log_BV, self._value, out=log_BV, where=count_BV > 0)
        return log_BV.astype(np.float32)


@FILTERS.register("frequency.v1")
class Frequency(_Counting):
    """Penalty in proportion to the count of an element (OpenAI API).

    z - f c, where c counts the element in the output; the prompt does not count. 0 is off.

    Arguments:
        value: f, from -2 to 2.
        span: see `_Counting`.
        spared: see `_Counting`.

    Raises:
        SettingsError: f outside its range.
    """

    name = compiled_name = "frequency"
    setting = "frequency_penalty"
    limits = _WITHIN_TWO
    _with_prompt = False

    def _change(self, logits_BV: Logits, context: Context, state: Any) -> Logits:
        count_BV = self._counts(context, logits_BV.shape)
        after_BV = logits_BV.copy()
        written = count_BV.nonzero()
        after_BV[written] -= np.float64(self._value) * count_BV[written]
        return after_BV


@FILTERS.register("presence.v1")
class Presence(_Counting):
    """Penalty on every element of the output, however frequent (OpenAI API).

    z - p where the element occurs in the output; the prompt does not count. 0 is off.

    Arguments:
        value: p, from -2 to 2.
        span: see `_Counting`.
        spared: see `_Counting`.

    Raises:
        SettingsError: p outside its range.
    """

    name = compiled_name = "presence"
    setting = "presence_penalty"
    limits = _WITHIN_TWO
    _with_prompt = False

    def _change(self, logits_BV: Logits, context: Context, state: Any) -> Logits:
        count_BV = self._counts(context, logits_BV.shape)
        after_BV = logits_BV.copy()
        after_BV[count_BV.nonzero()] -= np.float32(self._value)
        return after_BV

"""The contract of filters, and functions that they share.

A filter maps logits to logits in which some candidates are reweighted or removed (-inf). The
filters themselves are in the modules beside this one: temperature, truncation, repeats and control.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import Registry
from rhapsode.encoding import Encoder
from rhapsode.errors import SettingsError

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Context:
    """The data that a filter may look at, and must not change.

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
    """A map of logits (B, V) to logits, never in place.

    At least one candidate of each row stays finite.

    A filter with a state overrides `init`, `select` and `fork`; the others have none. `apply` may
    modify the state that it is given: callers that need the old state fork it first. A state only
    saves work on what `context` contains anyway, so a new one catches up with any prompt and
    output. The state of mirostat also depends on earlier distributions, so it starts again instead.
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

    def compiled(self) -> tuple[str, Any] | None:
        """Name and value of this step in compiled code, or None."""
        return None

    def __init_subclass__(cls) -> None:
        """Remove an inherited compiled form that a subclass no longer matches.

        A filter that overrides `apply` or `_change` without a compiled form of its own has none.
        """
        super().__init_subclass__()
        own = vars(cls).keys()
        if own & {"apply", "_change"} and not own & {"compiled", "compiled_name"}:
            cls.compiled = Filter.compiled  # type: ignore[method-assign]

    def explain(self) -> str:
        """The step in a few words."""
        return self.name


FILTERS: Registry[type[Filter]] = Registry("filter")


@dataclass(frozen=True)
class Limits:
    """A range of numbers.

    Arguments:
        hold: True for a number in it; NaN is in none.
        words: what is wrong with any other number.
    """

    hold: Callable[[float], bool]
    words: str

    def check(self, setting: str, value: float) -> None:
        """Pass when a setting is in the range.

        Raises:
            SettingsError: it is not.
        """
        if not self.hold(value):
            raise SettingsError(f"{setting} {value} {self.words}")


FROM_ZERO = Limits(lambda value: 0.0 <= value < math.inf, "is not a number from 0 up")
PROBABILITY = Limits(lambda value: 0.0 <= value <= 1.0, "is not between 0 and 1")
BELOW_ONE = Limits(lambda value: 0.0 <= value < 1.0, "is not from 0 to below 1")
POSITIVE = Limits(lambda value: 0.0 < value < math.inf, "is not a positive number")
WHOLE = Limits(lambda value: value >= 0, "is negative")


class NumberFilter(Filter):
    """A filter with one number, which changes nothing when it is off.

    A subclass names the setting of the number and, if there is one, the step in compiled code
    (`compiled_name`).

    Arguments:
        value: the number.

    Raises:
        SettingsError: it is out of range.
    """

    setting: ClassVar[str]
    limits: ClassVar[Limits]
    off: ClassVar[float] = 0.0
    compiled_name: ClassVar[str | None] = None

    def __init__(self, value: float) -> None:
        self.limits.check(self.setting, value)
        self._value = value

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        if self._value != self.off:
            logits_BV = self._change(logits_BV, context, state)
        return logits_BV, state

    @abstractmethod
    def _change(self, logits_BV: Logits, context: Context, state: Any) -> Logits:
        """The logits after this step, which is not off."""

    def compiled(self) -> tuple[str, Any] | None:
        if self.compiled_name is None or self._value == self.off:
            return None
        return self.compiled_name, float(self._value)

    def explain(self) -> str:
        shown = self._value if isinstance(self._value, int) else f"{self._value:g}"
        return f"{self.name} {shown}"


def entropy(log_BV: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy of each row, nats; an element of no probability adds nothing.

    Arguments:
        log_BV: log-probabilities.
    """
    possible_BV = np.isfinite(log_BV)
    terms_BV = np.multiply(np.exp(log_BV), log_BV, out=np.zeros_like(log_BV), where=possible_BV)
    entropy_B: NDArray[np.float64] = np.maximum(-terms_BV.sum(axis=1), 0.0)
    return entropy_B


def largest(values_M: NDArray[np.floating], most: int) -> NDArray[np.int64]:
    """Places of the largest values, the largest first, ties in order."""
    places_R = np.arange(len(values_M))
    if 0 < most < len(values_M):
        places_R = np.flatnonzero(values_M >= np.partition(values_M, -most)[-most])
    return places_R[np.argsort(-values_M[places_R], kind="stable")[:most]]


def keep(logits_BV: Logits, keep_BV: NDArray[np.bool_]) -> Logits:
    """The logits, -inf where not kept; the likeliest elements always stay."""
    kept_BV = keep_BV | (logits_BV == logits_BV.max(axis=1, keepdims=True))
    return np.where(kept_BV, logits_BV, np.float32(-np.inf))


def likeliest_only(logits_BV: Logits) -> Logits:
    """0 at the likeliest element of each row, -inf elsewhere.

    On ties it is the lowest id.
    """
    greedy_BV = np.full_like(logits_BV, -np.inf)
    greedy_BV[np.arange(len(logits_BV)), logits_BV.argmax(axis=1)] = 0.0
    return greedy_BV


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
        self._elements = np.array(sorted(set(elements)), dtype=np.int64)

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        """-inf at the suppressed elements.

        Raises:
            SettingsError: a grammar allows nothing but suppressed elements.
        """
        logits_BV = logits_BV.copy()
        logits_BV[:, self._elements] = -np.inf
        if np.isneginf(logits_BV.max(axis=1)).any():
            raise SettingsError("the grammar allows nothing but suppressed elements here")
        return logits_BV, state

    def compiled(self) -> tuple[str, Any]:
        return "suppress", self._elements

    def explain(self) -> str:
        return f"suppress {self._elements.tolist()}"


_SHOWN = 40
_HINT = "loosen a limit, or choose another seed"


def refuse_dead_ends(
    logits_BV: Logits,
    context: Context,
    encoder: Encoder,
    what: list[str] | str,
    *,
    forced: int = 0,
) -> None:
    """Pass when every row has a candidate.

    Arguments:
        logits_BV: after a limit.
        context: where the rows stand.
        encoder: for the text so far.
        what: the limit wants, for all rows or each.
        forced: so many first elements are decided elsewhere.

    Raises:
        SettingsError: a row has none: at which place, after which text.
    """
    dead_B = np.isneginf(logits_BV.max(axis=1)) & (context.position_B >= forced)
    if not dead_B.any():
        return
    row = int(dead_B.argmax())
    before = encoder.decode([*context.prompt[row].tolist(), *context.output[row].tolist()])
    wanted = what if isinstance(what, str) else what[row]
    raise SettingsError(
        f"no element may come here: {wanted}",
        where=f"continuation {int(context.sequence_B[row])}, element "
        f"{int(context.position_B[row])}, behind {before[-_SHOWN:]!r}",
        hint=_HINT,
    )

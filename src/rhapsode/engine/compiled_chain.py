"""Which chains are compiled: their steps as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding import END_ID
from rhapsode.engine import sampling_steps as choosing
from rhapsode.generation.chain import Chain
from rhapsode.generation.filters.contract import Filter, Suppress
from rhapsode.generation.filters.control_filters import MinLength
from rhapsode.generation.filters.penalties import Frequency, Presence, Repetition
from rhapsode.generation.filters.temperature import GREEDY_BELOW, Temperature
from rhapsode.generation.filters.truncation import MinP, TopK, TopP

__all__ = ["Plan", "plan_of"]


@dataclass(frozen=True)
class Plan:
    """A chain as compiled code takes it.

    Arguments:
        steps_S: which steps, in order.
        values_S: what each takes.
        banned_N: elements that are out before them.
        least: elements before which end-of-sequence is, too.
        reads: whether a step looks at how often elements occur in the prompt.
        counts: whether one looks at how often they have been written, or `reads`.
    """

    steps_S: NDArray[np.int64]
    values_S: NDArray[np.float64]
    banned_N: NDArray[np.int64]
    least: int
    reads: bool
    counts: bool


def plan_of(chain: Chain) -> Plan | None:
    """The chain's plan; None where a step has no compiled form."""
    filters = list(chain.filters)
    banned_N = np.zeros(0, dtype=np.int64)
    if filters and isinstance(filters[0], Suppress) and type(filters[0]) is Suppress:
        banned_N = np.array(filters[0]._elements, dtype=np.int64)
        filters = filters[1:]
    least = 0
    if filters and type(filters[0]) is MinLength:
        # Where something else is left whatever the network says, so that it cannot lead to a dead end.
        if filters[0]._encoder.vocab_size <= len({END_ID, *banned_N.tolist()}):
            return None
        least = filters[0]._least
        filters = filters[1:]
    steps = [_step(each) for each in filters]
    known = [step for step in steps if step is not None]
    if len(known) < len(steps):
        return None
    names = {step for step, _ in known}
    reads = choosing.REPETITION in names
    return Plan(
        np.array([step for step, _ in known], dtype=np.int64),
        np.array([value for _, value in known], dtype=np.float64),
        banned_N,
        least,
        reads,
        reads or bool(names & {choosing.FREQUENCY, choosing.PRESENCE}),
    )


def _step(each: Filter) -> tuple[int, float] | None:
    """A step and its value; what is not exactly one of these kinds, a subclass say, has no compiled form."""
    match each:
        case Temperature() if type(each) is Temperature:
            value = each._temperature
            return (choosing.GREEDY if value < GREEDY_BELOW else choosing.TEMPERATURE), value
        case TopK() if type(each) is TopK:
            return choosing.TOP_K, float(each._k)
        case TopP() if type(each) is TopP:
            return choosing.TOP_P, each._p
        case MinP() if type(each) is MinP:
            return choosing.MIN_P, each._m
        case Repetition() if type(each) is Repetition and each._penalty != 1.0:
            return choosing.REPETITION, each._penalty
        case Frequency() if type(each) is Frequency:
            return choosing.FREQUENCY, each._penalty
        case Presence() if type(each) is Presence:
            return choosing.PRESENCE, each._penalty
    return None

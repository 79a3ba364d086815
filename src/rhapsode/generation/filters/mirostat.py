"""Mirostat: truncation that steers towards a given surprise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import log_softmax
from rhapsode.generation.filters.contract import FILTERS, FROM_ZERO, Context, Filter, Logits, keep

BITS = 1.0 / np.log(2.0)


@dataclass(frozen=True)
class Steering:
    """Where each row's control stands.

    Arguments:
        bound_B: mu, bits.
        given_BV: the logits of the last application; None before it.
        written_B: elements that had been written then.
    """

    bound_B: NDArray[np.float64]
    given_BV: Logits | None
    written_B: NDArray[np.int64]


@FILTERS.register("mirostat.v1")
class Mirostat(Filter):
    """Mirostat, version 2: drops elements of surprise > mu; then mu <- mu - eta (s - tau) (Basu et al. 2021).

    s is the surprise of the element chosen, in bits, under the distribution that this step gave. mu starts at 2 tau and
    belongs to the row; it is updated at the next application, from the element that was written meanwhile.

    Arguments:
        tau: surprise to steer to, bits per element; 0 is off.
        eta: rate of the control.

    Raises:
        SettingsError: a negative value, or no number.
    """

    name = "mirostat"

    def __init__(self, tau: float, eta: float = 0.1) -> None:
        FROM_ZERO.check("mirostat_tau", tau)
        FROM_ZERO.check("mirostat_eta", eta)
        self._tau, self._eta = tau, eta

    def init(self, rows: int) -> Steering:
        return Steering(np.full(rows, 2.0 * self._tau), None, np.zeros(rows, dtype=np.int64))

    def select(self, state: Steering, rows_R: NDArray[np.int64]) -> Steering:
        given = None if state.given_BV is None else state.given_BV[rows_R]
        return Steering(state.bound_B[rows_R], given, state.written_B[rows_R])

    def apply(
        self, logits_BV: Logits, context: Context, state: Steering
    ) -> tuple[Logits, Steering]:
        if self._tau == 0.0:
            return logits_BV, state
        bound_B = self._updated(context, state)
        surprise_BV = -BITS * log_softmax(logits_BV)
        after_BV = keep(logits_BV, surprise_BV <= bound_B[:, None])
        written_B = np.array([len(output) for output in context.output], dtype=np.int64)
        return after_BV, Steering(bound_B, after_BV, written_B)

    def _updated(self, context: Context, state: Steering) -> NDArray[np.float64]:
        """The bounds behind the elements written since; where more or less than one was, it stays."""
        bound_B = state.bound_B.copy()
        if state.given_BV is None:
            return bound_B
        for row, output in enumerate(context.output):
            if len(output) != state.written_B[row] + 1:
                continue
            log_V = log_softmax(state.given_BV[row : row + 1])[0]
            surprise = -BITS * log_V[output[-1]]
            if np.isfinite(surprise):  # an element put in by hand may have had no probability
                bound_B[row] -= self._eta * (surprise - self._tau)
        return bound_B

    def explain(self) -> str:
        return f"mirostat {self._tau:g} eta {self._eta:g}" if self._tau else "mirostat off"

"""Truncation: filters that keep only some candidates.

The logits of the candidates that stay are not changed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import log_softmax
from rhapsode.generation.draw import XTC_LANE, uniforms
from rhapsode.generation.filters.contract import (
    BELOW_ONE,
    FILTERS,
    FROM_ZERO,
    PROBABILITY,
    WHOLE,
    Context,
    Filter,
    Logits,
    NumberFilter,
    entropy,
    keep,
)

# Vocabularies up to this size are sorted whole, all rows at once; of larger ones only what is
# needed, row by row.
SORTED_WHOLE = 2048


@FILTERS.register("top_k.v1")
class TopK(NumberFilter):
    """Keep the k largest logits (Fan et al. 2018).

    Ties are broken by the lowest id. 0 is off, as is k >= V.

    Arguments:
        k: candidates to keep.

    Raises:
        SettingsError: a negative k.
    """

    name = setting = compiled_name = "top_k"
    limits = WHOLE

    def _change(self, logits_BV: Logits, context: Context, state: Any) -> Logits:
        k, vocab_size = int(self._value), logits_BV.shape[1]
        if k >= vocab_size:
            return logits_BV
        least_B1 = np.partition(logits_BV, vocab_size - k, axis=1)[:, -k][:, None]
        above_BV = logits_BV > least_B1
        tied_BV = logits_BV == least_B1
        # Of those equal to the smallest that stays, the lowest ids fill the places left.
        places_B1 = k - above_BV.sum(axis=1, keepdims=True)
        keep_BV = above_BV | (tied_BV & (np.cumsum(tied_BV, axis=1) <= places_B1))
        return np.where(keep_BV, logits_BV, np.float32(-np.inf))


@FILTERS.register("top_p.v1")
class TopP(NumberFilter):
    """Keep the smallest set with mass >= p (Holtzman et al. 2020).

    The set has the likeliest elements, at least one. p = 1 is off.

    Arguments:
        p: mass to keep, 0 to 1.

    Raises:
        SettingsError: p outside 0 to 1.
    """

    name = setting = compiled_name = "top_p"
    limits = PROBABILITY
    off = 1.0

    def _change(self, logits_BV: Logits, context: Context, state: Any) -> Logits:
        wide_BV = logits_BV.astype(np.float64)
        weight_BV = np.exp(wide_BV - wide_BV.max(axis=1, keepdims=True))
        keep_BV = _smallest_set(-wide_BV, weight_BV, self._value)
        return np.where(keep_BV, logits_BV, np.float32(-np.inf))


@FILTERS.register("min_p.v1")
class MinP(NumberFilter):
    """Keep elements with p >= m p_max (Nguyen et al. 2024).

    Ties are kept. 0 is off.

    Arguments:
        m: minimum probability relative to that of the likeliest element, 0 to 1.

    Raises:
        SettingsError: m outside 0 to 1.
    """

    name = setting = compiled_name = "min_p"
    limits = PROBABILITY

    def _change(self, logits_BV: Logits, context: Context, state: Any) -> Logits:
        # Among logits: no probability underflows.
        wide_BV = logits_BV.astype(np.float64)
        bound_B1 = wide_BV.max(axis=1, keepdims=True) + math.log(self._value)
        return keep(logits_BV, wide_BV >= bound_B1)


@FILTERS.register("typical.v1")
class Typical(NumberFilter):
    """Keep elements with surprise near the entropy (Meister et al. 2023).

    Elements are taken in the order of abs(-log p - H), the lowest id first on ties, up to a mass of
    p. The element that crosses p stays. p = 1 is off.

    Arguments:
        p: mass to keep, 0 to 1.

    Raises:
        SettingsError: p outside 0 to 1.
    """

    name = "typical"
    setting = "typical_p"
    limits = PROBABILITY
    off = 1.0

    def _change(self, logits_BV: Logits, context: Context, state: Any) -> Logits:
        log_BV = log_softmax(logits_BV)
        apart_BV = np.abs(log_BV + entropy(log_BV)[:, None])
        keep_BV = _smallest_set(apart_BV, np.exp(log_BV), self._value)
        return np.where(keep_BV, logits_BV, np.float32(-np.inf))


@FILTERS.register("epsilon.v1")
class Epsilon(NumberFilter):
    """Keep elements with p >= epsilon (Hewitt et al. 2022).

    The likeliest element always stays. 0 is off.

    Arguments:
        epsilon: least probability, from 0 to below 1.

    Raises:
        SettingsError: epsilon outside its range.
    """

    name = "epsilon"
    setting = "epsilon_cutoff"
    limits = BELOW_ONE

    def _change(self, logits_BV: Logits, context: Context, state: Any) -> Logits:
        return keep(logits_BV, log_softmax(logits_BV) >= math.log(self._value))


@FILTERS.register("eta.v1")
class Eta(NumberFilter):
    """Keep elements above a bound on entropy (Hewitt et al. 2022).

    p >= min(epsilon, sqrt(epsilon) exp(-H)); the likeliest element always stays. H is the entropy
    of the candidates left, so that the bound falls where the model is unsure. 0 is off.

    Arguments:
        epsilon: from 0 to below 1.

    Raises:
        SettingsError: epsilon outside its range.
    """

    name = "eta"
    setting = "eta_cutoff"
    limits = BELOW_ONE

    def _change(self, logits_BV: Logits, context: Context, state: Any) -> Logits:
        log_BV = log_softmax(logits_BV)
        log_epsilon = math.log(self._value)
        bound_B = np.minimum(log_epsilon, 0.5 * log_epsilon - entropy(log_BV))
        return keep(logits_BV, log_BV >= bound_B[:, None])


@FILTERS.register("top_n_sigma.v1")
class TopNSigma(NumberFilter):
    """Keep logits z >= max - n std(z) (Tang et al. 2024).

    0 is off. The set does not depend on a temperature before it. The standard deviation is that of
    the finite logits, divided by their number.

    Arguments:
        n: standard deviations below the largest logit.

    Raises:
        SettingsError: n is negative or not a number.
    """

    name = setting = "top_n_sigma"
    limits = FROM_ZERO

    def _change(self, logits_BV: Logits, context: Context, state: Any) -> Logits:
        finite_BV = np.isfinite(logits_BV)
        # From the maximum: the deviation is the same, and large logits lose no digits.
        below_BV = logits_BV.astype(np.float64) - logits_BV.max(axis=1, keepdims=True)
        known_BV = np.where(finite_BV, below_BV, 0.0)
        count_B1 = finite_BV.sum(axis=1, keepdims=True)
        mean_B1 = known_BV.sum(axis=1, keepdims=True) / count_B1
        square_BV = np.where(finite_BV, known_BV - mean_B1, 0.0) ** 2
        sigma_B1 = np.sqrt(square_BV.sum(axis=1, keepdims=True) / count_B1)
        return keep(logits_BV, below_BV >= -self._value * sigma_B1)


@FILTERS.register("xtc.v1")
class Xtc(Filter):
    """Exclude top choices at random (XTC, Weidmann 2024).

    At a random subset of positions, if at least two elements reach the threshold, those likelier
    than the least likely of them are dropped; elements equal to that one stay. Each row has its own
    coin at each position: lane 1 of the draw.

    Arguments:
        probability: of dropping, at each position.
        threshold: least probability of what counts as a top choice; above 0.5 nothing can happen.
        protected: ids that are never dropped, as end-of-sequence and line ends.

    Raises:
        SettingsError: a value outside 0 to 1.
    """

    name = "xtc"

    def __init__(self, probability: float, threshold: float, protected: Sequence[int] = ()) -> None:
        PROBABILITY.check("xtc_probability", probability)
        PROBABILITY.check("xtc_threshold", threshold)
        self._probability, self._threshold = probability, threshold
        self._protected = np.array(sorted(set(protected)), dtype=np.int64)

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        coin_B = uniforms(context.seed, context.sequence_B, context.position_B, XTC_LANE)
        row_R = np.flatnonzero(coin_B < self._probability)
        if not len(row_R):
            return logits_BV, state
        log_RV = log_softmax(logits_BV[row_R])
        bound = math.log(self._threshold) if self._threshold > 0.0 else -math.inf
        top_RV = (log_RV >= bound) & np.isfinite(log_RV)
        least_R1 = np.where(top_RV, log_RV, np.inf).min(axis=1, keepdims=True)
        drop_RV = log_RV > least_R1
        drop_RV[:, self._protected] = False
        after_BV = logits_BV.copy()
        after_BV[row_R] = np.where(drop_RV, np.float32(-np.inf), logits_BV[row_R])
        return after_BV, state

    def explain(self) -> str:
        text = f"xtc {self._probability:g} from {self._threshold:g}"
        return f"{text}, never {self._protected.tolist()}" if len(self._protected) else text


def _smallest_set(
    key_BV: NDArray[np.float64], weight_BV: NDArray[np.float64], share: float
) -> NDArray[np.bool_]:
    """Elements by ascending key, up to a fraction of all weight.

    At least one; ties by lowest id. An element is in while the weight before it is below the
    fraction: the one that crosses it is in too. Infinite keys are never in.
    """
    vocab_size = key_BV.shape[1]
    keep_BV = np.zeros(key_BV.shape, dtype=bool)
    if vocab_size <= SORTED_WHOLE:
        order_BV = np.argsort(key_BV, axis=1, kind="stable")
        sorted_BV = np.take_along_axis(weight_BV, order_BV, axis=1)
        in_BV = _short_of(sorted_BV, share * sorted_BV.sum(axis=1, keepdims=True))
        np.put_along_axis(keep_BV, order_BV, in_BV, axis=1)
        return keep_BV & np.isfinite(key_BV)
    for key_V, weight_V, keep_V in zip(key_BV, weight_BV, keep_BV, strict=True):
        goal = share * weight_V.sum()
        size = SORTED_WHOLE // 8
        while True:
            # Everything up to a key, ties included: its order is that of the whole row.
            last = min(size, vocab_size - 1)
            index_R = np.flatnonzero(key_V <= np.partition(key_V, last)[last])
            index_R = index_R[np.argsort(key_V[index_R], kind="stable")]
            in_R = _short_of(weight_V[index_R][None], goal)[0]
            if size >= vocab_size or not in_R[-1]:
                break
            size *= 8
        keep_V[index_R[in_R]] = True
    return keep_BV & np.isfinite(key_BV)


def _short_of(sorted_BV: NDArray[np.float64], goal: Any) -> NDArray[np.bool_]:
    """True while the weight before an element is below the goal.

    The first element is always in.
    """
    in_BV = np.ones(sorted_BV.shape, dtype=bool)
    in_BV[:, 1:] = np.cumsum(sorted_BV, axis=1)[:, :-1] < goal
    return in_BV


BITS = 1.0 / np.log(2.0)


@dataclass(frozen=True)
class Steering:
    """The state of each row's control.

    Arguments:
        bound_B: mu, bits.
        given_BV: the logits of the last application.
        written_B: elements that had been written then.
    """

    bound_B: NDArray[np.float64]
    given_BV: Logits
    written_B: NDArray[np.int64]


@FILTERS.register("mirostat.v1")
class Mirostat(Filter):
    """Mirostat, version 2 (Basu et al. 2021).

    Drop elements with surprise > mu. After each element, mu <- mu - eta (s - tau). s is the
    surprise of the chosen element, in bits, under the distribution that this step gave. mu starts
    at 2 tau and belongs to the row; it is updated at the next application, from the element written
    since.

    Arguments:
        tau: surprise to steer to, bits per element; 0 is off.
        eta: rate of the control.

    Raises:
        SettingsError: a value that is negative or not a number.
    """

    name = "mirostat"

    def __init__(self, tau: float, eta: float = 0.1) -> None:
        FROM_ZERO.check("mirostat_tau", tau)
        FROM_ZERO.check("mirostat_eta", eta)
        self._tau, self._eta = tau, eta

    def select(self, state: Steering | None, rows_R: NDArray[np.int64]) -> Steering | None:
        if state is None:
            return None
        return Steering(state.bound_B[rows_R], state.given_BV[rows_R], state.written_B[rows_R])

    def apply(
        self, logits_BV: Logits, context: Context, state: Steering | None
    ) -> tuple[Logits, Steering | None]:
        if self._tau == 0.0:
            return logits_BV, state
        bound_B = np.full(len(logits_BV), 2.0 * self._tau)
        if state is not None:
            bound_B = self._updated(context, state)
        surprise_BV = -BITS * log_softmax(logits_BV)
        after_BV = keep(logits_BV, surprise_BV <= bound_B[:, None])
        written_B = np.array([len(output) for output in context.output], dtype=np.int64)
        return after_BV, Steering(bound_B, after_BV, written_B)

    def _updated(self, context: Context, state: Steering) -> NDArray[np.float64]:
        """The bounds after one new element.

        Rows with more or fewer new elements keep their bound.
        """
        bound_B = state.bound_B.copy()
        for row, output in enumerate(context.output):
            if len(output) != state.written_B[row] + 1:
                continue
            log_V = log_softmax(state.given_BV[row : row + 1])[0]
            surprise = -BITS * log_V[output[-1]]
            if np.isfinite(surprise):  # an element put in by hand may have had no probability
                bound_B[row] -= self._eta * (surprise - self._tau)
        return bound_B

    def explain(self) -> str:
        return f"mirostat {self._tau:g} eta {self._eta:g}"

"""Truncation: which candidates may be drawn at all. The logits of those that stay are not changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import log_softmax
from rhapsode.errors import SettingsError
from rhapsode.generation.draw import XTC_LANE, uniforms
from rhapsode.generation.filters.contract import (
    FILTERS,
    Context,
    Filter,
    Logits,
    entropy,
    keep,
)

# Vocabularies up to this size are sorted whole, all rows at once; of larger ones only what is needed, row by row.
SORTED_WHOLE = 2048


@FILTERS.register("top_k.v1")
class TopK(Filter):
    """The k largest logits, ties broken by the lowest id; 0 is off, as is k >= V (Fan et al. 2018).

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
        vocab_size = logits_BV.shape[1]
        if self._k == 0 or self._k >= vocab_size:
            return logits_BV, state
        least_B1 = np.partition(logits_BV, vocab_size - self._k, axis=1)[:, -self._k][:, None]
        above_BV = logits_BV > least_B1
        tied_BV = logits_BV == least_B1
        # Of those equal to the smallest that stays, the lowest ids fill the places left.
        places_B1 = self._k - above_BV.sum(axis=1, keepdims=True)
        keep_BV = above_BV | (tied_BV & (np.cumsum(tied_BV, axis=1) <= places_B1))
        return np.where(keep_BV, logits_BV, np.float32(-np.inf)), state

    def compiled(self) -> tuple[str, float]:
        return "top_k", float(self._k)

    def explain(self) -> str:
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
        wide_BV = logits_BV.astype(np.float64)
        weight_BV = np.exp(wide_BV - wide_BV.max(axis=1, keepdims=True))
        keep_BV = _smallest_set(-wide_BV, weight_BV, self._p)
        return np.where(keep_BV, logits_BV, np.float32(-np.inf)), state

    def compiled(self) -> tuple[str, float]:
        return "top_p", self._p

    def explain(self) -> str:
        return f"top_p {self._p:g}" if self._p < 1.0 else "top_p off"


@FILTERS.register("min_p.v1")
class MinP(Filter):
    """Elements with p >= m p_max, ties kept; 0 is off (Nguyen et al. 2024).

    Arguments:
        m: share of the likeliest element's probability, 0 to 1.

    Raises:
        SettingsError: m outside 0 to 1.
    """

    name = "min_p"

    def __init__(self, m: float) -> None:
        if not 0.0 <= m <= 1.0:
            raise SettingsError(f"min_p {m} is not between 0 and 1")
        self._m = m

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        """-inf below the bound, which is taken among logits: no probability underflows."""
        if self._m == 0.0:
            return logits_BV, state
        wide_BV = logits_BV.astype(np.float64)
        bound_B1 = wide_BV.max(axis=1, keepdims=True) + math.log(self._m)
        return keep(logits_BV, wide_BV >= bound_B1), state

    def compiled(self) -> tuple[str, float]:
        return "min_p", self._m

    def explain(self) -> str:
        return f"min_p {self._m:g}" if self._m else "min_p off"


@FILTERS.register("typical.v1")
class Typical(Filter):
    """The smallest set with mass >= p of elements whose surprise is nearest the entropy (Meister et al. 2023).

    Elements are taken by abs(-log p - H), the lowest id first on ties; the one that crosses p stays; p = 1 is off.

    Arguments:
        p: mass to keep, 0 to 1.

    Raises:
        SettingsError: p outside 0 to 1.
    """

    name = "typical"

    def __init__(self, p: float) -> None:
        if not 0.0 <= p <= 1.0:
            raise SettingsError(f"typical_p {p} is not between 0 and 1")
        self._p = p

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        """-inf outside the set."""
        if self._p >= 1.0:
            return logits_BV, state
        log_BV = log_softmax(logits_BV)
        apart_BV = np.abs(log_BV + entropy(log_BV)[:, None])
        keep_BV = _smallest_set(apart_BV, np.exp(log_BV), self._p)
        return np.where(keep_BV, logits_BV, np.float32(-np.inf)), state

    def explain(self) -> str:
        return f"typical {self._p:g}" if self._p < 1.0 else "typical off"


@FILTERS.register("epsilon.v1")
class Epsilon(Filter):
    """Elements with p >= epsilon; the likeliest stays in any case. 0 is off (Hewitt et al. 2022).

    Arguments:
        epsilon: least probability, from 0 to below 1.

    Raises:
        SettingsError: epsilon outside its range.
    """

    name = "epsilon"

    def __init__(self, epsilon: float) -> None:
        if not 0.0 <= epsilon < 1.0:
            raise SettingsError(f"epsilon_cutoff {epsilon} is not from 0 to below 1")
        self._epsilon = epsilon

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        """-inf below the bound."""
        if self._epsilon == 0.0:
            return logits_BV, state
        return keep(logits_BV, log_softmax(logits_BV) >= math.log(self._epsilon)), state

    def explain(self) -> str:
        return f"epsilon {self._epsilon:g}" if self._epsilon else "epsilon off"


@FILTERS.register("eta.v1")
class Eta(Filter):
    """Elements with p >= min(epsilon, sqrt(epsilon) exp(-H)); the likeliest stays in any case (Hewitt et al. 2022).

    H is the entropy of the candidates left, so that the bound falls where the model is unsure. 0 is off.

    Arguments:
        epsilon: from 0 to below 1.

    Raises:
        SettingsError: epsilon outside its range.
    """

    name = "eta"

    def __init__(self, epsilon: float) -> None:
        if not 0.0 <= epsilon < 1.0:
            raise SettingsError(f"eta_cutoff {epsilon} is not from 0 to below 1")
        self._epsilon = epsilon

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        """-inf below each row's bound."""
        if self._epsilon == 0.0:
            return logits_BV, state
        log_BV = log_softmax(logits_BV)
        log_epsilon = math.log(self._epsilon)
        bound_B = np.minimum(log_epsilon, 0.5 * log_epsilon - entropy(log_BV))
        return keep(logits_BV, log_BV >= bound_B[:, None]), state

    def explain(self) -> str:
        return f"eta {self._epsilon:g}" if self._epsilon else "eta off"


@FILTERS.register("top_n_sigma.v1")
class TopNSigma(Filter):
    """Logits z >= max - n std(z); 0 is off (Tang et al. 2024). The set does not depend on a temperature before it.

    The standard deviation is that of the finite logits, divided by their number.

    Arguments:
        n: standard deviations below the largest logit.

    Raises:
        SettingsError: n is negative, or no number.
    """

    name = "top_n_sigma"

    def __init__(self, n: float) -> None:
        if not 0.0 <= n < float("inf"):
            raise SettingsError(f"top_n_sigma {n} is not a number from 0 up")
        self._n = n

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        """-inf below the bound."""
        if self._n == 0.0:
            return logits_BV, state
        finite_BV = np.isfinite(logits_BV)
        # From the maximum: the deviation is the same, and large logits lose no digits.
        below_BV = logits_BV.astype(np.float64) - logits_BV.max(axis=1, keepdims=True)
        known_BV = np.where(finite_BV, below_BV, 0.0)
        count_B1 = finite_BV.sum(axis=1, keepdims=True)
        mean_B1 = known_BV.sum(axis=1, keepdims=True) / count_B1
        square_BV = np.where(finite_BV, known_BV - mean_B1, 0.0) ** 2
        sigma_B1 = np.sqrt(square_BV.sum(axis=1, keepdims=True) / count_B1)
        return keep(logits_BV, below_BV >= -self._n * sigma_B1), state

    def explain(self) -> str:
        return f"top_n_sigma {self._n:g}" if self._n else "top_n_sigma off"


@FILTERS.register("xtc.v1")
class Xtc(Filter):
    """With some probability, drops of the elements with p >= threshold all but the least likely (XTC, Weidmann 2024).

    Where at least two reach the threshold, those likelier than the least likely of them go; equals of that one stay.
    Each row has a coin of its own at each position: lane 1 of the draw.

    Arguments:
        probability: of dropping, at each position.
        threshold: least probability of what counts as a top choice; above 0.5 nothing can happen.
        protected: ids that are never dropped, as end-of-sequence and line ends.

    Raises:
        SettingsError: a value outside 0 to 1.
    """

    name = "xtc"

    def __init__(self, probability: float, threshold: float, protected: Sequence[int] = ()) -> None:
        if not 0.0 <= probability <= 1.0:
            raise SettingsError(f"xtc_probability {probability} is not between 0 and 1")
        if not 0.0 <= threshold <= 1.0:
            raise SettingsError(f"xtc_threshold {threshold} is not between 0 and 1")
        self._probability, self._threshold = probability, threshold
        self._protected = np.array(sorted(set(protected)), dtype=np.int64)

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        """-inf at the top choices, where the row's coin says so."""
        if self._probability == 0.0:
            return logits_BV, state
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
        if self._probability == 0.0:
            return "xtc off"
        text = f"xtc {self._probability:g} from {self._threshold:g}"
        return f"{text}, never {self._protected.tolist()}" if len(self._protected) else text


def _smallest_set(
    key_BV: NDArray[np.float64], weight_BV: NDArray[np.float64], share: float
) -> NDArray[np.bool_]:
    """Elements in the order of their keys until their weights reach a share of all; at least one, ties by lowest id.

    An element is in while the weight before it is short of the share: the one that crosses it is in too. Infinite keys
    are never in.
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
            if size < vocab_size:
                index_R = np.flatnonzero(key_V <= np.partition(key_V, size)[size])
            else:
                index_R = np.arange(vocab_size)
            index_R = index_R[np.argsort(key_V[index_R], kind="stable")]
            in_R = _short_of(weight_V[index_R][None], goal)[0]
            if size >= vocab_size or not in_R[-1]:
                break
            size *= 8
        keep_V[index_R[in_R]] = True
    return keep_BV & np.isfinite(key_BV)


def _short_of(sorted_BV: NDArray[np.float64], goal: Any) -> NDArray[np.bool_]:
    """Where the weight before an element is short of the goal, and always at the first."""
    in_BV = np.ones(sorted_BV.shape, dtype=bool)
    in_BV[:, 1:] = np.cumsum(sorted_BV, axis=1)[:, :-1] < goal
    return in_BV

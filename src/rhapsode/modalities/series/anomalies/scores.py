"""Anomaly scores of values and of windows. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Share of the values from which the tail is calibrated, and how many there must be at least.
TAIL_SHARE, LEAST_TAIL, MOST_TAIL_SHARE = 0.02, 20, 0.2
# Range of the factor of the tail: it is never made lighter than predicted.
LEAST_STRETCH, MOST_STRETCH = 1.0, 10.0
# Normal scores count up to here in a window: one spike is no change of level.
FARTHEST_IN_WINDOW = 3.0
LEAST_PROBABILITY = 1e-16


@dataclass(frozen=True)
class TailCalibration:
    """Map of predicted p-values to those that ordinary values have.

    A calibrated p-value is at most `share` as often as it says. Beyond the score that this share
    of the values exceeds, -log p is exponential (Siffer et al. 2017 use the wider class of Pareto
    tails); its mean is taken from the median, so that a few anomalies change little.

    Arguments:
        share: of the values that exceed `score`; 1 for no calibration.
        score: -log p beyond which the tail begins.
        stretch: mean excess of -log p beyond `score`; 1 if the predicted tail is right.
    """

    share: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    score: Annotated[float, Meta(gt=0.0, le=100.0)] = 1.0
    stretch: Annotated[float, Meta(ge=LEAST_STRETCH, le=MOST_STRETCH)] = 1.0

    @staticmethod
    def possible(count: int) -> bool:
        """True if so many p-values can calibrate a tail."""
        return count * MOST_TAIL_SHARE >= LEAST_TAIL

    @classmethod
    def of(cls, p_N: Floats) -> TailCalibration:
        """The calibration that makes p-values, NaN where missing, uniform in their tail."""
        scores_N = -np.log(np.maximum(p_N[np.isfinite(p_N)], LEAST_PROBABILITY))
        if not cls.possible(len(scores_N)):
            return cls()
        share = max(TAIL_SHARE, LEAST_TAIL / len(scores_N))
        score = float(np.quantile(scores_N, 1 - share))
        beyond_N = scores_N[scores_N > score] - score
        if score <= 0 or not len(beyond_N):
            return cls()
        excess = float(np.median(beyond_N))
        return cls(share, score, float(np.clip(excess / math.log(2), LEAST_STRETCH, MOST_STRETCH)))

    def __call__(self, p_N: Floats) -> Floats:
        """Calibrated p-values."""
        if self.share == 1.0:
            return p_N
        scores_N = -np.log(np.maximum(p_N, LEAST_PROBABILITY))
        inside_N = scores_N * -math.log(self.share) / self.score
        beyond_N = -math.log(self.share) + (scores_N - self.score) / self.stretch
        log_p_N = -np.where(scores_N > self.score, beyond_N, inside_N)
        return np.asarray(np.exp(log_p_N), dtype=np.float64)


@dataclass(frozen=True)
class Tails:
    """Calibrations of a model.

    Arguments:
        value: of the p-values of values.
        window: of those of windows.
    """

    value: TailCalibration = TailCalibration()
    window: TailCalibration = TailCalibration()


def two_sided(at_most_N: Floats, at_least_N: Floats) -> Floats:
    """Two-sided p-values of values with these tail probabilities."""
    return np.asarray(np.minimum(1.0, 2 * np.minimum(at_most_N, at_least_N)))


def normal_scores(at_most_N: Floats, at_least_N: Floats) -> Floats:
    """Standard normal scores of values with these tail probabilities.

    A value with a probability of its own gets the middle of it.
    """
    from scipy.special import ndtri

    low_N, high_N = np.minimum(at_most_N, 1 - at_least_N), np.minimum(at_least_N, 1 - at_most_N)
    below_N, above_N = (at_most_N + low_N) / 2, (at_least_N + high_N) / 2
    score_N = np.where(below_N < above_N, ndtri(below_N), -ndtri(above_N))
    return np.asarray(score_N, dtype=np.float64)


def window_p_values(scores_T: Floats, window: int) -> Floats:
    """P-values of the last values of one series together, at every time.

    A sum of normal scores finds changes of level, a sum of their squares changes of pattern and of
    variance. NaN where fewer than half of the values are known, and before the first window.

    Arguments:
        scores_T: standard normal scores; NaN where missing.
        window: values to a window.
    """
    from scipy.special import chdtrc, ndtr

    known_T = np.isfinite(scores_T)
    held_T = np.where(known_T, scores_T, 0.0)
    held_T = np.clip(held_T, -FARTHEST_IN_WINDOW, FARTHEST_IN_WINDOW)
    count_T, sum_T, square_T = (
        _trailing_sum(each, window) for each in (known_T.astype(float), held_T, held_T**2)
    )
    enough_T = 2 * count_T >= window
    enough_T[: window - 1] = False
    count_T = np.maximum(count_T, 1.0)
    level_T = 2 * ndtr(-np.abs(sum_T) / np.sqrt(count_T))
    pattern_T = chdtrc(count_T, square_T)
    return np.where(enough_T, np.minimum(1.0, 2 * np.minimum(level_T, pattern_T)), np.nan)


def _trailing_sum(values_T: Floats, window: int) -> Floats:
    total_T = np.concatenate((np.zeros(window), values_T)).cumsum()
    return np.asarray(total_T[window:] - total_T[:-window])

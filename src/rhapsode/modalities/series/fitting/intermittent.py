"""Choice of a head for intermittent values.

Many of them are zero, and the others are positive. A distribution without a probability of zero of
its own is compared with one that has it. Both are fitted to the first part of each series as if its
values were independent, and judged by the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Share of zeros from which values are intermittent.
LEAST_ZEROS = 0.3
FITTED = 0.8
LEAST_VALUES = 20
MOST_SERIES, MOST_VALUES = 60, 2_000
# Nats per value, and share of the quantile loss, that a hurdle must gain.
LEAST_NATS, LEAST_SHARE = 0.01, 0.01
DISPERSIONS = np.logspace(-3, 2, 21)
FACTORS = np.logspace(-1.5, 0.3, 25)
LEVELS = np.arange(1, 20) / 20


@dataclass(frozen=True)
class Hurdle:
    """A head with a probability of zero of its own.

    Arguments:
        head: its name.
        reason: why, in a line.
    """

    head: str
    reason: str


def choose_hurdle(columns: Sequence[Floats], *, counts: bool) -> Hurdle | None:
    """Choose a hurdle head where it helps; else None.

    Arguments:
        columns: values (T,) of each series, NaN where missing.
        counts: True for whole numbers with a small mean; they are judged by their likelihood,
            amounts by the quantile loss.
    """
    known = [column[np.isfinite(column)] for column in columns]
    every = np.concatenate([np.zeros(0), *known])
    if not len(every) or every.min() < 0 or not every.max() > 0:
        return None
    share = float((every == 0).mean())
    if share < LEAST_ZEROS:
        return None
    step = -(-len(known) // MOST_SERIES)
    losses = []
    for column in known[::step]:
        last = column[-MOST_VALUES:]
        first, rest = np.split(last, [round(FITTED * len(last))])
        if len(last) >= LEAST_VALUES and (first > 0).sum() > 1:
            losses.append((*(_nats if counts else _quantile_losses)(first, rest), len(rest)))
    if not losses:
        return None
    plain, hurdle, count = np.sum(losses, axis=0)
    zeros = f"{share:.0%} of the values are zero"
    if counts:
        gained = (plain - hurdle) / count
        if gained < LEAST_NATS:
            return None
        gain = f"the likelihood of held-out values gains {gained:.2f} nats"
        return Hurdle("hurdle_negative_binomial", f"counts: {zeros}, and {gain}")
    if not hurdle < (1 - LEAST_SHARE) * plain:
        return None
    gain = f"the quantile loss of held-out values falls by {1 - hurdle / plain:.0%}"
    return Hurdle("hurdle_gamma", f"amounts: {zeros}, and {gain}")


def _log_mass(x_N: Floats, mean: Floats, dispersion: Floats) -> Floats:
    """Log-probabilities of the negative binomial distribution, (..., N)."""
    from scipy.special import gammaln

    size = 1 / dispersion
    log_ratio = np.log1p(dispersion * mean)
    combinations = gammaln(x_N + size) - gammaln(size) - gammaln(x_N + 1)
    return np.asarray(
        combinations - size * log_ratio + x_N * (np.log(dispersion * mean) - log_ratio)
    )


def _nats(first_N: Floats, rest_N: Floats) -> tuple[float, float]:
    """Nats of the rest under a negative binomial distribution, and under one with a hurdle."""
    grid = FACTORS[:, None, None], DISPERSIONS[None, :, None]

    def fitted(values_N: Floats, truncated: bool) -> tuple[Floats, Floats]:
        """The likeliest mean and dispersion on a grid."""
        mean = grid[0] * values_N.mean() * 1.5
        log_mass = _log_mass(values_N, mean, grid[1])
        if truncated:
            log_mass = log_mass - _log_some(mean, grid[1])
        place = np.unravel_index(int(log_mass.sum(-1).argmax()), log_mass.shape[:2])
        return mean[place[0], 0, :1], DISPERSIONS[place[1], None]

    plain = -_log_mass(rest_N, *fitted(first_N, truncated=False)).sum()
    zeros = (first_N == 0).sum() + 0.5
    share = zeros / (len(first_N) + 1)
    mean, dispersion = fitted(first_N[first_N > 0], truncated=True)
    some_N = _log_mass(rest_N, mean, dispersion) - _log_some(mean, dispersion) + np.log1p(-share)
    return float(plain), float(-np.where(rest_N == 0, np.log(share), some_N).sum())


def _log_some(mean: Floats, dispersion: Floats) -> Floats:
    """Log-probability of a value above zero."""
    log_zero = _log_mass(np.zeros(1), mean, dispersion)
    return np.asarray(np.log(-np.expm1(np.minimum(log_zero, -1e-12))))


def _quantile_losses(first_N: Floats, rest_N: Floats) -> tuple[float, float]:
    """Quantile losses of the rest, in units of the mean, without and with a hurdle.

    Without one, values are normal and cut off at zero.
    """
    from scipy.special import gammaincinv, ndtri

    mean = float(first_N.mean())
    plain_Q = np.maximum(mean + float(first_N.std()) * ndtri(LEVELS), 0.0)
    positive = first_N[first_N > 0]
    share = 1 - len(positive) / len(first_N)
    shape = max(0.1, positive.mean() ** 2 / max(positive.var(), 1e-12 * positive.mean() ** 2))
    inside_Q = np.clip((LEVELS - share) / (1 - share), 0.0, 1.0)
    hurdle_Q = gammaincinv(shape, inside_Q) * positive.mean() / shape

    def loss(quantiles_Q: Floats) -> float:
        away_QN = rest_N - quantiles_Q[:, None]
        level_Q1 = LEVELS[:, None]
        return float(np.maximum(level_Q1 * away_QN, (level_Q1 - 1) * away_QN).sum() / mean)

    return loss(plain_Q), loss(hurdle_Q)

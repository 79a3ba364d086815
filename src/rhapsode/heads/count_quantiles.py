"""Quantiles of counts, many at once.

They are exact to the rounding of the cumulative distribution where the mean is below a million (Poisson: 10^12); above
that they are those of the gamma variable of equal mean and variance, less than 1e-4 off in cumulative probability.

Both distributions are of Panjer's class: P(k) = P(k - 1) (a + b / k). Where counts are small the probabilities are
added up from zero; where they are not, the count is searched for by secant steps between bounds, on the incomplete
gamma or beta function.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

# Counts up to this are reached by adding up; means above this are not tried.
ADDED = 64
SMALL_MEAN = 40.0
EXACT_BINOMIAL = 1e6
EXACT_POISSON = 1e12
MOST_STEPS = 200
MOST_TERMS = 4000
FARTHEST_SCORE = 8.2
LARGEST_SHAPE = 1e8

Cdf = Callable[[Tensor, Tensor], Tensor]


def poisson_quantile(levels: Tensor, mean: Tensor) -> Tensor:
    """The smallest counts that a Poisson variable exceeds with a probability below 1 - level.

    Arguments:
        levels: in (0, 1), float64.
        mean: above 0, of the same shape.
    """
    flat = mean.flatten()
    return count_quantile(
        levels,
        mean,
        mean,
        (torch.zeros_like(flat), flat, -flat),
        lambda k, rows: torch.special.gammaincc(k + 1, flat[rows]),
        exact=EXACT_POISSON,
    )


def negative_binomial_quantile(levels: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """As `poisson_quantile`, with variance m + a m^2.

    Arguments:
        levels: in (0, 1), float64.
        mean: m above 0, of the same shape.
        dispersion: a above 0, of the same shape.
    """
    flat, wide = mean.flatten(), dispersion.flatten()
    odds = wide * flat
    return count_quantile(
        levels,
        mean,
        mean * (1 + dispersion * mean),
        (odds / (1 + odds), flat * (1 - wide) / (1 + odds), -odds.log1p() / wide),
        lambda k, rows: _incomplete_beta(1 / wide[rows], k + 1, 1 / (1 + odds[rows])),
        exact=EXACT_BINOMIAL,
    )


def count_quantile(
    levels: Tensor,
    mean: Tensor,
    variance: Tensor,
    panjer: tuple[Tensor, Tensor, Tensor],
    cdf: Cdf,
    *,
    exact: float,
) -> Tensor:
    """The smallest counts whose cumulative probability exceeds the levels, float64.

    Arguments:
        levels: in (0, 1).
        mean: of the same shape.
        variance: of the same shape.
        panjer: a, b and the logarithm of P(0), all flat.
        cdf: counts and the rows they belong to, both flat, to cumulative probabilities.
        exact: largest mean that `cdf` is asked for.
    """
    flat, mean, variance = levels.flatten(), mean.flatten(), variance.flatten()
    counts = torch.full_like(flat, -1.0)
    _add_up(flat, panjer, (mean <= SMALL_MEAN).nonzero()[:, 0], counts)
    for part, function in (
        (mean <= exact, cdf),
        (mean > exact, lambda k, rows: _gamma_cdf(k + 0.5, mean[rows], variance[rows])),
    ):
        rows = (part & (counts < 0)).nonzero()[:, 0]
        if len(rows):
            counts[rows] = _search(flat[rows], mean[rows], variance[rows], _of(function, rows))
    return counts.view_as(levels)


def _of(cdf: Cdf, chosen: Tensor) -> Cdf:
    """The function for rows counted among the chosen ones."""
    return lambda k, rows: cdf(k, chosen[rows])


def _add_up(
    levels: Tensor, panjer: tuple[Tensor, Tensor, Tensor], rows: Tensor, counts: Tensor
) -> None:
    """Fill in the counts up to `ADDED` of these rows."""
    a, b, log_first = (column[rows] for column in panjer)
    level, mass = levels[rows], log_first.exp()
    left = level - mass
    for count in range(ADDED + 1):
        done = left < 0
        # Rows that are through are dropped where it pays: when many of them are.
        counts[rows[done & (counts[rows] < 0)]] = float(count)
        if count % 8 == 0:
            keep = (~done).nonzero()[:, 0]
            if not len(keep):
                return
            rows, a, b, mass, left = (column[keep] for column in (rows, a, b, mass, left))
        mass = mass * (a + b / (count + 1))
        left = left - mass


def _search(level: Tensor, mean: Tensor, variance: Tensor, cdf: Cdf) -> Tensor:
    """The smallest counts whose cumulative probability exceeds the levels, found from a gamma variable's quantiles."""
    score = torch.special.ndtri(level)
    deviation = variance.sqrt()
    centre, width = _cube_root(mean * (mean / variance))
    guess = (mean * (centre + score * width).clamp(min=0.0) ** 3).round()
    low = torch.full_like(mean, -1.0)
    high = torch.full_like(mean, math.inf)
    rows = torch.arange(len(mean), device=mean.device)
    at, before, score_before = guess, torch.full_like(guess, math.nan), guess
    slope = deviation
    for step in range(MOST_STEPS):
        reached = cdf(at, rows)
        above = reached > level[rows]
        high[rows] = torch.where(above, at, high[rows])
        low[rows] = torch.where(above, low[rows], at)
        lower, upper = low[rows], high[rows]
        # Where numbers are so large that there is none between, the search is over too.
        open_ = ((upper - lower) > 1) & ((lower + 1) < upper)
        keep = open_.nonzero()[:, 0]
        if not len(keep):
            break
        here = torch.special.ndtri(reached).clamp(-FARTHEST_SCORE, FARTHEST_SCORE)
        secant = (at - before) / (here - score_before)
        slope = torch.where(secant.isfinite() & (secant > 0), secant, slope)
        following = (at + (score[rows] - here) * slope).round()
        if step % 4 == 3:
            middle = torch.where(upper.isinf(), 2 * at + deviation[rows], (lower + upper) / 2)
            following = middle.floor()
        following = torch.maximum(torch.minimum(following, upper - 1), lower + 1)
        rows, before, score_before = rows[keep], at[keep], here[keep]
        at, slope = following[keep], slope[keep]
    return torch.where(high.isinf(), low, high)


def _cube_root(shape: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and width of the cube root of a gamma variable of mean 1, nearly normal (Wilson and Hilferty 1931)."""
    return 1 - 1 / (9 * shape), 1 / (3 * shape.sqrt())


def _gamma_cdf(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """The cumulative distribution of the gamma variable with this mean and variance."""
    shape = mean * (mean / variance)
    centre, width = _cube_root(shape)
    normal = torch.special.ndtr(((x / mean).pow(1 / 3) - centre) / width)
    at_most = shape.clamp(max=LARGEST_SHAPE)
    return torch.where(
        shape > LARGEST_SHAPE, normal, torch.special.gammainc(at_most, x / mean * at_most)
    )


def _incomplete_beta(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """The regularised incomplete beta function, by its continued fraction (Numerical Recipes, section 6.4)."""
    swap = x >= (a + 1) / (a + b + 2)
    a, b, x = torch.where(swap, b, a), torch.where(swap, a, b), torch.where(swap, 1 - x, x)
    log_front = torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b)
    log_front = log_front + a * x.log() + b * torch.log1p(-x)
    value = log_front.exp() * _beta_fraction(a, b, x) / a
    return torch.where(swap, 1 - value, value)


def _beta_fraction(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Lentz's method; terms are looked at every eighth."""
    result = torch.empty_like(a)
    rows = torch.arange(len(a), device=a.device)
    c, d = torch.ones_like(a), 1 / _off_zero(1 - (a + b) * x / (a + 1))
    value = d.clone()
    for m in range(1, MOST_TERMS):
        even = a + 2 * m
        d = 1 / _off_zero(1 + m * (b - m) * x / ((even - 1) * even) * d)
        c = _off_zero(1 + m * (b - m) * x / ((even - 1) * even) / c)
        value = value * c * d
        odd = -(a + m) * (a + b + m) * x / (even * (even + 1))
        d = 1 / _off_zero(1 + odd * d)
        c = _off_zero(1 + odd / c)
        value = value * c * d
        if m % 8 == 0:
            going = ((c * d - 1).abs() > 1e-15).nonzero()[:, 0]
            if len(going) < len(rows):
                result[rows] = value
                if not len(going):
                    return result
                rows, a, b, x, c, d, value = (v[going] for v in (rows, a, b, x, c, d, value))
    result[rows] = value
    return result


def _off_zero(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 1e-300, 1e-300, x)

"""Baselines of moves: densities that need no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.strokes import DRAWS, PEN_STATES
from rhapsode.encoding.vectors import Floats

Ints = NDArray[np.int64]

SCALES = 4
# Rounds of expectation maximisation, and moves that it looks at.
ROUNDS, LOOKED_AT = 25, 100_000
DIRECTIONS, RADII, ORDER = 16, 6, 2
_LEAST = 1e-300


@dataclass(frozen=True)
class Moves:
    """Moves of drawings, with noise in place of the grid.

    Arguments:
        delta_N2: dx and dy.
        pen_N: state of the pen after each move.
        before_N: state of the pen before each move; `PEN_STATES` at the beginning of a drawing.
        past_N4: the two moves before, the nearer first; 0 before the beginning.
        first_N: number of the move in its drawing, from 0.
    """

    delta_N2: Floats
    pen_N: Ints
    before_N: Ints
    past_N4: Floats
    first_N: Ints

    @classmethod
    def of(cls, drawings: Sequence[Floats], grid: float, seed: int) -> Moves:
        """Moves of drawings.

        Arguments:
            drawings: (T, 3) each.
            grid: width of the noise in dx and dy.
            seed: of the noise.
        """
        moves_N3 = np.concatenate(drawings)
        first_N = np.concatenate([np.arange(len(each)) for each in drawings])
        pen_N = moves_N3[:, 2].astype(np.int64)
        before_N = np.where(first_N == 0, PEN_STATES, np.roll(pen_N, 1))
        exact_N2 = moves_N3[:, :2]
        past = [
            np.where((first_N >= lag)[:, None], np.roll(exact_N2, lag, axis=0), 0.0)
            for lag in (1, 2)
        ]
        noise_N2 = np.random.default_rng(seed).random(exact_N2.shape) - 0.5
        return cls(exact_N2 + grid * noise_N2, pen_N, before_N, np.hstack(past), first_N)


def baseline_losses(
    train: Sequence[Floats], test: Sequence[Floats], grid: float
) -> dict[str, float]:
    """Nats a move of each baseline on test drawings, pen included.

    Arguments:
        train: moves (T, 3) of each drawing, from which the baselines are estimated.
        test: moves of the drawings that are scored.
        grid: step of the grid that points lie on; 0 without one.
    """
    learnt, scored = (Moves.of(each, grid, seed) for seed, each in enumerate((train, test)))
    pen = float(-_pen_logs(learnt, scored).mean())
    gaussian = -_gaussian_logs(learnt, scored).mean()
    linear = -_linear_logs(learnt, scored, grid).mean()
    return {
        "gaussian": float(gaussian) + pen,
        "linear": float(linear) + pen,
        "ngram": float(-_ngram_logs(learnt, scored, grid).mean()),
        "pen": pen,
    }


def _pen_logs(learnt: Moves, scored: Moves) -> Floats:
    """Log-probability of the pen after each move, given the pen before."""
    counts = np.ones((PEN_STATES + 1, PEN_STATES))
    np.add.at(counts, (learnt.before_N, learnt.pen_N), 1.0)
    logs = np.log(counts / counts.sum(axis=1, keepdims=True))
    return np.asarray(logs[scored.before_N, scored.pen_N])


def _normal_logs(residual_N2: Floats, covariance_22: Floats) -> Floats:
    precision = np.linalg.inv(covariance_22)
    squares = np.einsum("ni,ij,nj->n", residual_N2, precision, residual_N2)
    logdet = np.linalg.slogdet(covariance_22)[1]
    return np.asarray(-0.5 * (squares + logdet) - np.log(2 * np.pi))


def _covariance(residual_N2: Floats) -> Floats:
    return np.asarray(residual_N2.T @ residual_N2 / max(1, len(residual_N2)) + 1e-9 * np.eye(2))


def _gaussian_logs(learnt: Moves, scored: Moves) -> Floats:
    """Log-densities of moves under a Gaussian for each state of the pen before."""
    logs = np.empty(len(scored.pen_N))
    for jumped in (False, True):
        own, here = ((part.before_N != DRAWS) == jumped for part in (learnt, scored))
        some = learnt.delta_N2[own] if own.sum() > 2 else learnt.delta_N2
        mean_2 = some.mean(axis=0)
        logs[here] = _normal_logs(scored.delta_N2[here] - mean_2, _covariance(some - mean_2))
    return logs


def _linear_logs(learnt: Moves, scored: Moves, grid: float) -> Floats:
    """Log-densities around a linear function of two moves before, a mixture of four scales.

    There is one for each state of the pen before.
    """
    logs = np.empty(len(scored.pen_N))
    for jumped in (False, True):
        own, here = ((part.before_N != DRAWS) == jumped for part in (learnt, scored))
        if own.sum() <= 8:
            own = np.ones(len(learnt.pen_N), dtype=bool)
        design = np.hstack((learnt.past_N4[own], np.ones((int(own.sum()), 1))))
        weights, *_ = np.linalg.lstsq(design, learnt.delta_N2[own], rcond=None)
        residual_N2 = learnt.delta_N2[own] - design @ weights
        mixture = _fit_scales(residual_N2, grid)
        design = np.hstack((scored.past_N4[here], np.ones((int(here.sum()), 1))))
        logs[here] = _scale_logs(scored.delta_N2[here] - design @ weights, *mixture)
    return logs


def _fit_scales(residual_N2: Floats, grid: float) -> tuple[Floats, list[Floats]]:
    """Weights and covariances of Gaussians around 0, by expectation maximisation."""
    residual_N2 = residual_N2[:: max(1, len(residual_N2) // LOOKED_AT)]
    whole = _covariance(residual_N2)
    covariances = [whole * factor for factor in np.geomspace(0.02, 4.0, SCALES)]
    weights = np.full(SCALES, 1 / SCALES)
    least = max(grid**2 / 12, 1e-9 * float(np.trace(whole))) * np.eye(2)
    for _ in range(ROUNDS):
        each = (
            np.stack([_normal_logs(residual_N2, one) for one in covariances])
            + np.log(np.maximum(weights, _LEAST))[:, None]
        )
        shares = np.exp(each - np.logaddexp.reduce(each, axis=0))
        weights = shares.mean(axis=1)
        covariances = [
            (residual_N2 * share[:, None]).T @ residual_N2 / max(share.sum(), 1e-9) + 1e-3 * least
            for share in shares
        ]
    return weights, covariances


def _scale_logs(residual_N2: Floats, weights: Floats, covariances: list[Floats]) -> Floats:
    each = np.stack([_normal_logs(residual_N2, one) for one in covariances])
    return np.asarray(np.logaddexp.reduce(each + np.log(np.maximum(weights, _LEAST))[:, None]))


def _ngram_logs(learnt: Moves, scored: Moves, grid: float) -> Floats:
    """Log-densities of moves as directions, radii and states of the pen, of order 2.

    Counts are interpolated (Witten and Bell 1991); a move is uniform in its cell, beyond the last
    radius exponential.
    """
    radius_N = np.hypot(*learnt.delta_N2.T)
    edges = np.unique(np.quantile(radius_N, np.arange(1, RADII) / RADII))
    rate = 1 / max(float((radius_N[radius_N > edges[-1]] - edges[-1]).mean()), grid, 1e-9)
    symbols, cells = zip(*(_cells(part, edges, rate) for part in (learnt, scored)), strict=True)
    size = DIRECTIONS * (len(edges) + 1) * PEN_STATES
    return np.asarray(_ngram(symbols, (learnt.first_N, scored.first_N), size) + cells[1])


def _cells(moves: Moves, edges: Floats, rate: float) -> tuple[Ints, Floats]:
    """Symbols (N,) of moves, and their log-densities in the cells of the symbols."""
    dx_N, dy_N = moves.delta_N2.T
    radius_N, angle = np.hypot(dx_N, dy_N), 2 * np.pi / DIRECTIONS
    # Sectors are centred on the axes.
    sector_N = np.floor((np.arctan2(dy_N, dx_N) + angle / 2) / angle).astype(np.int64) % DIRECTIONS
    ring_N = np.searchsorted(edges, radius_N, side="right")
    bounds = np.concatenate(([0.0], edges))
    area_M = angle / 2 * (edges**2 - bounds[:-1] ** 2)
    inside = -np.log(np.maximum(np.append(area_M, 1.0), _LEAST))[ring_N]
    tail = (
        np.log(rate) - rate * (radius_N - edges[-1]) - np.log(angle * np.maximum(radius_N, 1e-12))
    )
    symbol_N = (sector_N * (len(edges) + 1) + ring_N) * PEN_STATES + moves.pen_N
    return symbol_N, np.where(ring_N == len(edges), tail, inside)


def _ngram(symbols: Sequence[Ints], places: Sequence[Ints], size: int) -> Floats:
    """Log-probabilities of the symbols of the second sequence, counted in the first."""
    probability_N = np.full(len(symbols[1]), 1 / size)
    for order in range(ORDER + 1):
        keys = [
            _contexts(own, place, order, size) for own, place in zip(symbols, places, strict=True)
        ]
        context, count = np.unique(keys[0], return_counts=True)
        pairs, each = np.unique(keys[0] * size + symbols[0], return_counts=True)
        kinds = np.bincount(np.searchsorted(context, pairs // size), minlength=len(context))
        total_N, kinds_N = (_look_up(context, part, keys[1]) for part in (count, kinds))
        own_N = _look_up(pairs, each, keys[1] * size + symbols[1])
        seen_N = total_N > 0
        mixed_N = (own_N + kinds_N * probability_N) / np.maximum(total_N + kinds_N, 1)
        probability_N = np.where(seen_N, mixed_N, probability_N)
    return np.asarray(np.log(probability_N))


def _contexts(symbol_N: Ints, place_N: Ints, order: int, size: int) -> Ints:
    """Numbers (N,) of the symbols before each, `size` standing for the beginning."""
    context_N = np.zeros(len(symbol_N), dtype=np.int64)
    for lag in range(1, order + 1):
        before_N = np.where(place_N >= lag, np.roll(symbol_N, lag), size)
        context_N = context_N * (size + 1) + before_N
    return context_N


def _look_up(keys: Ints, counts: Ints, wanted_N: Ints) -> Floats:
    place_N = np.minimum(np.searchsorted(keys, wanted_N), len(keys) - 1)
    return np.where(keys[place_N] == wanted_N, counts[place_N], 0).astype(np.float64)

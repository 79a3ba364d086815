"""First weights of a network of series: a linear autoregression."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from rhapsode.bundle.network import Network
from rhapsode.data import ValueArrays
from rhapsode.heads import DensityHead
from rhapsode.models.inputs import Values

Floats = NDArray[np.float64]

MOST_ROWS = 200_000
# Ridge penalties that are tried, as fractions of the number of rows.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
HELD_OUT = 0.2


def start_linear(network: Network, arrays: ValueArrays) -> bool:
    """Initialise a network as a linear autoregression; False if impossible.

    Arguments:
        network: with fresh weights.
        arrays: encoded training data.
    """
    head = network.head
    sees_inputs = network.model.sees_inputs and isinstance(network.input, Values)
    if not sees_inputs or not isinstance(head, DensityHead) or head.counts:
        return False
    known_N = arrays.weights_N > 0
    step = max(1, int(known_N.sum()) // MOST_ROWS)
    rows = np.nonzero(known_N)[0][::step]
    x_ND = np.concatenate((arrays.features_ND[rows], arrays.known_NX[rows]), axis=1)
    fits = []
    for column in arrays.targets_NK[rows].T:
        there = np.isfinite(column)
        fits.append(ridge(x_ND[there].astype(np.float64), column[there].astype(np.float64)))
    weights, biases, deviations = map(np.array, zip(*fits, strict=True))
    parts = (weights, biases, np.log(np.maximum(deviations, 1e-6)))
    return head.start_linear(*(torch.tensor(part, dtype=torch.float32) for part in parts))


def ridge(x_ND: Floats, y_N: Floats) -> tuple[Floats, float, float]:
    """Weights (D,), constant and residual standard deviation of a ridge regression.

    The penalty is the one that forecasts the last rows best.

    Arguments:
        x_ND: features.
        y_N: targets.
    """
    count, width = x_ND.shape
    if count < 3:
        return np.zeros(width), float(y_N.mean()) if count else 0.0, 1.0
    # A value far out would otherwise decide alone.
    limit = np.quantile(np.abs(y_N), 0.99) * 3 + 1e-12
    y_N = np.clip(y_N, -limit, limit)
    cut = max(2, int(count * (1 - HELD_OUT)))
    errors = []
    for strength in STRENGTHS:
        weight_D, bias = _solve(x_ND[:cut], y_N[:cut], strength)
        errors.append(float(np.square(x_ND[cut:] @ weight_D + bias - y_N[cut:]).mean()))
    weight_D, bias = _solve(x_ND, y_N, STRENGTHS[int(np.argmin(errors))])
    return weight_D, bias, float(np.std(y_N - x_ND @ weight_D - bias))


def _solve(x_ND: Floats, y_N: Floats, strength: float) -> tuple[Floats, float]:
    mean_D, middle = x_ND.mean(axis=0), float(y_N.mean())
    centred_ND = x_ND - mean_D
    gram = centred_ND.T @ centred_ND + strength * len(x_ND) * np.eye(x_ND.shape[1])
    weight_D = np.asarray(np.linalg.solve(gram, centred_ND.T @ (y_N - middle)), dtype=np.float64)
    return weight_D, middle - float(mean_D @ weight_D)

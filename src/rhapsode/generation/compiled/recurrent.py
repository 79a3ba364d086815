"""LSTM, GRU and plain recurrent layers over elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from rhapsode.generation.compiled.jit import inner
from rhapsode.generation.compiled.maths import sigmoid32, tanh32
from rhapsode.generation.compiled.spec import (
    EACH,
    EMBEDDING,
    FAMILY,
    FEATURES,
    FIRST,
    FOLDED,
    GRU,
    LAYERS,
    LSTM,
    STATE,
    TABLE,
    TABLE_STEP,
    TANH,
)
from rhapsode.generation.compiled.tiles import PANEL, matmul

__all__ = ["BIAS", "INPUT", "INPUT_SIZE", "PAST", "PAST_BIAS", "read_recurrent"]

# Of a layer
INPUT, PAST, BIAS, PAST_BIAS, INPUT_SIZE = range(5)

_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)


@inner
def _lstm(i_H: Any, f_H: Any, g_H: Any, o_H: Any, h_H: Any, c_H: Any) -> None:
    for j in range(len(h_H)):
        c = sigmoid32(f_H[j]) * c_H[j] + sigmoid32(i_H[j]) * tanh32(g_H[j])
        c_H[j] = c
        h_H[j] = sigmoid32(o_H[j]) * tanh32(c)


@inner
def _gru(
    r_H: Any, u_H: Any, n_H: Any, past_r_H: Any, past_u_H: Any, past_n_H: Any, h_H: Any
) -> None:
    for j in range(len(h_H)):
        reset = sigmoid32(r_H[j] + past_r_H[j])
        update = sigmoid32(u_H[j] + past_u_H[j])
        new = tanh32(n_H[j] + reset * past_n_H[j])
        h_H[j] = (_ONE - update) * new + update * h_H[j]


@inner
def _plain(z_H: Any, h_H: Any, bent: bool) -> None:
    if bent:
        for j in range(len(h_H)):
            h_H[j] = tanh32(z_H[j])
    else:
        for j in range(len(h_H)):
            h_H[j] = z_H[j] if z_H[j] > _ZERO else _ZERO


@inner
def read_recurrent(w: Any, spec: Any, elements_BT: Any, values: Any, y: Any) -> None:
    """Features behind every element; the state goes on in place.

    What the inputs of a layer add to its gates is made for all positions at once; only the past is taken in turn.

    Arguments:
        w: weights.
        spec: what the network is.
        elements_BT: ids.
        values: what the rows remember, in rows of `STATE` numbers: for every layer its hidden values, and an LSTM's
            cell values behind them.
        y: takes the features, in rows of `FEATURES`, position by position of row after row.
    """
    rows, time = elements_BT.shape
    family, size, state = spec[FAMILY], spec[FEATURES], spec[STATE]
    gates = 4 if family == LSTM else 3 if family == GRU else 1
    panels = (gates * size + PANEL - 1) // PANEL
    width = panels * PANEL
    kept = 2 * size if family == LSTM else size
    z = np.empty(rows * time * width, dtype=np.float32)
    past = np.empty(rows * width if family == GRU else 0, dtype=np.float32)
    for layer in range(spec[LAYERS]):
        own = FIRST + layer * EACH
        if layer == 0 and spec[FOLDED]:
            step = spec[TABLE_STEP]
            for b in range(rows):
                for t in range(time):
                    n, first = b * time + t, spec[TABLE] + elements_BT[b, t] * step
                    z[n * width : n * width + step] = w[first : first + step]
                    z[n * width + step : (n + 1) * width] = _ZERO
        else:
            depth = spec[own + INPUT_SIZE]
            bias = w[spec[own + BIAS] : spec[own + BIAS] + width]
            for n in range(rows * time):
                z[n * width : (n + 1) * width] = bias
            below = y
            if layer == 0:
                below = np.empty(rows * time * depth, dtype=np.float32)
                for b in range(rows):
                    for t in range(time):
                        n, first = b * time + t, spec[TABLE] + elements_BT[b, t] * depth
                        below[n * depth : (n + 1) * depth] = w[first : first + depth]
            matmul(
                z, 0, width, w, spec[own + INPUT], PANEL * depth, depth, panels,
                below, 0, depth, rows * time,
            )  # fmt: skip
        weight = spec[own + PAST]
        for t in range(time):
            if family == GRU:
                bias = w[spec[own + PAST_BIAS] : spec[own + PAST_BIAS] + width]
                for b in range(rows):
                    past[b * width : (b + 1) * width] = bias
                matmul(
                    past, 0, width, w, weight, PANEL * size, size, panels,
                    values, layer * kept, state, rows,
                )  # fmt: skip
            else:
                matmul(
                    z, t * width, time * width, w, weight, PANEL * size, size, panels,
                    values, layer * kept, state, rows,
                )  # fmt: skip
            for b in range(rows):
                n, h_at = b * time + t, b * state + layer * kept
                z_G = z[n * width : (n + 1) * width]
                h_H = values[h_at : h_at + size]
                if family == LSTM:
                    _lstm(
                        z_G[:size], z_G[size : 2 * size], z_G[2 * size : 3 * size],
                        z_G[3 * size : 4 * size], h_H, values[h_at + size : h_at + 2 * size],
                    )  # fmt: skip
                elif family == GRU:
                    p_G = past[b * width : (b + 1) * width]
                    _gru(
                        z_G[:size], z_G[size : 2 * size], z_G[2 * size : 3 * size],
                        p_G[:size], p_G[size : 2 * size], p_G[2 * size : 3 * size], h_H,
                    )  # fmt: skip
                else:
                    _plain(z_G[:size], h_H, family == TANH)
                y[n * size : (n + 1) * size] = h_H

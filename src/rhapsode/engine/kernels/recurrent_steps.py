"""LSTM, GRU and plain recurrent layers over elements."""

# ruff: noqa: PLR0917  # compiled code is called by position

from typing import Any

import numpy as np

from rhapsode.engine.kernels.jit import apart, inner
from rhapsode.engine.kernels.maths import copy, fill, sigmoid32, tanh32
from rhapsode.engine.kernels.products import product
from rhapsode.engine.kernels.tiles import PANEL
from rhapsode.engine.offsets import (
    EACH,
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
    TURN,
)

# Of a layer
INPUT, PAST, BIAS, PAST_BIAS, INPUT_SIZE = range(5)

_ONE = np.float32(1.0)
_ZERO = np.float32(0.0)


@inner
def _lstm(z: Any, z_at: int, values: Any, h_at: int, size: int) -> None:
    apart()
    i_H, f_H = z[z_at : z_at + size], z[z_at + size : z_at + 2 * size]
    g_H, o_H = z[z_at + 2 * size : z_at + 3 * size], z[z_at + 3 * size : z_at + 4 * size]
    h_H, c_H = values[h_at : h_at + size], values[h_at + size : h_at + 2 * size]
    for j in range(size):
        c = sigmoid32(f_H[j]) * c_H[j] + sigmoid32(i_H[j]) * tanh32(g_H[j])
        c_H[j] = c
        h_H[j] = sigmoid32(o_H[j]) * tanh32(c)


@inner
def _gru(z: Any, z_at: int, past: Any, past_at: int, values: Any, h_at: int, size: int) -> None:
    apart()
    r_H, past_r_H = z[z_at : z_at + size], past[past_at : past_at + size]
    z_at += size
    past_at += size
    u_H, past_u_H = z[z_at : z_at + size], past[past_at : past_at + size]
    z_at += size
    past_at += size
    n_H, past_n_H = z[z_at : z_at + size], past[past_at : past_at + size]
    h_H = values[h_at : h_at + size]
    for j in range(size):
        reset = sigmoid32(r_H[j] + past_r_H[j])
        update = sigmoid32(u_H[j] + past_u_H[j])
        new = tanh32(n_H[j] + reset * past_n_H[j])
        h_H[j] = (_ONE - update) * new + update * h_H[j]


@inner
def _plain(z: Any, z_at: int, values: Any, h_at: int, size: int, bent: bool) -> None:
    apart()
    z_H, h_H = z[z_at : z_at + size], values[h_at : h_at + size]
    if bent:
        for j in range(size):
            h_H[j] = tanh32(z_H[j])
    else:
        for j in range(size):
            h_H[j] = z_H[j] if z_H[j] > _ZERO else _ZERO  # noqa: FURB136


@inner
def read_recurrent(w: Any, m: Any, spec: Any, elements_BT: Any, values: Any, y: Any) -> None:
    """Features after every element; the state is changed in place.

    The contribution of the inputs to a layer's gates is computed for all positions at once; only
    that of the past is computed in order. The order of panels alternates by position; see
    `products`.

    Arguments:
        w: tables and biases.
        m: matrices.
        spec: description of the network.
        elements_BT: ids.
        values: states of the rows, in rows of `STATE` numbers: for every layer its hidden values,
            and an LSTM's cell values after them.
        y: takes the features, in rows of `FEATURES`, position by position of row after row.
    """
    apart()
    rows, time = elements_BT.shape
    family, size, state = spec[FAMILY], spec[FEATURES], spec[STATE]
    gates = 4 if family == LSTM else 3 if family == GRU else 1
    panels = (gates * size + PANEL - 1) // PANEL
    width = panels * PANEL
    kept = 2 * size if family == LSTM else size
    z = np.empty(rows * time * width, dtype=np.float32)
    past = np.empty(rows * width if family == GRU else 0, dtype=np.float32)
    turn = 1 - spec[TURN]
    for layer in range(spec[LAYERS]):
        own = FIRST + layer * EACH
        if layer == 0 and spec[FOLDED]:
            step = spec[TABLE_STEP]
            for b in range(rows):
                for t in range(time):
                    n, first = b * time + t, spec[TABLE] + elements_BT[b, t] * step
                    copy(z, n * width, w, first, step)
                    fill(z, n * width + step, _ZERO, width - step)
        else:
            depth = spec[own + INPUT_SIZE]
            for n in range(rows * time):
                copy(z, n * width, w, spec[own + BIAS], width)
            below = y
            if layer == 0:
                below = np.empty(rows * time * depth, dtype=np.float32)
                for b in range(rows):
                    for t in range(time):
                        n, first = b * time + t, spec[TABLE] + elements_BT[b, t] * depth
                        copy(below, n * depth, w, first, depth)
            product(
                spec, z, 0, width, m, spec[own + INPUT], depth, panels,
                below, 0, depth, rows * time,
            )  # fmt: skip
        weight = spec[own + PAST]
        for t in range(time):
            spec[TURN] = (turn + t) & 1
            if family == GRU:
                for b in range(rows):
                    copy(past, b * width, w, spec[own + PAST_BIAS], width)
                product(
                    spec, past, 0, width, m, weight, size, panels,
                    values, layer * kept, state, rows,
                )  # fmt: skip
            else:
                product(
                    spec, z, t * width, time * width, m, weight, size, panels,
                    values, layer * kept, state, rows,
                )  # fmt: skip
            for b in range(rows):
                n, h_at = b * time + t, b * state + layer * kept
                if family == LSTM:
                    _lstm(z, n * width, values, h_at, size)
                elif family == GRU:
                    _gru(z, n * width, past, b * width, values, h_at, size)
                else:
                    _plain(z, n * width, values, h_at, size, family == TANH)
                copy(y, n * size, values, h_at, size)

"""Dilated causal convolutions over elements, with their inputs in rings."""

# ruff: noqa: PLR0917  # compiled code is called by position

from typing import Any

import numpy as np

from rhapsode.engine.kernels.jit import apart, inner
from rhapsode.engine.kernels.maths import copy
from rhapsode.engine.kernels.products import product
from rhapsode.engine.kernels.tiles import PANEL
from rhapsode.engine.offsets import (
    EACH,
    FEATURES,
    FIRST,
    LAYERS,
    STATE,
    TABLE,
    TAP_SIZE,
    TAPS,
)

# Of a layer
CONV1, CONV2, CONV1_BIAS, CONV2_BIAS = range(4)

_ZERO = np.float32(0.0)


@inner
def _in_step(count_B: Any) -> bool:
    """True if all rows have read the same number of elements."""
    for b in range(1, len(count_B)):  # noqa: SIM110  # compiled code has no generators
        if count_B[b] != count_B[0]:
            return False
    return True


@inner
def read_convolution(
    w: Any, m: Any, spec: Any, elements_BT: Any, values: Any, count_B: Any, y: Any
) -> None:
    """Features after every element, by convolution.

    The rings are changed in place, `count_B` is not.

    Arguments:
        w: tables and biases.
        m: matrices.
        spec: description of the network.
        elements_BT: ids.
        values: states of the rows, in rows of `STATE` numbers: the ring of one convolution after
            the other.
        count_B: elements that each row has read.
        y: takes the features, in rows of `FEATURES`, position by position of row after row.
    """
    apart()
    rows, time = elements_BT.shape
    positions = rows * time
    size, taps, state = spec[FEATURES], spec[TAPS], spec[STATE]
    panels = (size + PANEL - 1) // PANEL
    row = panels * PANEL
    together = time == 1 and _in_step(count_B)
    x = np.empty(positions * row, dtype=np.float32)
    branch = np.empty(positions * row, dtype=np.float32)
    found = np.empty(positions * row, dtype=np.float32)
    longest = (taps - 1) * 2 ** (spec[LAYERS] - 1)
    seen = np.empty(0 if together else (longest + time) * size, dtype=np.float32)
    for b in range(rows):
        for t in range(time):
            n, first = b * time + t, spec[TABLE] + elements_BT[b, t] * row
            copy(x, n * row, w, first, row)
    ring = 0
    for layer in range(spec[LAYERS]):
        own = FIRST + layer * EACH
        dilation = 2**layer
        reach = (taps - 1) * dilation
        copy(branch, 0, x, 0, positions * row)
        for which in range(2):
            weight, bias = spec[own + CONV1 + which], spec[own + CONV1_BIAS + which]
            for n in range(positions):
                copy(found, n * row, w, bias, row)
            for tap in range(taps if together else 0):
                lag = (taps - 1 - tap) * dilation
                matrix = weight + tap * spec[TAP_SIZE]
                if lag:
                    slot = (count_B[0] + reach - lag) % reach
                    product(
                        spec, found, 0, row, m, matrix, size, panels,
                        values, ring + slot * size, state, rows,
                    )  # fmt: skip
                else:
                    product(spec, found, 0, row, m, matrix, size, panels, branch, 0, row, rows)
            for b in range(rows):
                own_ring = b * state + ring
                if together:
                    slot = count_B[b] % reach
                    copy(values, own_ring + slot * size, branch, b * row, size)
                    continue
                for i in range(reach):
                    slot = (count_B[b] + i) % reach
                    copy(seen, i * size, values, own_ring + slot * size, size)
                for t in range(time):
                    n = b * time + t
                    place = (reach + t) * size
                    copy(seen, place, branch, n * row, size)
                for tap in range(taps):
                    product(
                        spec, found, b * time * row, row, m, weight + tap * spec[TAP_SIZE],
                        size, panels, seen, tap * dilation * size, size, time,
                    )  # fmt: skip
                for i in range(reach):
                    slot = (count_B[b] + time + i) % reach
                    place = (time + i) * size
                    copy(values, own_ring + slot * size, seen, place, size)
            for j in range(positions * row):
                branch[j] = max(_ZERO, found[j])
            ring += reach * size
        for j in range(positions * row):
            x[j] += branch[j]
    for n in range(positions):
        copy(y, n * size, x, n * row, size)

"""Transformers over elements.

Keys and values of the last positions lie in rings, in panels, so that both halves of attention are
the products that all other layers are made of.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

import math
from typing import Any

import numpy as np

from rhapsode.engine.kernels.jit import apart, inner
from rhapsode.engine.kernels.maths import copy, exp32, fill, sigmoid32
from rhapsode.engine.kernels.products import product
from rhapsode.engine.kernels.tiles import PANEL, matmul
from rhapsode.engine.offsets import (
    CLASSIC,
    EACH,
    EMBEDDING,
    FAMILY,
    FIRST,
    FREQUENCIES,
    HEADS,
    INNER,
    LAYERS,
    NORM,
    POSITIONS,
    STATE,
    TABLE,
    WINDOW,
)

# Of a layer
QKV, OUT, UP, DOWN, NORM1, NORM2, QKV_BIAS, OUT_BIAS, UP_BIAS, DOWN_BIAS, NORM1_BIAS, NORM2_BIAS = (
    range(12)
)

_ZERO = np.float32(0.0)
_RMS_EPSILON = np.float32(1e-6)
_LAYER_EPSILON = np.float32(1e-5)


@inner
def _sum(x_N: Any) -> Any:
    """A sum in eight strands, always the same ones."""
    a = b = c = d = e = f = g = h = _ZERO
    whole = len(x_N) // 8 * 8
    for j in range(0, whole, 8):
        a += x_N[j]
        b += x_N[j + 1]
        c += x_N[j + 2]
        d += x_N[j + 3]
        e += x_N[j + 4]
        f += x_N[j + 5]
        g += x_N[j + 6]
        h += x_N[j + 7]
    for j in range(whole, len(x_N)):
        a += x_N[j]
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@inner
def _root_normed(x: Any, x_at: int, w: Any, weight: int, out: Any, out_at: int, size: int) -> None:
    apart()
    x_D, out_D = x[x_at : x_at + size], out[out_at : out_at + size]
    weight_D = w[weight : weight + size]
    for j in range(size):
        out_D[j] = x_D[j] * x_D[j]
    scale = np.float32(1.0 / math.sqrt(_sum(out_D) / np.float32(size) + _RMS_EPSILON))
    for j in range(size):
        out_D[j] = x_D[j] * scale * weight_D[j]


@inner
def _layer_normed(x: Any, x_at: int, w: Any, weight: int, bias: int, some: Any, size: int) -> None:
    """In place; `some` is scratch."""
    apart()
    x_D, some_D = x[x_at : x_at + size], some[:size]
    weight_D, bias_D = w[weight : weight + size], w[bias : bias + size]
    mean = np.float32(_sum(x_D) / np.float32(size))
    for j in range(size):
        some_D[j] = (x_D[j] - mean) * (x_D[j] - mean)
    scale = np.float32(1.0 / math.sqrt(_sum(some_D) / np.float32(size) + _LAYER_EPSILON))
    for j in range(size):
        x_D[j] = (x_D[j] - mean) * scale * weight_D[j] + bias_D[j]


@inner
def _turn(x: Any, x_at: int, cos: Any, sin: Any, turn_at: int, half: int) -> None:
    """Apply rotary positions in place.

    The first half of the features are real parts, the second half imaginary parts.
    """
    apart()
    first_C, second_C = x[x_at : x_at + half], x[x_at + half : x_at + 2 * half]
    cos_C, sin_C = cos[turn_at : turn_at + half], sin[turn_at : turn_at + half]
    for j in range(half):
        real, imaginary = first_C[j], second_C[j]
        first_C[j] = real * cos_C[j] - imaginary * sin_C[j]
        second_C[j] = imaginary * cos_C[j] + real * sin_C[j]


@inner
def _add(x: Any, x_at: int, other: Any, other_at: int, size: int) -> None:
    apart()
    x_D, other_D = x[x_at : x_at + size], other[other_at : other_at + size]
    for j in range(size):
        x_D[j] += other_D[j]


@inner
def _bend(lifted: Any, at: int, size: int, classic: bool) -> None:
    """The activation between the two products of the feed-forward layer, in place."""
    apart()
    gate = lifted[at : at + size]
    if classic:
        for j in range(size):
            # A branch instead of `max`, which has rules for NaN.
            gate[j] = gate[j] if gate[j] > _ZERO else _ZERO  # noqa: FURB136
    else:
        other = lifted[at + size : at + 2 * size]
        for j in range(size):
            gate[j] = gate[j] * sigmoid32(gate[j]) * other[j]


@inner
def _attend(
    qkv: Any, at: int, values: Any, cache: int, number: int, heads: int, width: int, window: int,
    scores: Any, mixed: Any, out: Any, out_at: int,
) -> None:  # fmt: skip
    """Store a position's keys and values, and compute its attention."""
    apart()
    slots = (window + PANEL - 1) // PANEL * PANEL
    wide = (width + PANEL - 1) // PANEL * PANEL
    slot = number % window
    seen = min(number + 1, window)
    scale = np.float32(1.0 / math.sqrt(width))
    all_heads = heads * width
    for head in range(heads):
        key = cache + head * (slots * width + wide * window)
        value = key + slots * width
        q = at + head * width
        key_slot = key + slot // PANEL * PANEL * width + slot % PANEL
        for c in range(width):
            values[key_slot + c * PANEL] = qkv[q + all_heads + c]
        for c in range(width):
            place = value + c // PANEL * PANEL * window + slot * PANEL + c % PANEL
            values[place] = qkv[q + 2 * all_heads + c]
        panels = (seen + PANEL - 1) // PANEL
        fill(scores, 0, _ZERO, panels * PANEL)
        matmul(scores, 0, 0, values, key, PANEL * width, width, panels, qkv, q, 0, 1)
        most = scores[0]
        for s in range(1, seen):
            most = max(most, scores[s])
        weights = scores[:seen]
        for s in range(seen):
            weights[s] = exp32((weights[s] - most) * scale)
        share = np.float32(1.0) / _sum(weights)
        mixed[:wide] = _ZERO
        matmul(mixed, 0, 0, values, value, PANEL * window, seen, wide // PANEL, scores, 0, 0, 1)
        for c in range(width):
            out[out_at + head * width + c] = mixed[c] * share


@inner
def _fill(z: Any, width: int, positions: int, w: Any, bias_at: int) -> None:
    """Set every position to the bias, or to 0 without one."""
    if bias_at < 0:
        fill(z, 0, _ZERO, positions * width)
    else:
        for n in range(positions):
            copy(z, n * width, w, bias_at, width)


@inner
def read_attention(
    w: Any, m: Any, spec: Any, elements_BT: Any, values: Any, count_B: Any, y: Any
) -> None:
    """Features after every element, by attention.

    The rings are changed in place, `count_B` is not. Layers are read one after the other, each over
    all positions: only attention reads positions in order.

    Arguments:
        w: tables, norms and biases.
        m: matrices.
        spec: description of the network.
        elements_BT: ids.
        values: states of the rows, in rows of `STATE` numbers: for every layer and head keys in
            panels of slots, then values in panels of features.
        count_B: elements that each row has read.
        y: takes the features, in rows of `EMBEDDING`, position by position of row after row.
    """
    apart()
    rows, time = elements_BT.shape
    positions = rows * time
    size, heads, window, inside = spec[EMBEDDING], spec[HEADS], spec[WINDOW], spec[INNER]
    classic = spec[FAMILY] == CLASSIC
    width = size // heads
    half = width // 2
    size_panels = (size + PANEL - 1) // PANEL
    row = size_panels * PANEL
    qkv_panels = (3 * size + PANEL - 1) // PANEL
    qkv_row = qkv_panels * PANEL
    up = inside if classic else 2 * inside
    up_panels = (up + PANEL - 1) // PANEL
    up_row = up_panels * PANEL
    slots = (window + PANEL - 1) // PANEL * PANEL
    wide = (width + PANEL - 1) // PANEL * PANEL
    cache = heads * (slots * width + wide * window)

    x = np.zeros(positions * row, dtype=np.float32)
    normed = np.zeros(positions * row, dtype=np.float32)
    branch = np.zeros(positions * row, dtype=np.float32)
    qkv = np.empty(positions * qkv_row, dtype=np.float32)
    lifted = np.empty(positions * up_row, dtype=np.float32)
    scores = np.empty(slots, dtype=np.float32)
    mixed = np.empty(wide, dtype=np.float32)
    cos = np.empty(positions * half, dtype=np.float32)
    sin = np.empty(positions * half, dtype=np.float32)
    for b in range(rows):
        for t in range(time):
            n, number = b * time + t, count_B[b] + t
            first = spec[TABLE] + elements_BT[b, t] * size
            copy(x, n * row, w, first, size)
            if classic:
                _add(x, n * row, w, spec[POSITIONS] + number * size, size)
            else:
                known = w[spec[FREQUENCIES] : spec[FREQUENCIES] + 2 * half].view(np.float64)
                for j in range(half):
                    cos[n * half + j] = np.float32(math.cos(number * known[j]))
                    sin[n * half + j] = np.float32(math.sin(number * known[j]))

    for layer in range(spec[LAYERS]):
        own = FIRST + layer * EACH
        read = x
        if not classic:
            read = normed
            for n in range(positions):
                _root_normed(x, n * row, w, spec[own + NORM1], normed, n * row, size)
        _fill(qkv, qkv_row, positions, w, spec[own + QKV_BIAS])
        product(
            spec, qkv, 0, qkv_row, m, spec[own + QKV], size, qkv_panels,
            read, 0, row, positions,
        )  # fmt: skip
        for b in range(rows):
            for t in range(time):
                n = b * time + t
                first = n * qkv_row
                if not classic:
                    for part in range(2 * heads):
                        _turn(qkv, first + part * width, cos, sin, n * half, half)
                _attend(
                    qkv, first, values, b * spec[STATE] + layer * cache, count_B[b] + t,
                    heads, width, window, scores, mixed, branch, n * row,
                )  # fmt: skip
        if classic:
            for n in range(positions):
                _add(x, n * row, w, spec[own + OUT_BIAS], size)
        product(
            spec, x, 0, row, m, spec[own + OUT], size, size_panels,
            branch, 0, row, positions,
        )  # fmt: skip
        for n in range(positions):
            first = n * row
            if classic:
                _layer_normed(x, first, w, spec[own + NORM1], spec[own + NORM1_BIAS], normed, size)
            else:
                _root_normed(x, first, w, spec[own + NORM2], normed, first, size)
        _fill(lifted, up_row, positions, w, spec[own + UP_BIAS])
        product(
            spec, lifted, 0, up_row, m, spec[own + UP], size, up_panels,
            read, 0, row, positions,
        )  # fmt: skip
        for n in range(positions):
            _bend(lifted, n * up_row, inside, classic)
        if classic:
            for n in range(positions):
                _add(x, n * row, w, spec[own + DOWN_BIAS], size)
        product(
            spec, x, 0, row, m, spec[own + DOWN], inside, size_panels,
            lifted, 0, up_row, positions,
        )  # fmt: skip
        if classic:
            for n in range(positions):
                _layer_normed(
                    x, n * row, w, spec[own + NORM2], spec[own + NORM2_BIAS], normed, size
                )

    for n in range(positions):
        if classic:
            copy(y, n * size, x, n * row, size)
        else:
            _root_normed(x, n * row, w, spec[NORM], y, n * size, size)

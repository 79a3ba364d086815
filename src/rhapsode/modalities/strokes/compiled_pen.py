"""LSTM layers that move a pen, in compiled code.

They read given moves and draw new ones.

All functions are in this file, so that cached code is renewed with it.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rhapsode.compiling import jitted

# Numbers that describe a network, then those of each layer.
(
    INPUT, WIDTH, BELOW_SIZE, BELOW, ABOVE, WINDOW, GAUSSIANS, MEETING, VALUES, HEAD, HEAD_BIAS,
    DEPTH, MIXTURE, BY_PEN, QUERY, QUERY_BIAS, SHAPE, SHAPE_BIAS, FIRST,
) = range(19)  # fmt: skip
LAYER_IN, LAYER_X, LAYER_H, LAYER_BIAS, LAYER_SIZE, EACH = range(6)
# Kinds of window.
NONE, GAUSSIAN, READING = range(3)
# What the encoder remembers of a row.
X, Y, START_X, START_Y, LEAST, PEN, STROKES, MOVES, MEMORY = range(9)
# Numbers that are not whole.
(
    SCALE, EXTENT, HEIGHT, STROKE, GRID, UNIT, LEAST_LOG, BIAS, TEMPERATURE, FARTHEST, NUMBERS,
) = range(11)  # fmt: skip
# Why a row ended.
GOES_ON, STOP, PASSED = range(3)

FEATURES = 17
_PENS = 3
_WIDEST = 30.0
_MOST_CORRELATED = 0.99
_TINY = 2.0**-54


def _compiled(function: Any) -> Any:
    return jitted(
        function, nogil=True, no_cfunc_wrapper=True, error_model="numpy", fastmath={"contract"}
    )


@_compiled
def _product(z: Any, w: Any, at: int, depth: int, width: int, x: Any, x_at: int) -> None:
    """Add W x to z, for a matrix in rows of `width`, a row for each of `depth` inputs."""
    whole = depth - depth % 4
    for k in range(0, whole, 4):
        a, b, c, d = x[x_at + k], x[x_at + k + 1], x[x_at + k + 2], x[x_at + k + 3]
        row = at + k * width
        u = w[row : row + width]
        v = w[row + width : row + 2 * width]
        s = w[row + 2 * width : row + 3 * width]
        t = w[row + 3 * width : row + 4 * width]
        for j in range(width):
            z[j] += a * u[j] + b * v[j] + c * s[j] + d * t[j]
    for k in range(whole, depth):
        a = x[x_at + k]
        u = w[at + k * width : at + (k + 1) * width]
        for j in range(width):
            z[j] += a * u[j]


@_compiled
def _logistic(x: Any) -> Any:
    return np.float32(1.0) / (np.float32(1.0) + np.exp(-x))


@_compiled
def _layers(spec: Any, w: Any, first: int, count: int, x: Any, values: Any, at: int, z: Any) -> int:
    """Layers over one position, in place; the outputs replace the beginning of `x`."""
    for layer in range(first, first + count):
        own = FIRST + layer * EACH
        size = spec[own + LAYER_SIZE]
        width = 4 * size
        bias = spec[own + LAYER_BIAS]
        for j in range(width):
            z[j] = w[bias + j]
        _product(z, w, spec[own + LAYER_X], spec[own + LAYER_IN], width, x, 0)
        _product(z, w, spec[own + LAYER_H], size, width, values, at)
        for j in range(size):
            cell = _logistic(z[size + j]) * values[at + size + j] + _logistic(z[j]) * np.tanh(
                z[2 * size + j]
            )
            values[at + size + j] = cell
            hidden = _logistic(z[3 * size + j]) * np.tanh(cell)
            values[at + j] = hidden
            x[j] = hidden
        at += 2 * size
    return at


@_compiled
def _attend(
    spec: Any, w: Any, query: Any, kappa: Any, seen: Any, key_SD: Any, value_SE: Any, length: int,
    shape: Any, joined: Any, context: Any,
) -> int:  # fmt: skip
    """Move a window on: its weighted sum of values, and the element of the greatest weight.

    Where all weights are 0, far from the text, it is the one nearest to the mean centre.
    """
    gaussians, size = spec[GAUSSIANS], spec[BELOW_SIZE]
    wide = 3 * gaussians
    for j in range(wide):
        shape[j] = w[spec[SHAPE_BIAS] + j]
    if spec[WINDOW] == READING:
        meeting = spec[MEETING]
        for j in range(meeting):
            joined[j] = w[spec[QUERY_BIAS] + j] + seen[j]
        _product(joined[:meeting], w, spec[QUERY], size, meeting, query, 0)
        for j in range(meeting):
            joined[j] = np.tanh(joined[j])
        _product(shape, w, spec[SHAPE], meeting, wide, joined, 0)
    else:
        _product(shape, w, spec[SHAPE], size, wide, query, 0)
    for j in range(wide):
        shape[j] = np.exp(min(shape[j], np.float32(5.0)))
    for j in range(gaussians):
        kappa[j] += shape[2 * gaussians + j]
    context[:] = np.float32(0.0)
    seen[:] = np.float32(0.0)
    place, greatest = 0, np.float32(-1.0)
    for s in range(length):
        total = np.float32(0.0)
        for j in range(gaussians):
            distance = kappa[j] - np.float32(s + 1)
            power = -shape[gaussians + j] * distance * distance
            if power > np.float32(-80.0):
                total += shape[j] * np.exp(power)
        if total > greatest:
            place, greatest = s, total
        if total > np.float32(0.0):
            row = value_SE[s]
            for j in range(len(row)):
                context[j] += total * row[j]
            key = key_SD[s]
            for j in range(len(key)):
                seen[j] += total * key[j]
    if greatest == np.float32(0.0):
        centre = 0.0
        for j in range(gaussians):
            centre += kappa[j]
        place = int(min(max(centre / gaussians - 0.5, 0.0), length - 1.0))
    return place


@_compiled
def _features(numbers: Any, dx: float, dy: float, pen: float, memory: Any, x: Any) -> None:
    """Features after a move, as `StrokeEncoder.features_after` gives them."""
    scale, stroke, unit = numbers[SCALE], numbers[STROKE], numbers[UNIT]
    length = max(math.hypot(dx, dy), 1e-9 * unit)
    values = (
        dx / scale, dy / scale, math.asinh(dx / unit) / 3, math.asinh(dy / unit) / 3,
        dx / length, dy / length,
        1.0 if pen == 0 else 0.0, 1.0 if pen == 1 else 0.0, 1.0 if pen == 2 else 0.0,
        1.0 if memory[PEN] > 0 else 0.0,
        memory[X] / numbers[EXTENT], memory[Y] / numbers[HEIGHT],
        (memory[X] - memory[START_X]) / stroke, (memory[Y] - memory[START_Y]) / stroke,
        math.log1p(memory[LEAST] / unit) / 3, math.log1p(memory[STROKES]) / 3,
        math.log1p(memory[MOVES]) / 5,
    )  # fmt: skip
    for j in range(FEATURES):
        x[j] = np.float32(min(max(values[j], -numbers[FARTHEST]), numbers[FARTHEST]))


@_compiled
def _push(memory: Any, dx: float, dy: float, before: float) -> None:
    """Read a move, as `StrokePaths.push` does."""
    memory[X] += dx
    memory[Y] += dy
    if before > 0:
        memory[START_X], memory[START_Y] = memory[X], memory[Y]
        memory[STROKES] += 1
    least = math.inf if memory[LEAST] <= 0 else memory[LEAST]
    if dx != 0:
        least = min(least, abs(dx))
    if dy != 0:
        least = min(least, abs(dy))
    memory[LEAST] = 0.0 if least == math.inf else least
    memory[PEN] = before
    memory[MOVES] += 1


@_compiled
def _chosen(logits: Any, at: int, count: int, factor: float, uniform: float) -> Any:
    """An entry by a uniform, and the remainder of the uniform, as the head chooses."""
    greatest = -math.inf
    for j in range(count):
        greatest = max(greatest, factor * logits[at + j])
    total = 0.0
    for j in range(count):
        total += math.exp(factor * logits[at + j] - greatest)
    point, so_far = uniform * total, 0.0
    for j in range(count):
        weight = math.exp(factor * logits[at + j] - greatest)
        if point < so_far + weight or j == count - 1:
            rest = (point - so_far) / max(weight, _TINY)
            return j, min(max(rest, 0.0), 1.0 - 2 * _TINY)
        so_far += weight
    return count - 1, 0.0


@_compiled
def _drawn(
    spec: Any, numbers: Any, p: Any, first: float, second: float, third: float, states: int
) -> Any:
    """A move in the units of the targets, of parameters as the network gives them.

    Its state of the pen is one of the first `states`.
    """
    count = spec[MIXTURE]
    temperature = numbers[TEMPERATURE]
    greedy = temperature <= 0.0
    kinds = _PENS if spec[BY_PEN] else 1
    if greedy:
        pen = 0
        for j in range(1, states):
            if p[j] > p[pen]:
                pen = j
        at = _PENS + (pen * count if spec[BY_PEN] else 0)
        part = 0
        for j in range(1, count):
            if p[at + j] > p[at + part]:
                part = j
    else:
        pen, rest = _chosen(p, 0, states, 1.0 / temperature, third)
        at = _PENS + (pen * count if spec[BY_PEN] else 0)
        part, _ = _chosen(p, at, count, (1.0 + numbers[BIAS]) / temperature, rest)
    means = _PENS + kinds * count
    widths = means + 2 * count
    x, y = float(p[means + part]), float(p[means + count + part])
    if greedy:
        return x, y, pen
    tall = math.sqrt(temperature)
    across = _width(p[widths + part], numbers)
    along = _width(p[widths + count + part], numbers)
    correlation = _MOST_CORRELATED * math.tanh(p[widths + 2 * count + part])
    mixed = correlation * first + math.sqrt(1.0 - correlation * correlation) * second
    return x + tall * math.exp(across) * first, y + tall * math.exp(along) * mixed, pen


@_compiled
def _width(raw: float, numbers: Any) -> Any:
    least = numbers[LEAST_LOG]
    high, low = max(raw, least), min(raw, least)
    wide = min(max(high + math.log1p(math.exp(low - high)), -_WIDEST), _WIDEST)
    return min(max(wide - numbers[BIAS], -_WIDEST), _WIDEST)


@_compiled
def move_pen(
    spec: Any, w: Any, numbers: Any, values_BV: Any, kappa_BK: Any, seen_BD: Any, memory_BM: Any,
    feature_BF: Any, key_SD: Any, value_SE: Any, given_T3: Any, normal_BT2: Any, third_BT: Any,
    letters: int, past_B: Any, count_B: Any, least_past: int, most_past: int, out_BT3: Any,
    end_B: Any, place_BT: Any,
) -> None:  # fmt: skip
    """Read given moves, then draw moves for all rows.

    States go on in place. Rows do not meet: what is drawn in one does not depend on the others.

    Arguments:
        spec: whole numbers of the network.
        w: its weights, flat.
        numbers: other numbers.
        values_BV: hidden and cell values of all layers.
        kappa_BK: centres of the window.
        seen_BD: keys of what it last read.
        memory_BM: what the encoder remembers of each row.
        feature_BF: features before the next move.
        key_SD: keys of the text.
        value_SE: features of the characters of the text, its end included.
        given_T3: moves that all rows read first.
        normal_BT2: normals of the draws.
        third_BT: uniforms that choose state of the pen and component.
        letters: characters of the text; -1 without one.
        past_B: moves of each row since the window has passed the text.
        count_B: moves that each row has drawn.
        least_past: of those behind the text, at which a lift ends a row.
        most_past: of them, that end a row.
        out_BT3: takes the moves.
        end_B: takes why a row ended.
        place_BT: takes the character under the window before each move, given ones included.
    """
    widest = 0
    for layer in range(spec[BELOW] + spec[ABOVE]):
        widest = max(widest, spec[FIRST + layer * EACH + LAYER_SIZE])
    z = np.empty(4 * widest, dtype=np.float32)
    x = np.empty(widest + spec[VALUES] + spec[INPUT] + 8, dtype=np.float32)
    shape = np.empty(3 * spec[GAUSSIANS], dtype=np.float32)
    joined = np.empty(max(1, spec[MEETING]), dtype=np.float32)
    context = np.empty(spec[VALUES], dtype=np.float32)
    p = np.empty(spec[WIDTH], dtype=np.float32)
    given = len(given_T3)
    for t in range(given + out_BT3.shape[1]):
        for b in range(len(values_BV)):
            if end_B[b]:
                continue
            for j in range(FEATURES):
                x[j] = feature_BF[b, j]
            at = _layers(spec, w, 0, spec[BELOW], x, values_BV[b], 0, z)
            place = 0
            if spec[WINDOW] != NONE:
                place = _attend(
                    spec, w, x, kappa_BK[b], seen_BD[b], key_SD, value_SE, len(value_SE),
                    shape, joined, context,
                )  # fmt: skip
                for j in range(spec[VALUES]):
                    x[spec[BELOW_SIZE] + j] = context[j]
            _layers(spec, w, spec[BELOW], spec[ABOVE], x, values_BV[b], at, z)
            place_BT[b, t] = place
            if t < given:
                dx, dy, pen = given_T3[t, 0], given_T3[t, 1], given_T3[t, 2]
            else:
                for j in range(spec[WIDTH]):
                    p[j] = w[spec[HEAD_BIAS] + j]
                _product(p, w, spec[HEAD], spec[DEPTH], spec[WIDTH], x, 0)
                n = t - given
                # A text does not end before its last character.
                states = _PENS if place >= letters - 1 else _PENS - 1
                dx, dy, kind = _drawn(
                    spec, numbers, p, normal_BT2[b, n, 0], normal_BT2[b, n, 1], third_BT[b, n],
                    states,
                )  # fmt: skip
                pen = float(kind)
                dx *= numbers[SCALE]
                dy *= numbers[SCALE]
                if numbers[GRID] > 0:
                    dx = np.round(dx / numbers[GRID]) * numbers[GRID] + 0.0
                    dy = np.round(dy / numbers[GRID]) * numbers[GRID] + 0.0
                out_BT3[b, n, 0], out_BT3[b, n, 1], out_BT3[b, n, 2] = dx, dy, pen
                count_B[b] += 1
                if letters >= 0:
                    past_B[b] = past_B[b] + 1 if place >= letters else 0
                if pen == 2:
                    end_B[b] = STOP
                elif past_B[b] >= (least_past if pen == 1 else most_past):
                    end_B[b] = PASSED
            before = 0.0
            if memory_BM[b, MOVES] > 0:
                before = feature_BF[b, 7] + 2.0 * feature_BF[b, 8]
            _push(memory_BM[b], dx, dy, before)
            _features(numbers, dx, dy, pen, memory_BM[b], feature_BF[b])

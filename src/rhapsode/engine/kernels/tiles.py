"""Products of a matrix with rows, bitwise independent of other rows.

A matrix (G, K) is stored in panels of 32 outputs: (G / 32, K, 32), with zeros after the last
output. Every output adds its K products in order, one after the other, for one row or four and for
one panel or more: vectors run across outputs, never along the sum. The code is written in vectors
of 16, which the compiler splits for the machine; but with sixteen registers of eight numbers
(AVX2), a tile is made part by part, each with as many sums as fit into them. Four rows read two
panels at once: sixteen sums hide the time of an addition, and two streams come faster than one.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from rhapsode.engine.kernels.jit import apart, inner

PANEL = 32
# Vectors of eight sums that a part of a tile keeps: with three weights and an input they take all
# sixteen registers.
_ROOM = 12
# Inputs that are multiplied for all rows before the next: 32 kB of two panels stay in the nearest
# cache.
_NEAR = 128

cgutils: Any = _cgutils

_FLOAT = ir.FloatType()
_INT = ir.IntType(64)
_INDEX = ir.IntType(32)


def padded(size: int) -> int:
    """The size rounded up to whole panels."""
    return -(-size // PANEL) * PANEL


def pack(weight_GK: NDArray[np.float32]) -> NDArray[np.float32]:
    """A matrix laid in panels, flat."""
    outputs, depth = weight_GK.shape
    whole_GK = np.zeros((padded(outputs), depth), dtype=np.float32)
    whole_GK[:outputs] = weight_GK
    panels = whole_GK.reshape(-1, PANEL, depth).transpose(0, 2, 1)
    return np.ascontiguousarray(panels, dtype=np.float32).reshape(-1)


def features_of(context: Any) -> set[str]:
    """Features of the target machine, in LLVM's names."""
    return set(context.codegen().magic_tuple()[2].split(","))


def lanes_of(context: Any) -> int:
    """Vector width: 8 where tiles are made in parts, else 16."""
    features = features_of(context)
    return 8 if "+avx2" in features and "+avx512f" not in features else 16


def shares(lanes: int, rows: int, panels: int, each: int = 1) -> list[list[tuple[int, int]]]:
    """The parts of a tile: panels, with offsets of weight vectors.

    Arguments:
        lanes: numbers of a vector.
        rows: of inputs.
        panels: of weights.
        each: vectors of sums of a row that a vector of weights gives.
    """
    vectors = [
        (panel, place) for panel in range(panels) for place in range(0, PANEL // each, lanes)
    ]
    most = len(vectors) if lanes > 8 else max(1, _ROOM // (rows * each))
    most = -(-len(vectors) // -(-len(vectors) // most))  # parts of similar size
    return [vectors[first : first + most] for first in range(0, len(vectors), most)]


def _tile(rows: int, panels: int) -> Callable[..., None]:
    """Generate the product of some panels with some rows, added to y.

    Accumulators stay in registers.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        y, w, x = (
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(signature.args[:3], args[:3], strict=True)
        )
        w_at, w_step, depth = args[3:6]
        y_at, x_at = (cgutils.unpack_tuple(builder, places) for places in args[6:8])
        lanes = lanes_of(context)
        kind = ir.VectorType(_FLOAT, lanes)
        fused = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fmuladd.v{lanes}f32"
        )

        def at(pointer: Any, *offsets: Any) -> Any:
            for offset in offsets:
                known = ir.Constant(_INT, offset) if isinstance(offset, int) else offset
                pointer = builder.gep(pointer, [known])
            return pointer

        def load(pointer: Any) -> Any:
            vector = builder.load(builder.bitcast(pointer, kind.as_pointer()))
            vector.align = 4
            return vector

        def spread(number: Any) -> Any:
            unknown = ir.Constant(kind, ir.Undefined)
            first = builder.insert_element(unknown, number, ir.Constant(_INDEX, 0))
            mask = ir.Constant(ir.VectorType(_INDEX, lanes), [0] * lanes)
            return builder.shuffle_vector(first, unknown, mask)

        starts = [
            at(w, w_at, builder.mul(w_step, ir.Constant(_INT, panel))) for panel in range(panels)
        ]
        for share in shares(lanes, rows, panels):
            places = [
                [at(y, y_at[row], panel * PANEL + part) for panel, part in share]
                for row in range(rows)
            ]
            sums = [[cgutils.alloca_once_value(builder, load(p)) for p in row] for row in places]
            with cgutils.for_range(builder, depth) as loop:
                first = builder.mul(loop.index, ir.Constant(_INT, PANEL))
                weights = [load(at(starts[panel], first, part)) for panel, part in share]
                for row in range(rows):
                    number = spread(builder.load(at(x, x_at[row], loop.index)))
                    for total, weight in zip(sums[row], weights, strict=True):
                        told = builder.call(fused, [weight, number, builder.load(total)])
                        builder.store(told, total)
            for row_sums, row_places in zip(sums, places, strict=True):
                for total, place in zip(row_sums, row_places, strict=True):
                    stored = builder.store(
                        builder.load(total), builder.bitcast(place, kind.as_pointer())
                    )
                    stored.align = 4
        return context.get_dummy_value()

    def tile(
        typing: Any,
        y: Any,
        w: Any,
        x: Any,
        w_at: Any,
        w_step: Any,
        depth: Any,
        y_at: Any,
        x_at: Any,
    ) -> Any:
        return types.void(y, w, x, w_at, w_step, depth, y_at, x_at), emit

    return cast("Callable[..., None]", intrinsic(tile))


_one_row = _tile(1, 4)
_one_row_rest = _tile(1, 1)
_four_rows = _tile(4, 2)
_four_rows_rest = _tile(4, 1)


@inner
def matmul(
    y: Any, y_at: int, y_step: int, w: Any, w_at: int, step: int, depth: int, panels: int,
    x: Any, x_at: int, x_step: int, rows: int,
) -> None:  # fmt: skip
    """y[r] += W x[r] for some rows.

    Places count numbers from the first of each array.

    Arguments:
        y: outputs; a row has room for whole panels.
        y_at: where the first row lies.
        y_step: from a row to the next.
        w: weights in panels.
        w_at: where they lie.
        step: from a panel to the next: 32 K, but where only the first K of more are read.
        depth: K.
        panels: outputs in panels.
        x: inputs, as y.
        x_at: as y.
        x_step: as y.
        rows: how many.
    """
    apart()
    fours = rows // 4 * 4
    if fours:
        for panel in range(0, panels, 2):
            for begin in range(0, depth, _NEAR):
                count, first = min(_NEAR, depth - begin), w_at + panel * step + begin * PANEL
                for row in range(0, fours, 4):
                    a, b = y_at + row * y_step + panel * PANEL, x_at + row * x_step + begin
                    places = (a, a + y_step, a + 2 * y_step, a + 3 * y_step)
                    inputs = (b, b + x_step, b + 2 * x_step, b + 3 * x_step)
                    if panel + 1 < panels:
                        _four_rows(y, w, x, first, step, count, places, inputs)
                    else:
                        _four_rows_rest(y, w, x, first, step, count, places, inputs)
    for row in range(fours, rows):
        a, b = y_at + row * y_step, x_at + row * x_step
        panel = 0
        while panel + 4 <= panels:
            place = (a + panel * PANEL,)
            _one_row(y, w, x, w_at + panel * step, step, depth, place, (b,))
            panel += 4
        while panel < panels:
            place = (a + panel * PANEL,)
            _one_row_rest(y, w, x, w_at + panel * step, step, depth, place, (b,))
            panel += 1

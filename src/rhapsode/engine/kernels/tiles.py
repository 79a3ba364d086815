"""Products of a matrix with rows, the same bits for a row whatever lies beside it; weights of float32 and bfloat16.

A matrix (G, K) lies in panels of 32 outputs: (G / 32, K, 32), zeros behind the last output. Every output adds its K
products in order, one after the other, whether one row is read or four, one panel or four: vectors run across outputs,
never along the sum. What is compiled is written as vectors of 16, which the compiler cuts to what the machine has; but where
there are sixteen registers of eight numbers (AVX2), a tile is made part by part, each with as many sums as find room in them.

bfloat16: a panel is (K, 16) words; in each, the low half is one output's weight, the high half that of the output 16
further on. Widening is a shift or a mask, so the products are exact and only the weights are rounded.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from rhapsode.engine.kernels.jit import apart, inner

PANEL = 32
# Numbers of a vector as it is written, but where tiles are made part by part.
LANES = 16
# Vectors of eight sums that a part of a tile keeps: two a cycle, four cycles each, and the
# registers hold them.
_ROOM = 8
# Of a panel, 16 kB stay in the nearest cache while all rows are read.
_NEAR, _ALL = 128, 1 << 40

cgutils: Any = _cgutils

FLOAT = ir.FloatType()
INT = ir.IntType(64)
WORD = ir.IntType(32)


def padded(size: int) -> int:
    """The size rounded up to whole panels."""
    return -(-size // PANEL) * PANEL


def pack(weight_GK: NDArray[np.float32]) -> NDArray[np.float32]:
    """A matrix laid in panels, flat."""
    panels = _whole(weight_GK).reshape(-1, PANEL, weight_GK.shape[1]).transpose(0, 2, 1)
    return np.ascontiguousarray(panels).reshape(-1)


def pack_bf16(weight_GK: NDArray[np.float32]) -> NDArray[np.uint32]:
    """A matrix in panels, flat, rounded to the nearest bfloat16, ties to even."""
    whole_GK = _whole(weight_GK)
    bits = whole_GK.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16
    rounded = np.where(np.isnan(whole_GK), np.uint32(0x7FC0), rounded)
    halves = rounded.reshape(-1, 2, LANES, weight_GK.shape[1])
    words = halves[:, 0] | (halves[:, 1] << np.uint32(16))
    return np.ascontiguousarray(words.transpose(0, 2, 1)).reshape(-1)


def _whole(weight_GK: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.pad(weight_GK, ((0, -len(weight_GK) % PANEL), (0, 0))).astype(np.float32, copy=False)


def features_of(context: Any) -> set[str]:
    """Features of the machine that is compiled for, by LLVM's names."""
    return set(context.codegen().magic_tuple()[2].split(","))


def lanes_of(context: Any) -> int:
    """Numbers of a vector as it is written: 8 where tiles are made part by part, else 16."""
    features = features_of(context)
    return 8 if "+avx2" in features and "+avx512f" not in features else LANES


def shares(lanes: int, rows: int, panels: int, each: int = 1) -> list[list[tuple[int, int]]]:
    """The parts of a tile, as panels and where in them vectors of weights begin.

    Arguments:
        lanes: numbers of a vector.
        rows: of inputs.
        panels: of weights.
        each: vectors of sums of a row that a vector of weights gives.
    """
    vectors = [
        (panel, place) for panel in range(panels) for place in range(0, PANEL // each, lanes)
    ]
    most = len(vectors) if lanes > _ROOM else max(1, _ROOM // (rows * each))
    return [vectors[first : first + most] for first in range(0, len(vectors), most)]


def place(builder: Any, pointer: Any, *offsets: Any) -> Any:
    """The pointer moved by some numbers."""
    for offset in offsets:
        known = ir.Constant(INT, offset) if isinstance(offset, int) else offset
        pointer = builder.gep(pointer, [known])
    return pointer


def load(builder: Any, pointer: Any, kind: Any) -> Any:
    """A number or a vector, wherever it lies."""
    vector = builder.load(builder.bitcast(pointer, kind.as_pointer()))
    vector.align = 4
    return vector


def loaded_sums(builder: Any, places: list[list[Any]], kind: Any) -> list[list[Any]]:
    """Variables that begin with what lies at some places."""
    return [
        [cgutils.alloca_once_value(builder, load(builder, begin, kind)) for begin in row]
        for row in places
    ]


def store_sums(builder: Any, sums: list[list[Any]], places: list[list[Any]]) -> None:
    """Put variables where they began."""
    for row_sums, row_places in zip(sums, places, strict=True):
        for total, to in zip(row_sums, row_places, strict=True):
            vector = builder.load(total)
            builder.store(vector, builder.bitcast(to, vector.type.as_pointer())).align = 4


def spread(builder: Any, number: Any, lanes: int) -> Any:
    """A vector that holds one number everywhere."""
    unknown = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
    first = builder.insert_element(unknown, number, ir.Constant(WORD, 0))
    everywhere = ir.Constant(ir.VectorType(WORD, lanes), [0] * lanes)
    return builder.shuffle_vector(first, unknown, everywhere)


def function(builder: Any, name: str, kind: Any, *arguments: Any) -> Any:
    """An intrinsic of LLVM."""
    signature = ir.FunctionType(kind, list(arguments))
    return cgutils.get_or_insert_function(builder.module, signature, name)


def add_product(builder: Any, total: Any, weight: Any, number: Any) -> None:
    """Add a product of vectors of floats to a variable, rounded once."""
    kind = weight.type
    fused = function(builder, f"llvm.fmuladd.v{kind.count}f32", kind, *[kind] * 3)
    builder.store(builder.call(fused, [weight, number, builder.load(total)]), total)


def tile_of(emit: Callable[..., None], panels: int) -> Callable[..., None]:
    """The tile that `emit` writes: it adds products of panels with rows to the outputs.

    Compiled code calls it with y, weights, inputs; where the weights begin, from panel to panel, the depth; rows of y
    and rows of inputs.

    Arguments:
        emit: writes a tile with pointers of y and of each panel, inputs, the depth, rows of y and of inputs.
        panels: how many.
    """

    def lowered(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        y, w, x = (
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(signature.args[:3], args[:3], strict=True)
        )
        w_at, w_step, depth = args[3:6]
        y_at, x_at = (cgutils.unpack_tuple(builder, places) for places in args[6:8])
        starts = [
            place(builder, w, w_at, builder.mul(w_step, ir.Constant(INT, panel)))
            for panel in range(panels)
        ]
        emit(context, builder, y, starts, x, depth, y_at, x_at)
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
        return types.void(y, w, x, w_at, w_step, depth, y_at, x_at), lowered

    return cast("Callable[..., None]", intrinsic(tile))


def _float32(builder: Any, pointer: Any, lanes: int) -> list[Any]:
    return [load(builder, pointer, ir.VectorType(FLOAT, lanes))]


def _bf16(builder: Any, pointer: Any, lanes: int) -> list[Any]:
    floats, words = ir.VectorType(FLOAT, lanes), ir.VectorType(WORD, lanes)
    both = load(builder, pointer, words)
    low = builder.shl(both, ir.Constant(words, [16] * lanes))
    high = builder.and_(both, ir.Constant(words, [0xFFFF0000] * lanes))
    return [builder.bitcast(low, floats), builder.bitcast(high, floats)]


# How vectors of weights are read, and where in a panel the outputs of each lie.
_KINDS = {"float32": (_float32, (0,)), "bf16": (_bf16, (0, LANES))}


def tile_of_floats(kind: str, rows: int, panels: int) -> Callable[..., None]:
    """The tile of float32 or bf16 weights; its accumulators stay in registers."""
    weights_at, halves = _KINDS[kind]

    def emit(
        context: Any, builder: Any, y: Any, starts: Any, x: Any, depth: Any, y_at: Any, x_at: Any
    ) -> None:
        lanes = lanes_of(context)
        for share in shares(lanes, rows, panels, each=len(halves)):
            places = [
                [
                    place(builder, y, y_at[row], panel * PANEL + part + half)
                    for panel, part in share
                    for half in halves
                ]
                for row in range(rows)
            ]
            sums = loaded_sums(builder, places, ir.VectorType(FLOAT, lanes))
            with cgutils.for_range(builder, depth) as loop:
                first = builder.mul(loop.index, ir.Constant(INT, PANEL // len(halves)))
                weights = [
                    weight
                    for panel, part in share
                    for weight in weights_at(
                        builder, place(builder, starts[panel], first, part), lanes
                    )
                ]
                for row in range(rows):
                    one = builder.load(place(builder, x, x_at[row], loop.index))
                    number = spread(builder, one, lanes)
                    for total, weight in zip(sums[row], weights, strict=True):
                        add_product(builder, total, weight, number)
            store_sums(builder, sums, places)

    return tile_of(emit, panels)


def _at_once(typing: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(INT, _NEAR if lanes_of(context) == _ROOM else _ALL)

    return types.int64(), emit


# Inputs that one output after the other is made of where many rows read the same panel.
_deep = cast("Callable[[], int]", intrinsic(_at_once))

_one_row, _one_row_rest, _four_rows = (
    tile_of_floats("float32", rows, panels) for rows, panels in ((1, 4), (1, 1), (4, 1))
)


@inner
def matmul(
    y: Any, y_at: int, y_step: int, w: Any, w_at: int, step: int, depth: int, panels: int,
    x: Any, x_at: int, x_step: int, rows: int,
) -> None:  # fmt: skip
    """y[r] += W x[r] for some rows: places count numbers from the first of each array.

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
        most = _deep()
        for panel in range(panels):
            for begin in range(0, depth, most):
                count, first = min(most, depth - begin), w_at + panel * step + begin * PANEL
                for row in range(0, fours, 4):
                    a, b = y_at + row * y_step + panel * PANEL, x_at + row * x_step + begin
                    _four_rows(
                        y, w, x, first, step, count,
                        (a, a + y_step, a + 2 * y_step, a + 3 * y_step),
                        (b, b + x_step, b + 2 * x_step, b + 3 * x_step),
                    )  # fmt: skip
    for row in range(fours, rows):
        a, b = y_at + row * y_step, x_at + row * x_step
        panel = 0
        while panel + 4 <= panels:
            _one_row(y, w, x, w_at + panel * step, step, depth, (a + panel * PANEL,), (b,))
            panel += 4
        while panel < panels:
            _one_row_rest(y, w, x, w_at + panel * step, step, depth, (a + panel * PANEL,), (b,))
            panel += 1


def panels_of(
    tile: Callable[[int, int], Callable[..., None]], inputs: int, numbers: int
) -> Callable[..., None]:
    """A function to compile: the outputs of panels from `begin` to `end`; else as `matmul`.

    Arguments:
        tile: gives the tile of some rows and panels.
        inputs: that a tile reads at a time.
        numbers: of the vector of matrices that they have in a panel.
    """
    one_row, one_row_rest, four_rows = tile(1, 4), tile(1, 1), tile(4, 1)

    def some_panels(
        y: Any, y_at: int, y_step: int, m: Any, m_at: int, depth: int, begin: int, end: int,
        x: Any, x_at: int, x_step: int, rows: int,
    ) -> None:  # fmt: skip
        apart()
        blocks = (depth + inputs - 1) // inputs
        step = blocks * numbers
        fours = rows // 4 * 4
        if fours:
            for panel in range(begin, end):
                for row in range(0, fours, 4):
                    a, b = y_at + row * y_step + panel * PANEL, x_at + row * x_step
                    four_rows(
                        y, m, x, m_at + panel * step, step, blocks,
                        (a, a + y_step, a + 2 * y_step, a + 3 * y_step),
                        (b, b + x_step, b + 2 * x_step, b + 3 * x_step),
                    )  # fmt: skip
        for row in range(fours, rows):
            a, b = y_at + row * y_step, x_at + row * x_step
            panel = begin
            while panel + 4 <= end:
                one_row(y, m, x, m_at + panel * step, step, blocks, (a + panel * PANEL,), (b,))
                panel += 4
            while panel < end:
                one_row_rest(y, m, x, m_at + panel * step, step, blocks, (a + panel * PANEL,), (b,))
                panel += 1

    return some_panels


some_panels_bf16 = panels_of(partial(tile_of_floats, "bf16"), 1, PANEL // 2)

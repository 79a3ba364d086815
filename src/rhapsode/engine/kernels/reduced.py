"""Products with bfloat16 or int8 weights, summed in float32.

bfloat16: a panel is (K, 16) words. The low half of each word is one output's weight, the high half
that of the output 16 further on. Widening is a shift or a mask, so the products are exact and only
the weights are rounded.

int8: a panel is a sequence of blocks of 64 inputs. Each block has 32 scales, then (16, 32, 4)
weights as bytes, 128 being zero. The inputs are rounded to int8, too, with one scale for 64 of
them. Sums within a block are whole numbers and exact on every machine, and each block adds one
float32 product to an output. Instructions for such sums are used where the machine has them
(AVX512-VNNI, AVX-VNNI). AVX2 has sums of two products of an unsigned byte with a signed one, in 16
bits, which are exact if neither is larger than 128: an input gives its magnitude, a weight takes
its sign. Other machines get the same numbers from 16-bit products.
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
from rhapsode.engine.kernels.tiles import PANEL, features_of, lanes_of, padded, shares

# Inputs that share a scale.
BLOCK = 64
# Of a panel of int8 weights.
BLOCK_BYTES = 4 * PANEL + BLOCK * PANEL
_SUM, _NEGATIVE, _INPUTS = 4, 8, 12
# Of rounded inputs: their scale, -128 times their sum, minus the sum of the negative ones, and
# themselves.
INPUT_BYTES = _INPUTS + BLOCK

cgutils: Any = _cgutils

_LANES = 16
_BYTE, _HALF, _WORD = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_INT = ir.IntType(64)
_FLOAT = ir.FloatType()


def pack_bf16(weight_GK: NDArray[np.float32]) -> NDArray[np.uint32]:
    """A matrix in flat panels of bfloat16, rounded half to even."""
    outputs, depth = weight_GK.shape
    whole_GK = np.zeros((padded(outputs), depth), dtype=np.float32)
    whole_GK[:outputs] = weight_GK
    bits = whole_GK.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16
    rounded = np.where(np.isnan(whole_GK), np.uint32(0x7FC0), rounded)
    halves = rounded.reshape(-1, 2, _LANES, depth)
    words = halves[:, 0] | (halves[:, 1] << np.uint32(16))
    return np.ascontiguousarray(words.transpose(0, 2, 1)).reshape(-1)


def pack_int8(weight_GK: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A matrix in flat panels of int8.

    The largest weight of a block is 127 times its scale.

    Raises:
        ValueError: it contains values that are not finite.
    """
    if not np.isfinite(weight_GK).all():
        raise ValueError("weights that are not finite cannot be rounded to int8")
    outputs, depth = weight_GK.shape
    blocks = -(-depth // BLOCK)
    whole_GK = np.zeros((padded(outputs), blocks * BLOCK), dtype=np.float32)
    whole_GK[:outputs, :depth] = weight_GK
    split = whole_GK.reshape(-1, PANEL, blocks, BLOCK)
    scale = np.abs(split).max(axis=-1) / np.float32(127)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(scale[..., None] > 0, split / scale[..., None], np.float32(0))
    # A scale may itself be rounded to 0, or nearly: what is left of so small weights is clipped.
    whole = np.clip(np.rint(ratio), -127, 127).astype(np.int16) + 128
    panels = np.empty((len(split), blocks, BLOCK_BYTES), dtype=np.uint8)
    panels[..., : 4 * PANEL] = np.ascontiguousarray(scale.transpose(0, 2, 1)).view(np.uint8)
    bytes_ = whole.astype(np.uint8).reshape(-1, PANEL, blocks, BLOCK // 4, 4)
    panels[..., 4 * PANEL :] = bytes_.transpose(0, 2, 3, 1, 4).reshape(len(split), blocks, -1)
    return panels.reshape(-1)


def _place(builder: Any, pointer: Any, *offsets: Any) -> Any:
    for offset in offsets:
        known = ir.Constant(_INT, offset) if isinstance(offset, int) else offset
        pointer = builder.gep(pointer, [known])
    return pointer


def _load(builder: Any, pointer: Any, kind: Any, align: int = 4) -> Any:
    vector = builder.load(builder.bitcast(pointer, kind.as_pointer()))
    vector.align = align
    return vector


def _store(builder: Any, vector: Any, pointer: Any) -> None:
    builder.store(vector, builder.bitcast(pointer, vector.type.as_pointer())).align = 4


def _spread(builder: Any, number: Any, lanes: int) -> Any:
    unknown = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
    first = builder.insert_element(unknown, number, ir.Constant(_WORD, 0))
    everywhere = ir.Constant(ir.VectorType(_WORD, lanes), [0] * lanes)
    return builder.shuffle_vector(first, unknown, everywhere)


def _fused(builder: Any, lanes: int) -> Any:
    """A product and a sum of vectors of floats."""
    kind = ir.VectorType(_FLOAT, lanes)
    return _function(builder, f"llvm.fmuladd.v{lanes}f32", kind, *[kind] * 3)


def _function(builder: Any, name: str, kind: Any, *arguments: Any) -> Any:
    return cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, list(arguments)), name
    )


def _arguments(context: Any, builder: Any, signature: Any, args: Any) -> tuple[Any, ...]:
    """Pointers and offsets for the products of a tile.

    These are the pointers of y, weights and inputs; the place of the weights, the step between
    panels and the depth; the rows of y and of the inputs.
    """
    pointers = (
        context.make_array(kind)(context, builder, value).data
        for kind, value in zip(signature.args[:3], args[:3], strict=True)
    )
    rows = (cgutils.unpack_tuple(builder, places) for places in args[6:8])
    return (*pointers, *args[3:6], *rows)


def _intrinsic(emit: Any) -> Callable[..., None]:
    def tile(
        typing: Any,
        y: Any,
        m: Any,
        x: Any,
        m_at: Any,
        m_step: Any,
        depth: Any,
        y_at: Any,
        x_at: Any,
    ) -> Any:
        return types.void(y, m, x, m_at, m_step, depth, y_at, x_at), emit

    return cast("Callable[..., None]", intrinsic(tile))


def _tile_bf16(rows: int, panels: int) -> Callable[..., None]:
    """As the tile of float32 weights; see `tiles`."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        y, m, x, m_at, m_step, depth, y_at, x_at = _arguments(context, builder, signature, args)
        lanes = lanes_of(context)
        floats, words = ir.VectorType(_FLOAT, lanes), ir.VectorType(_WORD, lanes)
        fused = _fused(builder, lanes)
        starts = [
            _place(builder, m, m_at, builder.mul(m_step, ir.Constant(_INT, panel)))
            for panel in range(panels)
        ]
        shift = ir.Constant(words, [16] * lanes)
        mask = ir.Constant(words, [0xFFFF0000] * lanes)
        for share in shares(lanes, rows, panels, each=2):
            places = [
                [
                    _place(builder, y, y_at[row], panel * PANEL + part + half)
                    for panel, part in share
                    for half in (0, _LANES)
                ]
                for row in range(rows)
            ]
            sums = [
                [cgutils.alloca_once_value(builder, _load(builder, p, floats)) for p in row]
                for row in places
            ]
            with cgutils.for_range(builder, depth) as loop:
                first = builder.mul(loop.index, ir.Constant(_INT, _LANES))
                weights = []
                for panel, part in share:
                    both = _load(builder, _place(builder, starts[panel], first, part), words)
                    weights += [
                        builder.bitcast(builder.shl(both, shift), floats),
                        builder.bitcast(builder.and_(both, mask), floats),
                    ]
                for row in range(rows):
                    one = builder.load(_place(builder, x, x_at[row], loop.index))
                    number = _spread(builder, one, lanes)
                    for total, weight in zip(sums[row], weights, strict=True):
                        told = builder.call(fused, [weight, number, builder.load(total)])
                        builder.store(told, total)
            for row_sums, row_places in zip(sums, places, strict=True):
                for total, place in zip(row_sums, row_places, strict=True):
                    _store(builder, builder.load(total), place)
        return context.get_dummy_value()

    return _intrinsic(emit)


def _way(context: Any) -> str:
    """The machine's instructions for sums of byte products."""
    features = features_of(context)
    for way in ("avx512vnni", "avxvnni", "avx2"):
        if f"+{way}" in features:
            return way
    return "plain"


class _Sums:
    """Vectors of whole numbers that accumulate byte products.

    Each number grows by products of four unsigned bytes with four signed ones, by the machine's
    instructions for them.
    """

    def __init__(self, builder: Any, way: str) -> None:
        self._builder, self._way = builder, way
        self.lanes = 8 if way in ("avxvnni", "avx2") else _LANES
        self.start_at = _NEGATIVE if way == "avx2" else _SUM
        """Offset in rounded inputs of the initial value of the sums."""
        self._words = ir.VectorType(_WORD, self.lanes)
        self._halves = ir.VectorType(_HALF, 2 * self.lanes)
        self._bytes = ir.VectorType(_BYTE, 4 * self.lanes)

    def start(self, number: Any) -> Any:
        """Sums that begin with a number."""
        builder, lanes = self._builder, self.lanes
        spread = _spread(builder, number, lanes)
        if self._way != "plain":
            return cgutils.alloca_once_value(builder, spread)
        # Pairs of neighbours are added up last: the second of each begins at 0.
        order = [lane // 2 + (lane % 2) * lanes for lane in range(2 * lanes)]
        pairs = ir.Constant(ir.VectorType(_WORD, 2 * lanes), order)
        zeros = ir.Constant(self._words, [0] * lanes)
        return cgutils.alloca_once_value(builder, builder.shuffle_vector(spread, zeros, pairs))

    def inputs(self, four: Any) -> tuple[Any, ...]:
        """Four inputs, a word, as `add` takes them."""
        builder = self._builder
        spread = _spread(builder, four, self.lanes)
        if self._way != "avx2":
            return (spread,)
        # What is 128 more than a weight becomes the weight, or where the input is negative minus
        # one more than it: those ones, times the inputs' sizes, are what the sums begin with.
        signed = builder.bitcast(spread, self._bytes)
        zeros, tops = (ir.Constant(self._bytes, [bits] * 4 * self.lanes) for bits in (0, 0x80))
        negative = builder.icmp_signed("<", signed, zeros)
        sizes = builder.select(negative, builder.sub(zeros, signed), signed)
        flips = builder.xor(builder.sext(negative, self._bytes), tops)
        return sizes, flips

    def add(self, total: Any, weights: Any, inputs: tuple[Any, ...]) -> None:
        """Four weights (a byte each) of every output, and four inputs."""
        builder, lanes = self._builder, self.lanes
        known = builder.load(total)
        words, halves, some = self._words, self._halves, self._bytes
        if self._way == "avx2":
            sizes, flips = inputs
            twos = _function(builder, "llvm.x86.avx2.pmadd.ub.sw", halves, some, some)
            fours = _function(builder, "llvm.x86.avx2.pmadd.wd", words, halves, halves)
            two = builder.call(twos, [sizes, builder.xor(weights, flips)])
            four = builder.call(fours, [two, ir.Constant(halves, [1] * 2 * lanes)])
            builder.store(builder.add(known, four), total)
            return
        (spread,) = inputs
        if self._way != "plain":
            name = f"llvm.x86.avx512.vpdpbusd.{32 * lanes}"
            dot = _function(builder, name, words, *[words] * 3)
            told = builder.call(dot, [known, builder.bitcast(weights, words), spread])
            builder.store(told, total)
            return
        wide = ir.VectorType(_HALF, 4 * lanes)
        pairs = ir.VectorType(_WORD, 2 * lanes)
        left = builder.zext(weights, wide)
        right = builder.sext(builder.bitcast(spread, some), wide)
        products = []
        for odd in (0, 1):
            taken = ir.Constant(pairs, list(range(odd, 4 * lanes, 2)))
            one, other = (
                builder.sext(builder.shuffle_vector(v, v, taken), pairs) for v in (left, right)
            )
            products.append(builder.mul(one, other))
        builder.store(builder.add(known, builder.add(*products)), total)

    def end(self, total: Any) -> Any:
        """The sums."""
        builder, lanes = self._builder, self.lanes
        found = builder.load(total)
        if self._way != "plain":
            return found
        even, odd = (
            builder.shuffle_vector(
                found, found, ir.Constant(self._words, list(range(first, 2 * lanes, 2)))
            )
            for first in (0, 1)
        )
        return builder.add(even, odd)


def _tile_int8(rows: int, panels: int) -> Callable[..., None]:
    """Generate the product of some int8 panels with rows of rounded inputs.

    The depth counts blocks.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        y, m, x, m_at, m_step, depth, y_at, x_at = _arguments(context, builder, signature, args)
        dots = _Sums(builder, _way(context))
        lanes = dots.lanes
        floats, bytes_ = ir.VectorType(_FLOAT, lanes), ir.VectorType(_BYTE, 4 * lanes)
        fused = _fused(builder, lanes)
        starts = [
            _place(builder, m, m_at, builder.mul(m_step, ir.Constant(_INT, panel)))
            for panel in range(panels)
        ]
        # Rows share the reading of weights only: where registers are few, two are enough.
        most = rows if lanes == _LANES else min(2, rows)
        for some in (range(row, min(row + most, rows)) for row in range(0, rows, most)):
            for share in shares(lanes, len(some), panels):
                places = [
                    [_place(builder, y, y_at[row], panel * PANEL + part) for panel, part in share]
                    for row in some
                ]
                totals = [
                    [cgutils.alloca_once_value(builder, _load(builder, p, floats)) for p in row]
                    for row in places
                ]
                with cgutils.for_range(builder, depth) as block:
                    first = builder.mul(block.index, ir.Constant(_INT, BLOCK_BYTES))
                    begun = builder.mul(block.index, ir.Constant(_INT, INPUT_BYTES))
                    inputs = [_place(builder, x, x_at[row], begun) for row in some]
                    sums = []
                    for own in inputs:
                        start = _load(builder, _place(builder, own, dots.start_at), _WORD)
                        sums.append([dots.start(start) for _ in share])
                    with cgutils.for_range(builder, ir.Constant(_INT, BLOCK // 4)) as loop:
                        group = builder.mul(loop.index, ir.Constant(_INT, 4 * PANEL))
                        weights = [
                            _load(
                                builder,
                                _place(builder, starts[panel], first, group, 4 * (PANEL + part)),
                                bytes_,
                            )
                            for panel, part in share
                        ]
                        fours = builder.mul(loop.index, ir.Constant(_INT, 4))
                        for own, row_sums in zip(inputs, sums, strict=True):
                            four = _load(builder, _place(builder, own, _INPUTS, fours), _WORD)
                            known = dots.inputs(four)
                            for total, weight in zip(row_sums, weights, strict=True):
                                dots.add(total, weight, known)
                    scales = [
                        _load(builder, _place(builder, starts[panel], first, 4 * part), floats)
                        for panel, part in share
                    ]
                    for own, row_sums, row_totals in zip(inputs, sums, totals, strict=True):
                        scale = _spread(builder, _load(builder, own, _FLOAT), lanes)
                        for found, total, weight in zip(row_sums, row_totals, scales, strict=True):
                            whole = builder.sitofp(dots.end(found), floats)
                            both = builder.fmul(weight, scale)
                            told = builder.call(fused, [whole, both, builder.load(total)])
                            builder.store(told, total)
                for row_totals, row_places in zip(totals, places, strict=True):
                    for total, place in zip(row_totals, row_places, strict=True):
                        _store(builder, builder.load(total), place)
        return context.get_dummy_value()

    return _intrinsic(emit)


_ZERO = np.float32(0.0)
_MOST = np.float32(127.0)
# Adding 1.5 * 2**23 rounds to a whole number, which is then the low end of the bits.
_ROUND = np.float32(12582912.0)
_BITS, _SIGNLESS = np.int32(0x4B400000), np.int32(0x7FFFFFFF)


@inner
def round_inputs(x: Any, x_at: int, depth: int, rounded: Any, at: int) -> None:
    """Inputs as int8, in blocks.

    Arguments:
        x: inputs.
        x_at: where they begin.
        depth: how many; the last block is filled up with zeros.
        rounded: takes them, bytes.
        at: where; a multiple of 4.
    """
    apart()
    scales, starts, signed = rounded.view(np.float32), rounded.view(np.int32), rounded.view(np.int8)
    whole = np.empty(BLOCK, dtype=np.float32)
    for first in range(0, depth, BLOCK):
        count = min(BLOCK, depth - first)
        part = whole[:]
        own = x[x_at + first : x_at + first + count]
        for j in range(count):
            part[j] = own[j]
        for j in range(count, BLOCK):
            part[j] = _ZERO
        bits = part.view(np.int32)
        most_bits = np.int32(0)
        for j in range(BLOCK):  # of numbers without a sign, the larger has the larger bits
            most_bits = max(most_bits, np.int32(bits[j] & _SIGNLESS))
        most = np.int32(most_bits).view(np.float32)
        inverse = _MOST / most if most > _ZERO else _ZERO
        told = signed[at + _INPUTS : at + _INPUTS + BLOCK]
        total, negative = np.int32(0), np.int32(0)
        for j in range(BLOCK):
            number = np.int32(np.float32(part[j] * inverse + _ROUND).view(np.int32) - _BITS)
            told[j] = np.int8(number)
            whole_number = np.int32(np.int8(number))
            total = np.int32(total + whole_number)
            negative = np.int32(negative + min(whole_number, np.int32(0)))
        scales[at // 4] = most / _MOST
        starts[(at + _SUM) // 4] = np.int32(total * np.int32(-128))
        starts[(at + _NEGATIVE) // 4] = -negative
        at += INPUT_BYTES


_bf16_one, _bf16_rest, _bf16_four = _tile_bf16(1, 4), _tile_bf16(1, 1), _tile_bf16(4, 1)
_int8_one, _int8_rest, _int8_four = _tile_int8(1, 4), _tile_int8(1, 1), _tile_int8(4, 1)


def _some_panels(one: Any, rest: Any, four: Any, block: int, size: int) -> Any:
    """A product of some panels, as `tiles.matmul` otherwise.

    Arguments:
        one: tile of a row and four panels.
        rest: of a row and a panel.
        four: of four rows and a panel.
        block: inputs that a tile reads at once.
        size: numbers of a panel for one block.
    """

    @inner
    def some_panels(
        y: Any, y_at: int, y_step: int, m: Any, m_at: int, depth: int, begin: int, end: int,
        x: Any, x_at: int, x_step: int, rows: int,
    ) -> None:  # fmt: skip
        apart()
        blocks = (depth + block - 1) // block
        step = blocks * size
        fours = rows // 4 * 4
        if fours:
            for panel in range(begin, end):
                for row in range(0, fours, 4):
                    a, b = y_at + row * y_step + panel * PANEL, x_at + row * x_step
                    four(
                        y, m, x, m_at + panel * step, step, blocks,
                        (a, a + y_step, a + 2 * y_step, a + 3 * y_step),
                        (b, b + x_step, b + 2 * x_step, b + 3 * x_step),
                    )  # fmt: skip
        for row in range(fours, rows):
            a, b = y_at + row * y_step, x_at + row * x_step
            panel = begin
            while panel + 4 <= end:
                one(y, m, x, m_at + panel * step, step, blocks, (a + panel * PANEL,), (b,))
                panel += 4
            while panel < end:
                rest(y, m, x, m_at + panel * step, step, blocks, (a + panel * PANEL,), (b,))
                panel += 1

    return some_panels


# Outputs of panels from `begin` to `end`; those of int8 from rounded inputs.
some_panels_bf16 = _some_panels(_bf16_one, _bf16_rest, _bf16_four, 1, PANEL // 2)
some_panels_int8 = _some_panels(_int8_one, _int8_rest, _int8_four, BLOCK, BLOCK_BYTES)

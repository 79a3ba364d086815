"""Products with int8 weights, a scale for every 64 of them, summed in float32.

A panel is a block of 64 inputs after the other: 32 scales, then (16, 32, 4) weights as bytes, 128 being zero. The
inputs are rounded to int8, too, 64 with one scale; inside a block sums are whole numbers and exact on every machine, and
each block adds one float32 product to an output. Instructions made for such sums are used where there are any (AVX512-VNNI,
AVX-VNNI). AVX2 has sums of two products of an unsigned byte with a signed one, in 16 bits, which hold them where neither is
larger than 128: an input gives its size, a weight takes its sign. Elsewhere the same numbers come of 16-bit products.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

from rhapsode.engine.kernels.jit import apart, inner
from rhapsode.engine.kernels.tiles import (
    FLOAT,
    INT,
    LANES,
    PANEL,
    WORD,
    add_product,
    cgutils,
    features_of,
    function,
    load,
    loaded_sums,
    padded,
    panels_of,
    place,
    shares,
    spread,
    store_sums,
    tile_of,
)

# Inputs that share a scale.
BLOCK = 64
# Of a panel of int8 weights.
BLOCK_BYTES = 4 * PANEL + BLOCK * PANEL
_SUM, _NEGATIVE, _INPUTS = 4, 8, 12
# Of rounded inputs: their scale, -128 times their sum, minus the sum of the negative ones, and
# themselves.
INPUT_BYTES = _INPUTS + BLOCK

_BYTE, _HALF = ir.IntType(8), ir.IntType(16)


def pack_int8(weight_GK: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A matrix in panels, flat; a block's largest weight is 127 of its scale.

    Raises:
        ValueError: it holds what is not finite.
    """
    if not np.isfinite(weight_GK).all():
        raise ValueError("weights that are not finite have no form in int8")
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


def _way(context: Any) -> str:
    """The way in which the machine adds up products of bytes."""
    features = features_of(context)
    for way in ("avx512vnni", "avxvnni", "avx2"):
        if f"+{way}" in features:
            return way
    return "plain"


class _Sums:
    """Sums of products of four bytes with four signed ones, in a way that the machine has."""

    def __init__(self, builder: Any, way: str) -> None:
        self._builder, self._way = builder, way
        self.lanes = 8 if way in ("avxvnni", "avx2") else LANES
        # Where in rounded inputs that stands which the sums begin with.
        self.start_at = _NEGATIVE if way == "avx2" else _SUM
        self._words = ir.VectorType(WORD, self.lanes)
        self._halves = ir.VectorType(_HALF, 2 * self.lanes)
        self._bytes = ir.VectorType(_BYTE, 4 * self.lanes)

    def start(self, number: Any) -> Any:
        """Sums that begin with a number."""
        builder, lanes = self._builder, self.lanes
        everywhere = spread(builder, number, lanes)
        if self._way != "plain":
            return cgutils.alloca_once_value(builder, everywhere)
        # Pairs of neighbours are added up last: the second of each begins at 0.
        order = [lane // 2 + (lane % 2) * lanes for lane in range(2 * lanes)]
        pairs = ir.Constant(ir.VectorType(WORD, 2 * lanes), order)
        zeros = ir.Constant(self._words, [0] * lanes)
        return cgutils.alloca_once_value(builder, builder.shuffle_vector(everywhere, zeros, pairs))

    def inputs(self, four: Any) -> tuple[Any, ...]:
        """Four inputs, a word, as `add` takes them."""
        builder = self._builder
        everywhere = spread(builder, four, self.lanes)
        if self._way != "avx2":
            return (everywhere,)
        # What is 128 more than a weight becomes the weight, or where the input is negative minus one more than it:
        # those ones, times the inputs' sizes, are what the sums begin with.
        signed = builder.bitcast(everywhere, self._bytes)
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
            twos = function(builder, "llvm.x86.avx2.pmadd.ub.sw", halves, some, some)
            fours = function(builder, "llvm.x86.avx2.pmadd.wd", words, halves, halves)
            two = builder.call(twos, [sizes, builder.xor(weights, flips)])
            four = builder.call(fours, [two, ir.Constant(halves, [1] * 2 * lanes)])
            builder.store(builder.add(known, four), total)
            return
        (everywhere,) = inputs
        if self._way != "plain":
            name = f"llvm.x86.avx512.vpdpbusd.{32 * lanes}"
            dot = function(builder, name, words, *[words] * 3)
            told = builder.call(dot, [known, builder.bitcast(weights, words), everywhere])
            builder.store(told, total)
            return
        wide = ir.VectorType(_HALF, 4 * lanes)
        pairs = ir.VectorType(WORD, 2 * lanes)
        left = builder.zext(weights, wide)
        right = builder.sext(builder.bitcast(everywhere, some), wide)
        products = []
        for odd in (0, 1):
            taken = ir.Constant(pairs, list(range(odd, 4 * lanes, 2)))
            one, other = (
                builder.sext(builder.shuffle_vector(v, v, taken), pairs) for v in (left, right)
            )
            products.append(builder.mul(one, other))
        builder.store(builder.add(known, builder.add(*products)), total)

    def end(self, total: Any) -> Any:
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
    """The tile of rounded inputs; depth counts blocks."""

    def emit(
        context: Any, builder: Any, y: Any, starts: Any, x: Any, depth: Any, y_at: Any, x_at: Any
    ) -> None:
        dots = _Sums(builder, _way(context))
        lanes = dots.lanes
        floats, bytes_ = ir.VectorType(FLOAT, lanes), ir.VectorType(_BYTE, 4 * lanes)
        # Rows share the reading of weights only: where registers are few, two are enough.
        most = rows if lanes == LANES else min(2, rows)
        for some in (range(row, min(row + most, rows)) for row in range(0, rows, most)):
            for share in shares(lanes, len(some), panels):
                places = [
                    [place(builder, y, y_at[row], panel * PANEL + part) for panel, part in share]
                    for row in some
                ]
                totals = loaded_sums(builder, places, floats)
                with cgutils.for_range(builder, depth) as block:
                    first = builder.mul(block.index, ir.Constant(INT, BLOCK_BYTES))
                    begun = builder.mul(block.index, ir.Constant(INT, INPUT_BYTES))
                    inputs = [place(builder, x, x_at[row], begun) for row in some]
                    sums = []
                    for own in inputs:
                        start = load(builder, place(builder, own, dots.start_at), WORD)
                        sums.append([dots.start(start) for _ in share])
                    with cgutils.for_range(builder, ir.Constant(INT, BLOCK // 4)) as loop:
                        group = builder.mul(loop.index, ir.Constant(INT, 4 * PANEL))
                        weights = [
                            load(
                                builder,
                                place(builder, starts[panel], first, group, 4 * (PANEL + part)),
                                bytes_,
                            )
                            for panel, part in share
                        ]
                        fours = builder.mul(loop.index, ir.Constant(INT, 4))
                        for own, row_sums in zip(inputs, sums, strict=True):
                            four = load(builder, place(builder, own, _INPUTS, fours), WORD)
                            known = dots.inputs(four)
                            for total, weight in zip(row_sums, weights, strict=True):
                                dots.add(total, weight, known)
                    scales = [
                        load(builder, place(builder, starts[panel], first, 4 * part), floats)
                        for panel, part in share
                    ]
                    for own, row_sums, row_totals in zip(inputs, sums, totals, strict=True):
                        scale = spread(builder, load(builder, own, FLOAT), lanes)
                        for dot, total, weight in zip(row_sums, row_totals, scales, strict=True):
                            whole = builder.sitofp(dots.end(dot), floats)
                            add_product(builder, total, builder.fmul(weight, scale), whole)
                store_sums(builder, totals, places)

    return tile_of(emit, panels)


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


some_panels_int8 = panels_of(_tile_int8, BLOCK, BLOCK_BYTES)

"""Products with a network's matrices, for all kinds of weights.

They run on one core or more. The kind is the type of the vector of matrices, so that compiled code
contains only the kind it needs: float32 panels, bfloat16 in words, int8 in bytes.

Large products are made claim by claim of a few panels, in an order for caches that hold part of a
matrix. Step by step the order turns around, so that what was read last is read first. The leader
goes from the first claim to the middle and back, its helper from the last one to the middle and
back; whoever arrives there early goes on with what the other has left.
"""

# ruff: noqa: PLR0917, ARG005  # compiled code is called by position, whatever a form needs of it

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from rhapsode.engine.kernels import team
from rhapsode.engine.kernels.jit import apart, form_of, inner
from rhapsode.engine.kernels.reduced import (
    BLOCK,
    BLOCK_BYTES,
    INPUT_BYTES,
    pack_bf16,
    pack_int8,
    round_inputs,
    some_panels_bf16,
    some_panels_int8,
)
from rhapsode.engine.kernels.tiles import PANEL, matmul, pack, padded
from rhapsode.engine.offsets import BOARD, TURN

# What the numbers of the vector are, by the kind of weights.
KINDS: dict[str, type[np.generic]] = {
    "float32": np.float32,
    "bf16": np.uint32,
    "int8": np.uint8,
}

# Bytes, times rows, of the smallest product that cores share: meeting takes about as long as
# reading ten thousand.
LARGE = 1 << 19
# Bytes of the smallest matrix that one core reads back and forth: smaller ones stay in its cache.
TURNED = 1 << 21
# Numbers on the board that describe a product.
_SHARED = 11


def packed(weight_GK: NDArray[np.float32], kind: str) -> NDArray[Any]:
    """A matrix in panels of a kind, flat."""
    if kind == "int8":
        return pack_int8(weight_GK)
    return pack_bf16(weight_GK) if kind == "bf16" else pack(weight_GK)


def matrix_size(outputs: int, depth: int, kind: str) -> int:
    """Numbers of the vector that a matrix takes."""
    whole = padded(outputs)
    if kind == "int8":
        return whole // PANEL * -(-depth // BLOCK) * BLOCK_BYTES
    return whole * depth // (2 if kind == "bf16" else 1)


@inner
def _some_panels_float32(
    y: Any, y_at: int, y_step: int, m: Any, m_at: int, depth: int, begin: int, end: int,
    x: Any, x_at: int, x_step: int, rows: int,
) -> None:  # fmt: skip
    step = PANEL * depth
    matmul(
        y, y_at + begin * PANEL, y_step, m, m_at + begin * step, step, depth, end - begin,
        x, x_at, x_step, rows,
    )  # fmt: skip


_SOME = {
    types.float32: _some_panels_float32,
    types.uint32: some_panels_bf16,
    types.uint8: some_panels_int8,
}


def _some_panels(*arguments: Any) -> None:
    """The outputs of panels from `begin` to `end`."""


@form_of(_some_panels)
def _some_panels_of_kind(
    y: Any, y_at: Any, y_step: Any, m: Any, m_at: Any, depth: Any, begin: Any, end: Any,
    x: Any, x_at: Any, x_step: Any, rows: Any,
) -> Callable[..., None]:  # fmt: skip
    some = _SOME[m.dtype]

    def form(
        y: Any, y_at: Any, y_step: Any, m: Any, m_at: Any, depth: Any, begin: Any, end: Any,
        x: Any, x_at: Any, x_step: Any, rows: Any,
    ) -> None:  # fmt: skip
        some(y, y_at, y_step, m, m_at, depth, begin, end, x, x_at, x_step, rows)

    return form


def _inputs(*arguments: Any) -> Any:
    """Inputs for products with a kind of weights: vector, start and stride."""


@form_of(_inputs)
def _inputs_of_kind(
    m: Any, x: Any, x_at: Any, x_step: Any, depth: Any, rows: Any
) -> Callable[..., Any]:
    if m.dtype != types.uint8:
        return lambda m, x, x_at, x_step, depth, rows: (x, x_at, x_step)

    def form(m: Any, x: Any, x_at: Any, x_step: Any, depth: Any, rows: Any) -> Any:
        step = (depth + BLOCK - 1) // BLOCK * INPUT_BYTES
        rounded = np.empty(rows * step, dtype=np.uint8)
        for row in range(rows):
            round_inputs(x, x_at + row * x_step, depth, rounded, row * step)
        return rounded, 0, step

    return form


def _address(typing: Any, address: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), emit


_numba: Any = numba
carray = _numba.carray
_pointer_to: Any = intrinsic(_address)
_ANY = 1 << 40


def _lent(m: Any, address: int) -> Any:
    """The vector of inputs at an address."""


@form_of(_lent)
def _lent_of_kind(m: Any, address: Any) -> Callable[..., Any]:
    if m.dtype == types.uint8:
        return lambda m, address: carray(_pointer_to(address), _ANY, np.uint8)
    return lambda m, address: carray(_pointer_to(address), _ANY, np.float32)


@inner
def product(
    spec: Any, y: Any, y_at: int, y_step: int, m: Any, m_at: int, depth: int, panels: int,
    x: Any, x_at: int, x_step: int, rows: int,
) -> None:  # fmt: skip
    """y[r] += M x[r] for some rows, with matrices of any kind.

    As `tiles.matmul`.

    Arguments:
        spec: description of the network; read is where a helper looks for work, and the order.
        y: outputs; a row has room for whole panels.
        y_at: where the first row lies.
        y_step: from a row to the next.
        m: matrices in panels.
        m_at: where this one lies.
        depth: K.
        panels: outputs in panels.
        x: inputs, as y.
        x_at: as y.
        x_step: as y.
        rows: how many.
    """
    apart()
    v, v_at, v_step = _inputs(m, x, x_at, x_step, depth, rows)
    board, turn, size = spec[BOARD], spec[TURN], depth * panels * PANEL * m.itemsize
    if rows * size < LARGE or (board == 0 and size < TURNED):
        _some_panels(y, y_at, y_step, m, m_at, depth, 0, panels, v, v_at, v_step, rows)
        return
    claims = (panels + team.CLAIM - 1) // team.CLAIM
    if board == 0:
        for claim in range(claims):
            begin = (claims - 1 - claim if turn else claim) * team.CLAIM
            end = min(panels, begin + team.CLAIM)
            _some_panels(y, y_at, y_step, m, m_at, depth, begin, end, v, v_at, v_step, rows)
        return
    number = (team.read(board, team.TICKET) >> team.NUMBER) + 1
    at = board + 8 * team.SHARED
    shared = carray(_pointer_to(at), _SHARED, np.int64)
    shared[0], shared[1], shared[2] = y.ctypes.data, y_at, y_step
    shared[3], shared[4], shared[5] = m_at, depth, panels
    shared[6], shared[7], shared[8] = v.ctypes.data, v_at, v_step
    shared[9], shared[10] = rows, turn
    team.write(board, team.DONE, 0)
    team.write(board, team.TICKET, (number << team.NUMBER) + claims)
    while True:
        ticket = team.read(board, team.TICKET)
        if ticket & team.LEFT == 0:
            break
        if team.exchange(board, team.TICKET, ticket, ticket + (1 << team.LED) - 1):
            led = ticket >> team.LED & team.LEFT
            begin = ((claims // 2 - 1 - led) % claims if turn else led) * team.CLAIM
            end = min(panels, begin + team.CLAIM)
            _some_panels(y, y_at, y_step, m, m_at, depth, begin, end, v, v_at, v_step, rows)
            team.add(board, team.DONE, 1)
    while team.read(board, team.DONE) != claims:
        team.rest()


@inner
def help_out(board: int, m: Any) -> int:
    """Take claims off the board until the loop ends; return their number."""
    apart()
    shared = carray(_pointer_to(board + 8 * team.SHARED), _SHARED, np.int64)
    done = 0
    while team.read(board, team.ENDED) == 0:
        ticket = team.read(board, team.TICKET)
        left = ticket & team.LEFT
        if left == 0:
            team.rest()
            continue
        y_address, y_at, y_step = shared[0], shared[1], shared[2]
        m_at, depth, panels = shared[3], shared[4], shared[5]
        x_address, x_at, x_step = shared[6], shared[7], shared[8]
        rows, turn = shared[9], shared[10]
        if team.exchange(board, team.TICKET, ticket, ticket - 1):
            y = carray(_pointer_to(y_address), _ANY, np.float32)
            x = _lent(m, x_address)
            claims = (panels + team.CLAIM - 1) // team.CLAIM
            helped = claims - (ticket >> team.LED & team.LEFT) - left
            begin = ((claims // 2 + helped) % claims if turn else claims - 1 - helped) * team.CLAIM
            end = min(panels, begin + team.CLAIM)
            _some_panels(y, y_at, y_step, m, m_at, depth, begin, end, x, x_at, x_step, rows)
            team.add(board, team.DONE, 1)
            done += 1
    return done

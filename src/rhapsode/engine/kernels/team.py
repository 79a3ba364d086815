"""Two cores at one product, claiming a few panels at a time.

Nobody waits for a core that is busy elsewhere. The caller of the loop leads. A helper, on its own
thread, runs `help_out` while the loop runs; it takes panels of the current product on the board.
Panels do not overlap, so that the numbers are the same whichever core computes them.

The board is a vector of int64, with one cache line for each of: the ticket, the number of finished
claims, whether the loop has ended, and the product. A ticket is the number of the product in the
high 24 bits, the claims of the leader in the next 20, and unclaimed claims in the low 20. A claim
exchanges the ticket. If the exchange succeeds, what was read from the board belongs to the claim,
since the next product is put there only after every panel of the current one is done.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic

cgutils: Any = _cgutils

TICKET, DONE, ENDED, SHARED = 0, 8, 16, 24
# Numbers on it.
BOARD = 48
# Panels that are claimed at a time.
CLAIM = 4
# A ticket: shifts of the number and of the leader's claims, and a mask of what is unclaimed.
NUMBER, LED, LEFT = 40, 20, (1 << 20) - 1

_INT = ir.IntType(64)


def _pointer(builder: Any, address: Any, place: Any) -> Any:
    return builder.gep(builder.inttoptr(address, _INT.as_pointer()), [place])


def _read(typing: Any, board: Any, place: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_pointer(builder, *args), "acquire", 8)

    return types.int64(types.int64, types.int64), emit


def _write(typing: Any, board: Any, place: Any, number: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _pointer(builder, *args[:2]), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), emit


def _add(typing: Any, board: Any, place: Any, number: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _pointer(builder, *args[:2]), args[2], "acq_rel")

    return types.int64(types.int64, types.int64, types.int64), emit


def _exchange(typing: Any, board: Any, place: Any, known: Any, number: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        found = builder.cmpxchg(
            _pointer(builder, *args[:2]), args[2], args[3], "acq_rel", "acquire"
        )
        return builder.extract_value(found, 1)

    return types.boolean(types.int64, types.int64, types.int64, types.int64), emit


def _rest(typing: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if "x86_64" in context.codegen().magic_tuple()[0]:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(
                cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), []
            )
        return context.get_dummy_value()

    return types.void(), emit


# All take the address of the board.
read: Any = intrinsic(_read)
write: Any = intrinsic(_write)
add: Any = intrinsic(_add)
# Whether the number was still the one known, and is now the other.
exchange: Any = intrinsic(_exchange)
# A moment of waiting.
rest: Any = intrinsic(_rest)

"""Compilation of the engine's functions, and the cache of compiled code."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba import types
from numba.extending import intrinsic, overload

from rhapsode.compiling import jitted

_njit: Any = numba.njit
_overload: Any = overload

F = TypeVar("F", bound=Callable[..., Any])

# A product and a sum become one rounding; nothing is reordered, so results do not depend on what
# lies beside them. Nobody calls the form for C, which is a tenth of the compiling.
_OPTIONS = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract"},
    "no_cfunc_wrapper": True,
}


def _stamp() -> str:
    """Hash of the files with compiled code, the n-gram lookup included."""
    digest = hashlib.sha256()
    engine = Path(__file__).parents[1]
    steps = (engine / name for name in ("compiled_steps.py", "offsets.py", "sampling_steps.py"))
    counts = sorted((engine.parent / "counts").rglob("ngram_*.py"))
    for path in (*sorted(Path(__file__).parent.glob("*.py")), *steps, *counts):
        digest.update(path.read_bytes())
    return digest.hexdigest()


# What is kept of an entry is renewed when any of these files changes: entries close over this.
STAMP = _stamp()


def inner(function: F) -> F:
    """Compile a function that only compiled code can call."""
    return cast(F, _njit(no_cpython_wrapper=True, **_OPTIONS)(function))


def entry(function: F) -> F:
    """Compile a function for Python, and cache it with its callees.

    It must have `STAMP` in its closure, since the functions that it calls are in other files.
    """
    return cast(F, jitted(function, **_OPTIONS))


def ready(function: Any, signature: tuple[Any, ...]) -> int:
    """Load an entry for some types from the cache, or compile it.

    Returns:
        1 where it had to be compiled.
    """
    if signature in function.overloads:
        return 0
    before = sum(function.stats.cache_misses.values())
    function.compile(signature)
    return int(sum(function.stats.cache_misses.values()) - before)


def form_of(named: Callable[..., Any]) -> Callable[[F], F]:
    """Decorate a function that chooses the form of `named` by argument types."""
    return cast("Callable[[F], F]", _overload(named, jit_options=_OPTIONS, strict=False))


def _apart(typing: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), emit


# Called in a function, keeps it out of those that call it: they compile many times as fast.
apart = cast("Callable[[], None]", intrinsic(_apart))

"""Compile with numba, and load kept code without numba's tables of types and functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def kept(function: Any) -> Any:
    """Make a compiled function load its kept code past numba's tables.

    Filling the tables takes longer than all else that a short command does. Code that is not kept
    is compiled as ever, with the tables.

    Arguments:
        function: from `numba.njit` with `cache=True`.
    """
    cache = getattr(function, "_cache", None)
    ordinary = getattr(cache, "load_overload", None)
    if cache is None or ordinary is None:  # another numba, or its compiler is switched off
        return function

    def load(signature: Any, target: Any) -> Any:
        try:
            from numba.core.runtime import rtsys  # type: ignore[attr-defined, unused-ignore]

            rtsys.initialize(target)
            found = cache._load_overload(signature, target)
        except Exception:  # another numba's insides, or a file that is broken: it is compiled anew
            return None
        return ordinary(signature, target) if found is None else found

    cache.load_overload = load
    return function


def compiled(function: F) -> F:
    """Compile at the first call, for its argument types, and keep the code between runs.

    It runs free of the interpreter's lock. Kept code is renewed when the function's own file
    changes, not when a file changes that it calls into: functions that call one another live in one
    file.
    """
    import numba

    njit: Any = numba.njit
    return cast(F, kept(njit(cache=True, nogil=True, no_cfunc_wrapper=True)(function)))

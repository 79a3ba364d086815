"""Compile functions with numba and cache the compiled code.

Cached code is loaded without numba's tables of types and functions, which take long to fill.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

from rhapsode.files import temporary_cache

F = TypeVar("F", bound=Callable[..., Any])


def kept(function: Any) -> Any:
    """Load the cached code of a compiled function without numba's tables.

    Filling the tables takes longer than everything else in a short command. Code that is not cached
    is compiled as usual, with the tables.

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


def cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def vectorised(function: F) -> F:
    """Compile a function, its sums in any order.

    See `compiled`.
    """
    return cast(F, jitted(function, nogil=True, no_cfunc_wrapper=True, fastmath={"reassoc", "nsz"}))


def compiled(function: F) -> F:
    """Compile a function with numba, and cache the code between runs.

    It is compiled at the first call, for the types of its arguments, and runs without the
    interpreter's lock. Cached code is renewed when the function's own file changes, not when a file
    changes that it calls: functions that call one another belong in one file.
    """
    return cast(F, jitted(function, nogil=True, no_cfunc_wrapper=True))


def jitted(function: Callable[..., Any], **options: Any) -> Any:
    """Compile a function, and cache the code.

    A temporary folder is used if neither the package nor a home folder can be written.

    Arguments:
        function: the function.
        options: of `numba.njit`, without `cache`.
    """
    import numba

    njit: Any = numba.njit
    settings: Any = numba.config
    try:
        return kept(njit(cache=True, **options)(function))
    except RuntimeError:
        before = settings.CACHE_DIR
        settings.CACHE_DIR = str(temporary_cache() / "compiled")
        try:
            return kept(njit(cache=True, **options)(function))
        except RuntimeError:  # nor can that one
            return njit(**options)(function)
        finally:
            settings.CACHE_DIR = before

"""How the functions of this room are compiled: once, kept on disk, free of the interpreter's lock."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba  # type: ignore[import-not-found, import-untyped, unused-ignore]

from rhapsode.compiling import kept

_njit: Any = numba.njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile at the first call, for the argument types of that call, and keep the result between runs.

    What is kept is renewed when the function's own file changes, not when a file changes that it calls into: functions
    that call one another live in one file.
    """
    return cast(F, kept(_njit(cache=True, nogil=True, no_cfunc_wrapper=True)(function)))

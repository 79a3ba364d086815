"""Inner functions of the compiled engine in a form that Python may call."""

from typing import Any

import numba

from rhapsode.engine.kernels import jit

__all__ = ["callable_form"]


def callable_form(function: Any) -> Any:
    """The same function, compiled apart from the one that entries call."""
    return numba.njit(**jit._OPTIONS)(function.py_func)

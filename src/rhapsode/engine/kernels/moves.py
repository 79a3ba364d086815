"""Stretches of vectors: what would otherwise be slices, which take long to compile."""

from __future__ import annotations

from typing import Any

from rhapsode.engine.kernels.jit import apart, inner


@inner
def copy(y: Any, y_at: int, x: Any, x_at: int, size: int) -> None:
    """y[y_at:] = x[x_at:], so many numbers."""
    apart()
    to, of = y[y_at : y_at + size], x[x_at : x_at + size]
    for j in range(size):
        to[j] = of[j]


@inner
def fill(y: Any, y_at: int, number: Any, size: int) -> None:
    """y[y_at:] = number, so many times."""
    apart()
    to = y[y_at : y_at + size]
    for j in range(size):
        to[j] = number

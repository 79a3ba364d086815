"""Series in the package: a real one, and synthetic ones."""

from collections.abc import Callable
from importlib import resources
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]


def _airline() -> Arrays:
    """Monthly airline passengers in thousands, 1949 to 1960.

    Source: Box and Jenkins 1976, series G.
    """
    file = resources.files("rhapsode.data.tables") / "airline.csv"
    (month, number), *rows = (row.split(",") for row in file.read_text(encoding="utf-8").split())
    months, numbers = zip(*rows, strict=True)
    return {month: np.array(months, "M8[D]"), number: np.array(numbers, np.float64)}


def _uniforms(count: int, seed: int) -> Floats:
    """Numbers from 0 to 1, the same on every machine (SplitMix64)."""
    with np.errstate(over="ignore"):
        state = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _normals(count: int, seed: int) -> Floats:
    uniform = _uniforms(2 * count, seed)
    radius = np.sqrt(-2.0 * np.log1p(-uniform[:count]))
    return np.asarray(radius * np.cos(2.0 * np.pi * uniform[count:]))


def _rounded(values: Floats) -> Floats:
    return np.char.mod("%.4f", values).astype(np.float64)


def _sine_trend() -> Arrays:
    """A noisy sine on a trend, for 2,400 hours.

    y(t) = 10 + 0.01 t + 3 sin(2 pi t / 24) + e(t), e normal (0, 0.5).
    """
    hours = np.arange(2400)
    values = 10 + 0.01 * hours + 3 * np.sin(2 * np.pi * hours / 24) + 0.5 * _normals(2400, 1)
    return {"time": np.datetime64("2001-01-01T00", "h") + hours, "value": _rounded(values)}


def _regimes() -> Arrays:
    """Two regimes that alternate at random, for 3,000 days.

    They are normal (0, 1) and normal (5, 0.5), and are left with probability 0.02 a day.
    """
    regime = np.cumsum(_uniforms(3000, 2) < 0.02) % 2
    noise = _normals(3000, 3)
    values = np.where(regime == 0, noise, 5 + 0.5 * noise)
    return {"date": np.datetime64("2001-01-01", "D") + np.arange(3000), "value": _rounded(values)}


def _ar2() -> Arrays:
    """Second-order autoregression, 3,000 steps after the first 200.

    y(t) = 1.2 y(t-1) - 0.5 y(t-2) + e(t), e standard normal.
    """
    noise = _normals(3200, 4)
    values = np.zeros(3200)
    for step in range(2, 3200):
        values[step] = 1.2 * values[step - 1] - 0.5 * values[step - 2] + noise[step]
    return {"step": np.arange(3000), "value": _rounded(values[200:])}


SERIES: MappingProxyType[str, Callable[[], Arrays]] = MappingProxyType(
    {"airline": _airline, "sine-trend": _sine_trend, "regimes": _regimes, "ar2": _ar2}
)
"""Times and values of each corpus, by name."""

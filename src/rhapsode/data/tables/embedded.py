"""Series that travel with the package: a real one, and some drawn from stated formulas, whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables.frequency import Frequency, TimeKind, infer_frequency
from rhapsode.data.tables.series_set import SeriesSet, format_time

__all__ = ["SERIES", "embedded_set", "embedded_text"]

Floats = NDArray[np.float64]


def embedded_text(name: str) -> str:
    """A corpus of `SERIES` as the text of a CSV table with a header."""
    return SERIES[name]()


def embedded_set(name: str) -> SeriesSet:
    """A corpus of `SERIES`, read as any table is; needs no library of tables."""
    header, *rows = embedded_text(name).splitlines()
    time, value = header.split(",")
    cells, numbers = zip(*(row.split(",") for row in rows), strict=True)
    kind: TimeKind = "integer" if cells[0].isdigit() else "time"
    times_N = np.array(cells, np.int64 if kind == "integer" else "datetime64[ns]").astype(np.int64)
    frequency = infer_frequency(times_N, kind) or Frequency("order")
    begin, end = (format_time(int(times_N[place]), kind, frequency) for place in (0, -1))
    written = " of whole numbers" if kind == "integer" else ""
    count, none = len(rows), np.zeros((len(rows), 0))
    summary = (
        f"time: column {time!r}{written} ({frequency.name}, {begin} to {end}); value: {value!r}; "
        f"1 series of {count:,}"
    )
    return SeriesSet(
        (value,), np.array([0, count]), times_N, np.array(numbers, np.float64)[:, None],
        (value,), kind, (frequency,), none, (), none[:1], (), none[:1].astype(np.int64), (), (), (summary,),
    )  # fmt: skip


def _airline() -> str:
    """Passengers of international airlines, thousands a month, 1949 to 1960 (Box and Jenkins 1976, series G)."""
    return (resources.files("rhapsode.data.tables") / "airline.csv").read_text(encoding="utf-8")


def _uniforms(count: int, seed: int) -> Floats:
    """The same numbers from 0 to 1 on every machine and under every version of NumPy (SplitMix64)."""
    with np.errstate(over="ignore"):
        state = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _normals(count: int, seed: int) -> Floats:
    """Standard normal numbers (Box and Muller 1958)."""
    uniform = _uniforms(2 * count, seed)
    radius = np.sqrt(-2.0 * np.log1p(-uniform[:count]))
    return np.asarray(radius * np.cos(2.0 * np.pi * uniform[count:]))


def _table(header: str, times: list[str], values: Floats) -> str:
    rows = (f"{time},{value:.4f}" for time, value in zip(times, values, strict=True))
    return "\n".join([header, *rows, ""])


def _sine_trend() -> str:
    """y(t) = 10 + 0.01 t + 3 sin(2 pi t / 24) + e(t), e normal of standard deviation 0.5, for 2,400 hours."""
    hours = np.arange(2400)
    values = 10 + 0.01 * hours + 3 * np.sin(2 * np.pi * hours / 24) + 0.5 * _normals(2400, 1)
    stamps = np.datetime64("2001-01-01T00", "h") + hours
    times = [str(stamp).replace("T", " ") + ":00" for stamp in stamps]
    return _table("time,value", times, values)


def _regimes() -> str:
    """Two regimes, left with probability 0.02 a day: normal about 0 with deviation 1, or about 5 with 0.5; 3,000 days."""
    left = _uniforms(3000, 2) < 0.02
    regime = np.cumsum(left) % 2
    noise = _normals(3000, 3)
    values = np.where(regime == 0, noise, 5 + 0.5 * noise)
    stamps = np.datetime64("2001-01-01", "D") + np.arange(3000)
    return _table("date,value", [str(stamp) for stamp in stamps], values)


def _ar2() -> str:
    """y(t) = 1.2 y(t-1) - 0.5 y(t-2) + e(t), e standard normal, from y = 0, for 3,000 steps after the first 200."""
    noise = _normals(3200, 4)
    values = np.zeros(3200)
    for step in range(2, 3200):
        values[step] = 1.2 * values[step - 1] - 0.5 * values[step - 2] + noise[step]
    return _table("step,value", [str(step) for step in range(3000)], values[200:])


SERIES: MappingProxyType[str, Callable[[], str]] = MappingProxyType(
    {"airline": _airline, "sine-trend": _sine_trend, "regimes": _regimes, "ar2": _ar2}
)
"""What there is by name, and what makes its text."""

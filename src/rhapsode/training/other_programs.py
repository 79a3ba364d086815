"""Cores that other programs use."""

import os
import sys
import time
from pathlib import Path

_STATISTICS = Path("/proc/stat")
# Seconds between two readings, and cores that count as much or as nothing.
_PERIOD, _CORES = 1.0, 0.5


class OtherPrograms:
    """Tells whether other programs leave no core free.

    Reads the processor times that Linux counts; on other systems the answer is always no.
    """

    def __init__(self) -> None:
        self._busy = False
        self._before = self._read()

    def are_busy(self) -> bool:
        """True if other programs left no core free.

        They took half a core or more in the last seconds, and less was idle.
        """
        if self._before is None or time.monotonic() - self._before[0] < _PERIOD:
            return self._busy
        after = self._read()
        if after is not None:
            (began, *used), (now, *total) = self._before, after
            others, idle = ((b - a) / (now - began) for a, b in zip(used, total, strict=True))
            self._busy = others >= _CORES > idle
        self._before = after
        return self._busy

    def _read(self) -> tuple[float, float, float] | None:
        """The time now, and seconds that cores were used by others and idle."""
        if sys.platform != "linux":
            return None
        try:
            first = _STATISTICS.read_text(encoding="ascii").partition("\n")[0].split()
            user, nice, system, idle, waiting, *rest = map(int, first[1:9])
            tick = os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError):
            return None
        used = (user + nice + system + sum(rest)) / tick - time.process_time()
        return time.monotonic(), used, (idle + waiting) / tick

"""Cores that other programs use."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_STATISTICS = Path("/proc/stat")
# Cores that count as much or as nothing.
_CORES = 0.5


@dataclass(frozen=True)
class CoreUse:
    """Use of the cores within some time.

    Arguments:
        free: cores that other programs left to this process.
        busy: True if others took half a core or more, and less was idle.
    """

    free: float
    busy: bool


class OtherPrograms:
    """Use of cores by other programs, from Linux's processor times."""

    def __init__(self) -> None:
        self._before = self._read()

    def since(self) -> CoreUse | None:
        """Use of the cores since the last call; None on other systems."""
        before, after = self._before, self._read()
        self._before = after
        if before is None or after is None or after[0] <= before[0]:
            return None
        (began, *used), (now, *total) = before, after
        others, idle, all_cores = (
            (b - a) / (now - began) for a, b in zip(used, total, strict=True)
        )
        return CoreUse(all_cores - others, busy=others >= _CORES > idle)

    def _read(self) -> tuple[float, float, float, float] | None:
        """The time now, and seconds that cores were used by others, idle and either."""
        if sys.platform != "linux":
            return None
        try:
            first = _STATISTICS.read_text(encoding="ascii").partition("\n")[0].split()
            user, nice, system, idle, waiting, *rest = map(int, first[1:9])
            tick = os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError):
            return None
        used = user + nice + system + sum(rest)
        resting = idle + waiting
        others = used / tick - time.process_time()
        return time.monotonic(), others, resting / tick, (used + resting) / tick

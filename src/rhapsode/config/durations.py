"""Lengths of time as people type them: `90`, `90s`, `3m`, `1h30m`."""

import math
import re

from rhapsode.errors import SettingsError

__all__ = ["format_duration", "parse_duration"]

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([hms]?)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}
LONGEST = 366 * 86400.0


def parse_duration(text: str, *, where: str = "--budget") -> float:
    """Seconds of `"90"`, `"90s"`, `"3m"`, `"1h30m"`, ...

    Raises:
        SettingsError: not a duration, or not between one second and a year.
    """
    compact = text.strip().lower()
    parts = _PART.findall(compact)
    spelled = "".join(number + unit for number, unit in parts)
    if not parts or spelled != compact.replace(" ", ""):
        raise SettingsError(
            f"{text!r} is not a length of time", where=where, hint="write 90s, 3m or 1h30m"
        )
    if len(parts) > 1 and any(unit == "" for _, unit in parts):
        raise SettingsError(f"{text!r} lacks a unit", where=where, hint="write 90s, 3m or 1h30m")
    seconds = math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not 1.0 <= seconds <= LONGEST:
        raise SettingsError(f"{text!r} is out of range", where=where, hint="from 1s to a year")
    return seconds


def format_duration(seconds: float) -> str:
    """`42s`, `3m05s`, `2h03m`: short enough for a live line."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"

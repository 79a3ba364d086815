"""Durations (`90s`, `3m`, `1h30m`) and contexts (`carried`, `window:20`) as settings write them."""

import math
import re
import sys
from dataclasses import dataclass

from rhapsode.errors import SettingsError

_ESCAPE = re.compile(r"\\([\\nrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})")
_SHORT = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([hms]?)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}
# Seconds of a duration, at most.
LONGEST = 366 * 86400.0
# Elements of a window, at most.
WIDEST = 1 << 20


def parse_duration(text: str, *, where: str = "--budget") -> float:
    """Seconds of `"90"`, `"90s"`, `"3m"`, `"1h30m"`, ...

    Raises:
        SettingsError: not a duration, or not between one second and a year.
    """
    compact = text.strip().lower()
    parts = _PART.findall(compact)
    spelled = "".join(number + unit for number, unit in parts)
    hint = "write 90s, 3m or 1h30m"
    if not parts or spelled != compact.replace(" ", ""):
        raise SettingsError(f"{text!r} is not a length of time", where=where, hint=hint)
    if len(parts) > 1 and any(unit == "" for _, unit in parts):
        raise SettingsError(f"{text!r} lacks a unit", where=where, hint=hint)
    seconds = math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not 1.0 <= seconds <= LONGEST:
        raise SettingsError(f"{text!r} is out of range", where=where, hint="from 1s to a year")
    return seconds


def unescaped(text: str) -> str:
    r"""Read escapes: `\n`, `\r`, `\t`, `\\`, `\xe9`, `\u00e9`, `\U0001f600`."""

    def read(match: re.Match[str]) -> str:
        if match[1] in _SHORT:
            return _SHORT[match[1]]
        point = int(match[1][1:], 16)
        is_character = point <= sys.maxunicode and not 0xD800 <= point < 0xE000
        return chr(point) if is_character else match[0]

    return _ESCAPE.sub(read, text)


def format_duration(seconds: float) -> str:
    """`42s`, `3m05s`, `2h03m`: short enough for a live line."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


@dataclass(frozen=True)
class SeenContext:
    """The past that a model sees.

    Arguments:
        kind: "carried" (all of it, documents joined), "fresh" (the document so far) or "window".
        size: elements of a window; 0 otherwise.
    """

    kind: str
    size: int = 0

    def __str__(self) -> str:
        return f"window:{self.size}" if self.kind == "window" else self.kind


def parse_context(text: str) -> SeenContext:
    """The context that `carried`, `fresh` or `window:N` names.

    Raises:
        SettingsError: something else.
    """
    if text in ("carried", "fresh"):
        return SeenContext(text)
    window = re.fullmatch(r"window:([1-9]\d{0,6})", text)
    if window and int(window[1]) <= WIDEST:
        return SeenContext("window", int(window[1]))
    raise SettingsError(f"unknown context {text!r}", hint="known: carried, fresh, window:N")

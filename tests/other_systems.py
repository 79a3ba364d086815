"""Rules of systems that the suite does not run on: what Windows refuses, and what it lacks."""

import io
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

REFUSED = re.compile(r'[<>:"|?*\\\x00-\x1f]|[ .]$')
"""What no name of a file may hold there."""
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
TICK = 1 / 64
"""Seconds between two values of the clock of Windows before Python 3.13."""


class WindowsSys:
    """The module `sys` of another system."""

    platform = "win32"

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


class Stream(io.TextIOWrapper):
    """A stream in the encoding of a Western console of Windows."""

    def __init__(self, encoding: str, *, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict")
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def content(self) -> bytes:
        self.flush()
        return self.buffer.getvalue()  # type: ignore[attr-defined]


def held() -> Iterator[Path]:
    """Files that this process has open or mapped."""
    for handle in Path("/proc/self/fd").iterdir():
        try:
            yield handle.readlink()
        except OSError:  # the handle of the listing itself
            continue
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        path = line.partition("/")[2]
        if path:
            yield Path("/" + path)


def behave_as_windows(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Take away what Windows lacks, and refuse what it refuses.

    Nothing that is open or mapped is renamed, replaced or removed, no folder is opened, and clocks tick slowly.

    Arguments:
        root: the folder in which files follow the rules.
        patch: undoes it.
    """
    root = root.resolve()

    def checked(call: Callable[..., Any], paths: int) -> Callable[..., Any]:
        @wraps(call)
        def guarded(*args: Any, **named: Any) -> Any:
            for path in () if named.get("dir_fd") is not None else args[:paths]:
                whole = Path(os.path.abspath(path))  # noqa: PTH100
                if whole.is_relative_to(root):
                    for other in held():
                        if other.is_relative_to(whole):
                            raise PermissionError(13, f"in use: {other}", str(path))
            return call(*args, **named)

        return guarded

    for name, paths in {"rename": 2, "replace": 2, "unlink": 1, "remove": 1}.items():
        patch.setattr(os, name, checked(getattr(os, name), paths))
    patch.setattr(shutil, "rmtree", checked(shutil.rmtree, 1))
    opened = os.open

    def open_file(path: Any, *args: Any, **named: Any) -> int:
        if named.get("dir_fd") is None and Path(path).is_dir():
            raise PermissionError(13, "a folder", str(path))
        return opened(path, *args, **named)

    patch.setattr(os, "open", open_file)
    for name in ("sched_getaffinity", "sysconf"):
        patch.delattr(os, name)
    for module in [m for name, m in sys.modules.items() if name.startswith("rhapsode")]:
        if getattr(module, "sys", None) is sys:
            patch.setattr(module, "sys", WindowsSys())
    for name in ("monotonic", "perf_counter", "process_time"):
        patch.setattr(time, name, ticking(getattr(time, name)))


def ticking(clock: Callable[[], float]) -> Callable[[], float]:
    """A clock that advances by ticks."""
    return lambda: clock() // TICK * TICK


def faults(root: Path) -> list[str]:
    """Names below a folder that another file system would refuse or take for the same."""
    found = []
    for folder, folders, files in os.walk(root):
        names = folders + files
        found += [f"{folder}/{n}" for n in names if REFUSED.search(n) or DEVICES.fullmatch(n)]
        if len({name.casefold() for name in names}) < len(names):
            found.append(f"{folder}: names that differ in case only")
    return found

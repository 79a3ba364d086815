"""Start and streams of the process of a command."""

import errno
import io
import os
import sys
import time
from pathlib import Path


def seconds_since_process_start() -> float:
    """Seconds since this process was started.

    Where the system does not say, the processor time of the process.
    """
    if sys.platform != "linux":
        return time.process_time()
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        uptime = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        return max(0.0, uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return time.process_time()


def accept_any_character() -> None:
    """Let streams take any character.

    Files and pipes are UTF-8; a terminal shows a question mark for what its encoding lacks.
    """
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def is_closed_pipe(problem: OSError) -> bool:
    """True if the reader has closed the output, as `head` does."""
    windows = sys.platform == "win32" and problem.errno == errno.EINVAL
    return windows or isinstance(problem, BrokenPipeError)


def discard_output() -> None:
    """Drop what could not be written, which Python tries again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

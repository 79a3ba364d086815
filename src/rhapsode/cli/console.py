"""Output: results to stdout, all else to stderr."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from rhapsode.cli.process import discard_output, is_closed_pipe
from rhapsode.errors import RunError
from rhapsode.log import log

if TYPE_CHECKING:  # takes longer to load than a text to write
    from rich.console import Console

    from rhapsode.views.display import Shown

# Variables by which people have their say on what a terminal can.
_RULING = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


@cache
def stderr() -> "Console":
    """The console that draws on stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def stdout() -> "Console":
    """A console that draws on stdout."""
    from rich.console import Console

    return Console(highlight=False)


def note(line: str) -> None:
    """Print a plain line on stderr."""
    if _simple(line):
        dim = sys.stderr.isatty()
        sys.stderr.write(f"\x1b[2m{line}\x1b[0m\n" if dim else f"{line}\n")
        sys.stderr.flush()
        return
    from rich.text import Text

    stderr().print(Text(line), style="dim")


def _simple(line: str) -> bool:
    """True if a dim line looks the same without the console."""
    if sys.stderr is None or os.name != "posix" or not line or not line.isprintable():
        return False
    if stderr.cache_info().currsize or any(os.environ.get(name) for name in _RULING):
        return False
    term = os.environ.get("TERM", "").strip().lower()
    return not sys.stderr.isatty() or term not in ("", "dumb", "unknown")


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        note(mark + record.getMessage())


@contextlib.contextmanager
def messages_on_stderr() -> Iterator[None]:
    """Show the progress and the warnings of the package while this lasts."""
    handler, before = _Notes(), (log.level, log.propagate)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]


def fail(message: str) -> None:
    """Print an error: one line on stderr."""
    from rich.text import Text

    stderr().print(Text.assemble(("error: ", "bold red"), message))


def present(result: "Shown", *, as_json: bool) -> None:
    """Print a result as one JSON object or as tables."""
    if as_json:
        print_json(result.to_mapping())
    else:
        console = stdout()
        print_parts(result.shown(console.width), console)


def print_parts(parts: Iterable[Any], console: "Console | None" = None) -> None:
    """Print lines, and renderables of `rich`, to stdout."""
    console = console or stdout()
    for part in parts:
        line = isinstance(part, str)
        console.print(part, soft_wrap=line, markup=not line)


def print_json(mapping: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout."""
    put(json_text(mapping) + "\n")


def put(text: str) -> None:
    """Write a result to stdout at once, escaped bytes as bytes.

    Raises:
        RunError: stdout is closed, or its disk is full.
    """
    if sys.stdout is None:
        raise RunError("standard output is closed", hint="leave it open, or send it to a file")
    tty, pipe = (sys.stdout.encoding, "replace"), ("utf-8", "surrogateescape")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode(*(tty if sys.stdout.isatty() else pipe)))
        sys.stdout.buffer.flush()
    except OSError as problem:
        if is_closed_pipe(problem):
            raise
        discard_output()
        raise RunError(f"cannot write: {problem.strerror}", where="standard output") from None


def say(text: str) -> None:
    """Write a text that people read; on a terminal without control characters."""
    put(plain(text) if sys.stdout is not None and sys.stdout.isatty() else text)


def json_text(mapping: Mapping[str, Any]) -> str:
    """A mapping as JSON; bytes outside UTF-8 are written as escapes."""
    import json

    text = json.dumps(mapping, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def plain(text: str) -> str:
    """A text without control characters, but for line ends and tabs."""
    import unicodedata  # late, as json: most commands print neither

    return "".join(
        "·" if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" else c for c in text
    )

"""The terminal of `rhapsode play`, or the pipe in its place."""

import contextlib
import importlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.text import Text

from rhapsode.cli.console import note, plain, say, stdout

PROMPT = "› "


class PlayScreen:
    """Lines from standard input, text to standard output, notes to stderr."""

    def __init__(self) -> None:
        self.is_terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
        self.console = stdout()

    def lines(self, commands: Sequence[str], settings: Sequence[str]) -> Iterator[str]:
        """Lines from the keyboard or the pipe, until they end.

        Arguments:
            commands: names that Tab completes after a slash.
            settings: names that Tab completes after "/set".
        """
        if not self.is_terminal:
            if sys.stdin is not None:
                for line in sys.stdin.buffer:
                    yield line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            return
        completes = _line_editing([f"/{name}" for name in commands], settings)
        # Between the marks stands what has no width.
        prompt = f"\001\033[36m\002{PROMPT}\001\033[0m\002" if completes else PROMPT
        while True:
            try:
                yield input(prompt)
            except EOFError:
                sys.stdout.write("\n")
                return
            except KeyboardInterrupt:
                sys.stdout.write("\n")
                note("/quit or Ctrl-D leaves")

    def greet(self, name: str, *facts: str) -> None:
        """Print the head line of a session."""
        title = Text.assemble((name, "bold"), *((f"  {fact}", "dim") for fact in facts))
        self.console.rule(title, align="left", style="cyan")

    def write(self, text: str, style: str = "") -> None:
        """Print a piece of the text as it comes."""
        if not text:
            return
        if self.is_terminal:
            self.console.print(Text(plain(text), style=style), end="", soft_wrap=True)
            self.console.file.flush()
            return
        say(text)  # a pipe gets the text as it is, a terminal gets no control characters

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[Callable[[], bool]]:
        """Catch the first Ctrl-C; the second one interrupts.

        The callable returns true once the first has come.
        """
        asked = False

        def ask(number: int, frame: object) -> None:
            nonlocal asked
            if asked:
                raise KeyboardInterrupt
            asked = True

        try:
            before = signal.signal(signal.SIGINT, ask)
        except ValueError:  # not the main thread, which is the only one to get signals
            yield lambda: False
            return
        try:
            yield lambda: asked
        finally:
            signal.signal(signal.SIGINT, before)


def _line_editing(commands: Sequence[str], settings: Sequence[str]) -> bool:
    """Arrow keys, history and Tab; False where the system has no readline."""
    try:
        readline: Any = importlib.import_module("readline")
    except ImportError:
        return False

    def complete(text: str, number: int) -> str | None:
        line = readline.get_line_buffer()
        names = settings if line.startswith("/set ") else commands if text == line else []
        matches = [name for name in names if name.startswith(text)] if line else []
        return f"{matches[number]} " if number < len(matches) else None

    readline.set_completer_delims(" ")
    readline.set_completer(complete)
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    return True

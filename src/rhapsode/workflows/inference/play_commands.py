"""The lines of a writing session: texts to continue, and commands that begin with a slash."""

from __future__ import annotations

import contextlib
import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

from rhapsode.config import GenerateSettings, suggest, to_mapping
from rhapsode.errors import RhapsodeError, SettingsError
from rhapsode.modalities.opened import Given
from rhapsode.views.terminal.text_tables import (
    branches_table,
    element_title,
    entries_table,
    shown_end,
)
from rhapsode.workflows.inference.session import NOT_HERE, PlaySession

__all__ = ["Player", "Screen"]

HELP = (
    ("TEXT", "append it to the text and go on; \\n in it is a line end, // at its front one slash"),
    ("(an empty line)", "go on"),
    ("/again", "another continuation; the last one stays as a branch"),
    ("/edit TEXT", "put this in place of the last continuation, which stays as a branch"),
    ("/undo [N]", "take back the last step, or N of them"),
    ("/branch", "list the branches; /branch new begins one here, /branch 2 goes to the second"),
    ("/why [N]", "what the model thought of the last element; of element N; of the N-th last: -N"),
    ("/set NAME VALUE", "change a setting, as /set temperature 0.5; /set alone shows them"),
    ("/show", "the whole text"),
    ("/keep", "append the text to the file of kept texts, from which a model can learn"),
    ("/save FILE", "keep this session, to go on with it later"),
    ("/load FILE", "go on with a saved session"),
    ("/quit", "leave"),
)
TEXTS = frozenset(("stop", "ban", "bias", "prefix", "dry_breakers"))
"""Settings that are texts as they are written, so that \\n in them is a line end."""


class Screen(Protocol):
    """Output of a session."""

    @property
    def width(self) -> int:
        """Cells of a line."""

    def write(self, text: str, style: str = "") -> None:
        """Print a piece of the text."""

    def show(self, *blocks: Any) -> None:
        """Print tables."""

    def note(self, line: str) -> None:
        """Print a line beside the text."""

    def fail(self, message: str) -> None:
        """Print an error."""

    def interruptible(self) -> AbstractContextManager[Callable[[], bool]]:
        """Catch the first Ctrl-C; the callable tells whether it came."""


class Player:
    """Lines in, text out.

    Arguments:
        session: the text and the model.
        screen: takes the output.
        kept: the file of kept texts.
    """

    def __init__(self, session: PlaySession, screen: Screen, kept: Path) -> None:
        self._session = session
        self._screen = screen
        self._kept = kept
        # Of each command the words that it takes at most.
        self._commands: dict[str, tuple[Callable[[list[str]], None], float]] = {
            "again": (self._again, 0),
            "branch": (self._branch, 1),
            "edit": (self._edit, math.inf),
            "help": (lambda _: screen.show(entries_table(HELP)), 0),
            "keep": (self._keep, 0),
            "load": (self._load, math.inf),
            "save": (self._save, math.inf),
            "set": (self._set, math.inf),
            "show": (self.show_text, 0),
            "undo": (self._undo, 1),
            "why": (self._why, 1),
        }
        self.commands = [*sorted(self._commands), "quit"]

    def play(self, lines: Iterator[str]) -> None:
        """Take lines until they end, or /quit."""
        for line in lines:
            if line.strip() == "/quit":
                return
            try:
                self._take(line)
            except RhapsodeError as problem:
                self._screen.fail(str(problem))

    def show_text(self, words: Sequence[str] = ()) -> None:
        """Print the whole text, the parts that were given in bold."""
        ended, head = False, self._session.prompt.head
        self._screen.write(head)
        for turn in self._session.turns:
            shown = (f"\n\n{head}" if ended else "") + turn.text
            self._screen.write(shown, "bold" if turn.kind == "given" else "")
            ended = self._session.ends_document(turn)
        if self._session.text and not self._session.text.endswith("\n"):
            self._screen.write("\n")

    def _take(self, line: str) -> None:
        if line.startswith("/") and not line.startswith("//"):
            self._obey(line[1:])
            return
        text = _unescaped(line[1:] if line.startswith("//") else line)
        added = self._added(self._session.add(text)) if text else ""
        self._write(self._session.write(), added)

    def _added(self, given: Given) -> str:
        for line in given.notes:
            self._screen.note(line)
        return given.text

    def _obey(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        if name not in self._commands:
            raise SettingsError(f"no command /{name}", hint=suggest(name, self.commands))
        if name == "edit":
            words = [rest]
        elif name == "set":
            words = rest.strip().split(maxsplit=1)  # values may hold quotation marks
        else:
            try:
                words = shlex.split(rest)
            except ValueError:
                words = rest.split()
        command, most = self._commands[name]
        if len(words) > most:
            raise SettingsError(f"/{name} takes {'one value' if most else 'nothing more'}")
        command(words)

    def _write(self, pieces: Iterator[str], given: str = "") -> None:
        """Print a continuation as it comes; Ctrl-C stops it, and the text so far stays."""
        last = given
        self._screen.write(given, "bold")
        with self._screen.interruptible() as stopping, contextlib.closing(pieces) as open_pieces:  # type: ignore[type-var]
            for piece in open_pieces:
                self._screen.write(piece)
                last = piece or last
                if stopping():
                    break
        if not last.endswith("\n"):
            self._screen.write("\n")
        turns = self._session.turns
        if not turns or turns[-1].kind != "written":
            return
        if turns[-1].end == "interrupted":
            self._screen.note("stopped; an empty line goes on")
        elif self._session.ends_document(turns[-1]):
            self._screen.note("the text ends here; an empty line begins another")

    # The commands

    def _again(self, words: list[str]) -> None:
        before = self._session.current
        self._write(self._session.again())
        self._tell_branch(before)

    def _edit(self, words: list[str]) -> None:
        before = self._session.current
        self._screen.write(self._added(self._session.edit(_unescaped(words[0]))), "bold")
        if not self._session.text.endswith("\n"):
            self._screen.write("\n")
        self._tell_branch(before)

    def _tell_branch(self, before: int) -> None:
        current = self._session.current
        self._screen.note(f"branch {current}; the earlier continuation is branch {before}")

    def _undo(self, words: list[str]) -> None:
        number = _number(words[0], "/undo") if words else 1
        if number < 1:
            raise SettingsError("/undo takes a number from 1", where=words[0])
        done = self._session.undo(number)
        if not done:
            self._screen.note("nothing to take back")
            return
        self._screen.note(f"{done} step{'s' if done != 1 else ''} taken back")
        self._tell_end()

    def _branch(self, words: list[str]) -> None:
        if words == ["new"]:
            self._screen.note(f"branch {self._session.fork()} begins here")
        elif words:
            self._session.switch(_number(words[0], "/branch", "new or the number of a branch"))
            self._tell_end()
        else:
            rows = [(b.name, b.current, b.elements, b.text) for b in self._session.branches()]
            self._screen.show(branches_table(rows, self._screen.width))

    def _why(self, words: list[str]) -> None:
        why = self._session.why(_number(words[0], "/why") if words else None, top=5)
        width = self._screen.width
        title = element_title(why.before, why.name, why.number, why.kind, width)
        self._screen.show(title, *why.choice.shown(width))

    def _set(self, words: list[str]) -> None:
        if len(words) == 1 and "=" in words[0]:
            words = words[0].split("=", 1)
        if len(words) < 2:
            self._screen.show(entries_table(self._settings(words)))
            return
        name, value = words[0].replace("-", "_"), words[1].removeprefix("= ")
        if name in TEXTS and not value.startswith("["):
            value = _unescaped(value)
        self._session.set(name, value)
        self._screen.note(f"{name} {getattr(self._session.settings, name)}")

    def _settings(self, words: list[str]) -> Iterator[tuple[str, str]]:
        """The settings that differ from their defaults, or the one that is named."""
        known = {field.name: field.default for field in fields(GenerateSettings)}
        if words and words[0].replace("-", "_") not in known:
            raise SettingsError(
                f"unknown setting {words[0]!r}", hint=suggest(words[0], list(known))
            )
        mapping = to_mapping(self._session.settings)
        for name, default in known.items():
            value = getattr(self._session.settings, name)
            named = words and words[0].replace("-", "_") == name
            usual = name in ("temperature", "length", "seed")
            if named or (not words and name not in NOT_HERE and (usual or value != default)):
                yield name, str(mapping.get(name, "none"))

    def _tell_end(self) -> None:
        """Tell where the text stands."""
        text = self._session.text
        self._screen.note(shown_end(text, 60) if text else "the text is empty")

    def _keep(self, words: list[str]) -> None:
        number = self._session.keep(self._kept)
        self._screen.note(f"{number:,} characters appended to {self._kept}")

    def _save(self, words: list[str]) -> None:
        path = _file(words, "save")
        self._session.save(path)
        self._screen.note(f"saved in {path}")

    def _load(self, words: list[str]) -> None:
        path = _file(words, "load")
        self._session.load(path)
        self._screen.note(f"going on with {path}, seed {self._session.settings.seed}")
        self._tell_end()


def _unescaped(line: str) -> str:
    """A line with its line ends."""
    return line.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")


def _number(word: str, where: str, wanted: str = "a whole number") -> int:
    try:
        return int(word)
    except ValueError:
        raise SettingsError(f"{word!r} is not {wanted}", where=where) from None


def _file(words: list[str], name: str) -> Path:
    if len(words) != 1:
        raise SettingsError(f"/{name} takes the name of a file")
    try:
        path = Path(words[0]).expanduser()
    except RuntimeError:  # ~ of nobody
        raise SettingsError("there is no such home folder", where=words[0]) from None
    if "\0" in words[0]:
        raise SettingsError("no file has such a name", where=words[0])
    return path

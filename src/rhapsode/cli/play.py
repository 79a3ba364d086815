"""`rhapsode play`."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.console import Console, Group
from rich.table import Column, Table
from rich.text import Text

from rhapsode.cli.console import fail, note, plain, put
from rhapsode.cli.parse import parse
from rhapsode.config import (
    GenerateSettings,
    Positional,
    Repeated,
    apply_assignments,
    from_mapping,
    option,
    suggest,
    to_mapping,
)
from rhapsode.errors import RhapsodeError, SettingsError
from rhapsode.views.blocks import visible
from rhapsode.views.candidates import visible_end

if TYPE_CHECKING:
    from rhapsode.modalities.opened import Given
    from rhapsode.workflows.inference.session import PlaySession, Why

__all__ = ["PlayCommand", "run"]

DESCRIPTION = """Write together with a model. A line of yours is appended to the text and continued; an empty line goes on.

/help lists the commands. Ctrl-C stops the writing, Ctrl-D leaves. In a pipe the same lines are read from standard input."""

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
PROMPT = "› "
TEXTS = frozenset(("stop", "ban", "bias", "prefix", "dry_breakers"))
"""Settings that are texts as they are written, so that \\n in them is a line end."""


@dataclass(frozen=True)
class PlayCommand:
    """Flags of `rhapsode play`."""

    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""
    prompt: Positional[Annotated[str, option("PROMPT", "nothing")]] = ""
    """What the text begins with; of a model of series a table whose series is continued."""
    set: Annotated[Repeated[tuple[str, ...]], option("KEY=VALUE", "none")] = ()
    """A setting of generate, as temperature=0.7 or length=100; may be repeated."""
    seed: Annotated[int | None, option("N", "a new one, told on stderr")] = None
    """Seed of the draw: the same seed and the same lines write the same text."""
    keep: Annotated[str | None, option("FILE", "kept.jsonl beside the model")] = None
    """Where /keep appends texts: to .jsonl an object each, which train --field text reads as documents; to any other
    file the texts themselves."""
    load: Annotated[str | None, option("FILE", "none")] = None
    """Go on with a saved session."""


def run(arguments: Sequence[str], began: float) -> int:
    """Run the command."""
    command, _ = parse(PlayCommand, "play", DESCRIPTION, arguments)
    asked = apply_assignments({}, command.set)
    if command.seed is not None:
        asked["seed"] = command.seed
    settings = from_mapping(GenerateSettings, asked, where="--set")
    from rhapsode.workflows import load
    from rhapsode.workflows.inference.session import PlaySession

    model = load(command.model)
    session = PlaySession(model, settings, note, command.prompt)
    model.ready(session.settings, note)  # what cannot be used is told of before the first line
    if command.load is not None:
        session.load(Path(command.load))
    keep = Path(command.keep) if command.keep else model.path.parent / model.kept
    _Player(session, keep, seed_told=command.seed is not None or "seed" in asked).play()
    return 0


class _Player:
    """Lines in, text out.

    Arguments:
        session: the text and the model.
        keep: the file of kept texts.
        seed_told: whether the person knows the seed.
    """

    def __init__(self, session: PlaySession, keep: Path, *, seed_told: bool) -> None:
        self._session = session
        self._keep = keep
        self._seed_told = seed_told
        self._terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
        self._console = Console(highlight=False)
        self._commands: dict[str, Callable[[list[str]], None]] = {
            "again": self._again,
            "branch": self._branch,
            "edit": self._edit,
            "help": self._help,
            "keep": self._keep_text,
            "load": self._load,
            "save": self._save,
            "set": self._set,
            "show": self._show,
            "undo": self._undo,
            "why": self._why,
        }

    def play(self) -> None:
        """Read lines until they end, or /quit."""
        self._greet()
        for line in self._lines():
            if line.strip() == "/quit":
                return
            try:
                self._take(line)
            except RhapsodeError as problem:
                fail(str(problem))

    def _greet(self) -> None:
        if not self._seed_told:
            note(f"seed {self._session.settings.seed}")
        if not self._terminal:
            return
        bundle = self._session.model.bundle
        network = bundle.network
        family = "counts" if network is None else network.model.name.partition(".")[0]
        title = Text.assemble(
            (self._session.model.path.parent.name or str(self._session.model.path), "bold"),
            (f"  {family}", "dim"),
            (f"  {bundle.encoder.name.partition('.')[0]}", "dim"),
            (f"  temperature {self._session.settings.temperature:g}", "dim"),
        )
        self._console.rule(title, align="left", style="cyan")
        note(
            "Write a line and the model goes on; an empty line lets it go on; /help tells the rest."
        )
        if self._session.turns:
            self._show([])

    def _lines(self) -> Iterator[str]:
        if not self._terminal:
            if sys.stdin is not None:
                raw = sys.stdin.buffer
                for line in raw:
                    yield line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            return
        complete = self._line_editing()
        # Between the marks stands what has no width.
        prompt = f"\001\033[36m\002{PROMPT}\001\033[0m\002" if complete else PROMPT
        while True:
            try:
                yield input(prompt)
            except EOFError:
                sys.stdout.write("\n")
                return
            except KeyboardInterrupt:
                sys.stdout.write("\n")
                note("/quit or Ctrl-D leaves")

    def _line_editing(self) -> bool:
        """Arrow keys, history, and Tab for commands and settings; False where the system has no readline."""
        try:
            import readline
        except ImportError:
            return False
        commands = [f"/{name}" for name in (*sorted(self._commands), "quit")]
        settings = [entry.name for entry in dataclasses.fields(GenerateSettings)]

        def complete(text: str, number: int) -> str | None:
            line = readline.get_line_buffer()
            names = settings if line.startswith("/set ") else commands if text == line else []
            found = [name for name in names if name.startswith(text)] if line else []
            return f"{found[number]} " if number < len(found) else None

        readline.set_completer_delims(" ")
        readline.set_completer(complete)
        libedit = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
        return True

    def _take(self, line: str) -> None:
        if line.startswith("/") and not line.startswith("//"):
            self._obey(line[1:])
            return
        if line.startswith("//"):
            line = line[1:]
        text = _unescaped(line)
        added = ""
        if text:
            added = self._added(self._session.add(text))
        self._write(self._session.write(), added)

    def _added(self, given: Given) -> str:
        for line in given.notes:
            note(line)
        return given.text

    def _obey(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        if name not in self._commands:
            hint = suggest(name, [*self._commands, "quit"])
            raise SettingsError(f"no command /{name}", hint=hint or "/help lists them")
        if name == "edit":
            given = [rest]
        elif name == "set":
            given = rest.strip().split(maxsplit=1)  # values may hold quotation marks
        else:
            try:
                given = shlex.split(rest)
            except ValueError:
                given = rest.split()
        self._commands[name](given)

    def _write(self, pieces: Iterator[str], given: str = "") -> None:
        """Print what is written as it comes; Ctrl-C stops the writing, and what is there stays."""
        last = given
        self._print(given, style="bold")
        with _interruptible() as stopping, contextlib.closing(pieces) as open_pieces:  # type: ignore[type-var]
            for piece in open_pieces:
                self._print(piece)
                last = piece or last
                if stopping():
                    break
        if not last.endswith("\n"):
            self._print("\n")
        turns = self._session.turns
        if not turns or turns[-1].kind != "written":
            return
        if turns[-1].end == "interrupted":
            note("stopped; an empty line goes on")
        elif self._session.ends_document(turns[-1]):
            note("the text ends here; an empty line begins another")

    def _print(self, text: str, style: str = "") -> None:
        if not text:
            return
        if self._terminal:
            self._console.print(Text(plain(text), style=style), end="", soft_wrap=True)
            self._console.file.flush()
            return
        # A pipe gets the text as it is, a terminal behind it nothing that it would obey.
        put(plain(text) if sys.stdout is not None and sys.stdout.isatty() else text)

    # The commands

    def _again(self, given: list[str]) -> None:
        _most(given, 0, "again")
        before = self._session.current
        self._write(self._session.again())
        note(f"branch {self._session.current}; the earlier continuation is branch {before}")

    def _edit(self, given: list[str]) -> None:
        before = self._session.current
        self._print(self._added(self._session.edit(_unescaped(given[0]))), style="bold")
        if not self._session.text.endswith("\n"):
            self._print("\n")
        note(f"branch {self._session.current}; the earlier continuation is branch {before}")

    def _undo(self, given: list[str]) -> None:
        _most(given, 1, "undo")
        number = _number(given[0], "/undo") if given else 1
        if number < 1:
            raise SettingsError("/undo takes a number from 1", where=given[0])
        done = self._session.undo(number)
        note(
            f"{done} step{'s' if done != 1 else ''} taken back" if done else "nothing to take back"
        )
        if done:
            self._tail()

    def _branch(self, given: list[str]) -> None:
        _most(given, 1, "branch")
        if given == ["new"]:
            note(f"branch {self._session.fork()} begins here")
            return
        if given:
            self._session.switch(_number(given[0], "/branch", "new or the number of a branch"))
            self._tail()
            return
        table = Table(
            Column(justify="right", style="cyan", no_wrap=True),
            Column(justify="right", style="dim", no_wrap=True),
            Column(no_wrap=True, overflow="ellipsis"),
            box=None,
            show_header=False,
            padding=(0, 2, 0, 0),
        )
        most = max(20, self._console.width - 30)
        for view in self._session.branches():
            table.add_row(
                f"{'→ ' if view.current else ''}{view.name}",
                f"{view.elements:,} elements",
                Text(_end(view.text, most), style="bold" if view.current else ""),
            )
        self._console.print(table)

    def _why(self, given: list[str]) -> None:
        _most(given, 1, "why")
        number = _number(given[0], "/why") if given else None
        why = self._session.why(number, top=5)
        self._console.print(why_shown(why, self._console.width))

    def _set(self, given: list[str]) -> None:
        if len(given) == 1 and "=" in given[0]:
            given = given[0].split("=", 1)
        if len(given) == 2:
            name, value = given[0].replace("-", "_"), given[1].removeprefix("= ")
            if name in TEXTS and not value.startswith("["):
                value = _unescaped(value)
            self._session.set(name, value)
            note(f"{name} {getattr(self._session.settings, name)}")
            return
        self._console.print(self._settings_table(given))

    def _settings_table(self, given: list[str]) -> Table:
        """The settings that differ from their defaults, or the one that is named."""
        from rhapsode.workflows.inference.session import NOT_HERE

        known = {f.name: f.default for f in dataclasses.fields(GenerateSettings)}
        if given and given[0].replace("-", "_") not in known:
            raise SettingsError(
                f"unknown setting {given[0]!r}", hint=suggest(given[0], list(known))
            )
        mapping = to_mapping(self._session.settings)
        table = Table(
            Column(style="cyan", no_wrap=True),
            Column(overflow="fold"),
            box=None,
            show_header=False,
            padding=(0, 2, 0, 0),
        )
        for name, default in known.items():
            value = getattr(self._session.settings, name)
            named = given and given[0].replace("-", "_") == name
            usual = name in ("temperature", "length", "seed")
            if named or (not given and name not in NOT_HERE and (usual or value != default)):
                table.add_row(name, Text(str(mapping.get(name, "none"))))
        return table

    def _show(self, given: list[str]) -> None:
        _most(given, 0, "show")
        text = self._session.text
        for turn, shown in self._shown():
            self._print(shown, style="bold" if turn == "given" else "")
        if text and not text.endswith("\n"):
            self._print("\n")

    def _shown(self) -> Iterator[tuple[str, str]]:
        """The turns' texts, what was given apart from what was written."""
        ended, head = False, self._session.prompt.head
        if head:
            yield "head", head
        for turn in self._session.turns:
            yield turn.kind, (f"\n\n{head}" if ended else "") + turn.text
            ended = self._session.ends_document(turn)

    def _tail(self) -> None:
        """Where the text stands now."""
        text = self._session.text
        note(_end(text, 60) if text else "the text is empty")

    def _keep_text(self, given: list[str]) -> None:
        _most(given, 0, "keep")
        number = self._session.keep(self._keep)
        note(f"{number:,} characters appended to {self._keep}")

    def _save(self, given: list[str]) -> None:
        path = _file(given, "save")
        self._session.save(path)
        note(f"saved in {path}")

    def _load(self, given: list[str]) -> None:
        path = _file(given, "load")
        self._session.load(path)
        note(f"going on with {path}, seed {self._session.settings.seed}")
        self._tail()

    def _help(self, given: list[str]) -> None:
        _most(given, 0, "help")
        table = Table(
            Column(style="cyan", no_wrap=True),
            Column(),
            box=None,
            show_header=False,
            padding=(0, 2, 0, 0),
        )
        for command, meaning in HELP:
            table.add_row(Text(command), Text(meaning))
        self._console.print(table)


def why_shown(why: Why, width: int) -> Group:
    """What the model thought of one element, and what the filters made of that.

    Arguments:
        why: the element.
        width: cells of the terminal.
    """
    title = Text.assemble(
        (visible_end(why.before, width // 3), "dim"),
        (visible(why.name), "bold"),
        (f"   element {why.number:,}, {why.kind}", "dim"),
    )
    return Group(title, *why.choice.shown(width))


def _end(text: str, most: int) -> str:
    shown = visible_end(text, most)
    return f"…{shown[1:]}" if len(text) > most else shown


def _unescaped(line: str) -> str:
    """A line with its line ends."""
    return line.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")


def _number(word: str, where: str, wanted: str = "a whole number") -> int:
    try:
        return int(word)
    except ValueError:
        raise SettingsError(f"{word!r} is not {wanted}", where=where) from None


def _most(given: list[str], number: int, name: str) -> None:
    if len(given) > number:
        raise SettingsError(f"/{name} takes {'nothing more' if not number else 'one value'}")


def _file(given: list[str], name: str) -> Path:
    if len(given) != 1:
        raise SettingsError(f"/{name} takes the name of a file")
    try:
        path = Path(given[0]).expanduser()
    except RuntimeError:  # ~ of nobody
        raise SettingsError("there is no such home folder", where=given[0]) from None
    if "\0" in given[0]:
        raise SettingsError("no file has such a name", where=given[0])
    return path


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """While open, the first Ctrl-C only makes the given callable say so; the second one interrupts."""
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

"""Lines of a writing session: texts to continue, and slash commands."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import rhapsode as rh
from rhapsode.cli.console import fail, note
from rhapsode.cli.play_commands import COMMANDS
from rhapsode.cli.play_screen import PlayScreen
from rhapsode.cli.play_words import words_in
from rhapsode.config import suggest, unescaped
from rhapsode.errors import RhapsodeError, SettingsError

# Names of the commands, after a slash.
NAMES = [*COMMANDS, "quit"]


class Player:
    """Lines in, text out.

    Arguments:
        session: the text and the model.
        screen: takes the output.
        kept: the file of kept texts.
    """

    def __init__(self, session: "rh.Session", screen: PlayScreen, kept: Path) -> None:
        self.session, self.screen, self.kept = session, screen, kept

    def play(self, lines: Iterator[str]) -> None:
        """Take lines until they end, or /quit."""
        for line in lines:
            if line.strip() == "/quit":
                return
            try:
                self._take(line)
            except RhapsodeError as problem:
                fail(str(problem))

    def _take(self, line: str) -> None:
        if line.startswith("/") and not line.startswith("//"):
            self._obey(line[1:])
            return
        text = unescaped(line[1:] if line.startswith("//") else line)
        added = self.add(text) if text else ""
        self.write(self.session.write(), added)

    def _obey(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        if name not in COMMANDS:
            raise SettingsError(f"no command /{name}", hint=suggest(name, NAMES))
        words = words_in(name, rest)
        command, most = COMMANDS[name]
        if len(words) > most:
            raise SettingsError(f"/{name} takes {'one value' if most else 'nothing more'}")
        command(self, words)

    def add(self, text: str, *, replacing: bool = False) -> str:
        """Append a text, or put it in place of the last continuation.

        Returns:
            The text as the model reads it.
        """
        text = self.session.model.without_open_space(text)
        given = self.session.edit(text) if replacing else self.session.add(text)
        for line in given.notes:
            note(line)
        return given.text

    def write(self, pieces: Iterator[str], given: str = "") -> None:
        """Print a continuation as it comes; Ctrl-C stops it."""
        last = given
        self.screen.write(given, "bold")
        with (
            self.screen.interruptible() as stopping,
            contextlib.closing(pieces),  # type: ignore[type-var]
        ):
            for piece in pieces:
                self.screen.write(piece)
                last = piece or last
                if stopping():
                    break
        if not last.endswith("\n"):
            self.screen.write("\n")
        self.show_picture()
        turns = self.session.turns
        if not turns or turns[-1].kind != "written":
            return
        if turns[-1].end == "interrupted":
            note("stopped; press Enter to continue")
        elif self.session.ends_document(turns[-1]):
            note("end of the text; press Enter to start another")

    def show_picture(self) -> None:
        """Draw the document on a terminal, if it has a picture."""
        if self.screen.is_terminal:
            picture = self.session.picture(self.screen.console.width)
            if picture is not None:
                self.screen.console.print(picture)

    def show_text(self) -> None:
        """Print the whole text, the parts that were given in bold."""
        ended, head = False, self.session.prompt.head
        self.screen.write(head)
        for turn in self.session.turns:
            shown = (f"\n\n{head}" if ended else "") + turn.text
            self.screen.write(shown, "bold" if turn.kind == "given" else "")
            ended = self.session.ends_document(turn)
        if self.session.text and not self.session.text.endswith("\n"):
            self.screen.write("\n")

"""The commands of a writing session.

Each is a function of the player and the words after its name.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING

from rhapsode.cli.console import note, print_parts
from rhapsode.cli.play_words import HELP, file_in, number_in
from rhapsode.cli.typed_settings import TEXTS
from rhapsode.config import suggest, to_mapping, unescaped
from rhapsode.errors import SettingsError
from rhapsode.views.terminal.text_tables import (
    branches_table,
    element_title,
    entries_table,
    shown_end,
)

if TYPE_CHECKING:
    from rhapsode.cli.play_lines import Player

# Settings that are shown whatever their values.
USUAL = ("temperature", "length", "seed")


def _again(player: "Player", words: list[str]) -> None:
    before = player.session.current
    player.write(player.session.again())
    _tell_branch(player, before)


def _edit(player: "Player", words: list[str]) -> None:
    before = player.session.current
    player.screen.write(player.add(unescaped(words[0]), replacing=True), "bold")
    if not player.session.text.endswith("\n"):
        player.screen.write("\n")
    _tell_branch(player, before)


def _tell_branch(player: "Player", before: int) -> None:
    note(f"branch {player.session.current}; the earlier continuation is branch {before}")


def _undo(player: "Player", words: list[str]) -> None:
    number = number_in(words[0], "/undo") if words else 1
    if number < 1:
        raise SettingsError("/undo takes a number from 1", where=words[0])
    done = player.session.undo(number)
    if not done:
        note("nothing to take back")
        return
    note(f"{done} step{'s' if done != 1 else ''} taken back")
    _tell_end(player)


def _branch(player: "Player", words: list[str]) -> None:
    if words == ["new"]:
        note(f"branch {player.session.fork()} starts here")
    elif words:
        player.session.switch(number_in(words[0], "/branch", "new or the number of a branch"))
        _tell_end(player)
    else:
        width = player.screen.console.width
        print_parts([branches_table(player.session.branches(), width)])


def _why(player: "Player", words: list[str]) -> None:
    why = player.session.why(number_in(words[0], "/why") if words else None)
    width = player.screen.console.width
    title = element_title(why.before, why.name, why.number, why.kind, width)
    print_parts([title, *why.choice.shown(width)])


def _set(player: "Player", words: list[str]) -> None:
    if len(words) == 1 and "=" in words[0]:
        words = words[0].split("=", 1)
    if len(words) < 2:
        print_parts([entries_table(_shown_settings(player, words))])
        return
    name, value = words[0].replace("-", "_"), words[1].removeprefix("= ")
    if name in TEXTS and not value.startswith("["):
        value = unescaped(value)
    player.session.set(name, value)
    note(f"{name} {getattr(player.session.settings, name)}")


def _shown_settings(player: "Player", words: list[str]) -> Iterator[tuple[str, str]]:
    """The settings that differ from their defaults, or the named one."""
    settings = player.session.settings
    known, mapping = [field.name for field in fields(settings)], to_mapping(settings)
    named = [word.replace("-", "_") for word in words]
    if not set(named) <= set(known):
        raise SettingsError(f"unknown setting {words[0]!r}", hint=suggest(words[0], known))
    changed = [n for n in known if getattr(settings, n) != getattr(type(settings), n)]
    for name in known:
        if name in (named or {*changed, *USUAL}):
            yield name, str(mapping.get(name, "none"))


def _keep(player: "Player", words: list[str]) -> None:
    number = player.session.keep(player.kept)
    note(f"{number:,} {player.session.model.kept_unit} appended to {player.kept}")


def _save(player: "Player", words: list[str]) -> None:
    path = file_in(words, "save")
    player.session.save(path)
    note(f"saved in {path}")


def _load(player: "Player", words: list[str]) -> None:
    path = file_in(words, "load")
    player.session.load(path)
    note(f"continuing {path}, seed {player.session.settings.seed}")
    _tell_end(player)


def _tell_end(player: "Player") -> None:
    text = player.session.text
    note(shown_end(text, 60) if text else "the text is empty")


def _show(player: "Player", words: list[str]) -> None:
    player.show_text()


def _help(player: "Player", words: list[str]) -> None:
    print_parts([entries_table(HELP)])


# The function of each command, and the words that it takes at most.
COMMANDS: dict[str, tuple[Callable[["Player", list[str]], None], float]] = {
    "again": (_again, 0),
    "branch": (_branch, 1),
    "edit": (_edit, math.inf),
    "help": (_help, 0),
    "keep": (_keep, 0),
    "load": (_load, math.inf),
    "save": (_save, math.inf),
    "set": (_set, math.inf),
    "show": (_show, 0),
    "undo": (_undo, 1),
    "why": (_why, 1),
}

"""The words of a command line, sorted to its options by argparse."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from rhapsode.config.options import Option

__all__ = ["UsageError", "words_of"]

_NEGATIVE = re.compile(r"-\.?\d")


class UsageError(Exception):
    """A command line that cannot be read: exit code 2."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))


class _Typed(argparse.Action):
    """Collects the words after a flag, beside the flag as it was typed."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        if self.nargs is None:
            # Of `--flag=--` argparse leaves an empty list on some versions of Python.
            values = ["--" if values == [] else values]
        before = getattr(namespace, self.dest, [])
        setattr(namespace, self.dest, [*before, (option_string, values)])


def words_of(
    options: Sequence[Option],
    arguments: Sequence[str],
    elsewhere: Callable[[], Mapping[str, str]],
) -> dict[str, tuple[str, list[str]]]:
    """The words of every option that was typed, after its flag or metavar, by field.

    Arguments:
        options: of the command.
        arguments: the words after its name.
        elsewhere: gives places of settings without a flag, by flag, to name them for an unknown flag.

    Raises:
        UsageError: an unknown flag, a flag without its value, or a word too many or too few.
    """
    parser = _Parser(
        prog="",
        add_help=False,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=partial(argparse.HelpFormatter, width=80),
    )
    flags = [option for option in options if not option.positional]
    for option in flags:
        nargs = 0 if option.kind is bool else "*" if option.many and not option.repeated else None
        # An action for each spelling: messages of argparse name the one that was typed.
        for spelling in option.spellings:
            parser.add_argument(spelling, dest=option.field.name, action=_Typed, nargs=nargs)
    stop = arguments.index("--") if "--" in arguments else len(arguments)
    namespace, rest = parser.parse_known_args(arguments[:stop])
    for word in rest:
        if word.startswith("-") and word != "-" and " " not in word and not _NEGATIVE.match(word):
            raise UsageError(_unknown(word.partition("=")[0], flags, elsewhere))
    typed = {
        option.field.name: _joined(option, getattr(namespace, option.field.name))
        for option in flags
        if option.field.name in namespace
    }
    places = [option for option in options if option.positional]
    return typed | _placed(places, [*rest, *arguments[stop + 1 :]])


def _joined(option: Option, typed: Sequence[tuple[str, list[str]]]) -> tuple[str, list[str]]:
    """All words of a repeated option; of others the last typed win."""
    flag, words = typed[-1]
    return flag, [word for _, each in typed for word in each] if option.repeated else words


def _placed(places: Sequence[Option], words: list[str]) -> dict[str, tuple[str, list[str]]]:
    """Words given by their place, by field; the last option takes the rest if it takes many."""
    typed: dict[str, tuple[str, list[str]]] = {}
    for place in places:
        taken = words if place.many else words[:1]
        words = words[len(taken) :]
        if taken:
            typed[place.field.name] = place.metavar, taken
        elif place.required:
            raise UsageError(f"{place.metavar} is missing")
    if words:
        raise UsageError(f"unexpected argument {words[0]!r}")
    return typed


def _unknown(flag: str, flags: Iterable[Option], elsewhere: Callable[[], Mapping[str, str]]) -> str:
    """The message for a flag that does not exist, with the nearest that does."""
    known = {spelling: spelling for option in flags for spelling in option.spellings}
    known |= {name: place for name, place in elsewhere().items() if name not in known}
    near = difflib.get_close_matches(flag, known, n=1, cutoff=0.5)
    return f"no flag {flag}" + (f"; did you mean {known[near[0]]}?" if near else "")

"""The words of a command line, sorted to its options by argparse."""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from rhapsode.config.options import POSITIONAL, REPEATED, Option

# A flag as it was typed, or a metavar, and the words that belong to it.
Words = tuple[str, list[str]]

# A word that can only be a flag; what begins as "-3" or "---" can be a value.
_FLAG = re.compile(r"--?[^\W\d][^ ]*")


class UsageError(Exception):
    """A command line that cannot be read: exit code 2."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message.removeprefix("argument "))


class _Typed(argparse.Action):
    """Keep a flag and its words as typed; `const` joins repetitions."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        if self.nargs is None:
            # Of `--flag=--` argparse leaves an empty list on some versions of Python.
            values = ["--" if values == [] else values]
        _, before = getattr(namespace, self.dest, ("", []))
        setattr(namespace, self.dest, (option_string, [*before, *values] if self.const else values))


def new_parser(width: int = 80, **settings: Any) -> argparse.ArgumentParser:
    """A parser without flags, defaults and abbreviations.

    Arguments:
        width: characters of a line of help.
        settings: of argparse.
    """
    formatter = partial(argparse.RawDescriptionHelpFormatter, width=width)
    return _Parser(
        **settings,
        prog="",
        add_help=False,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=formatter,
    )


def words_of(
    options: Sequence[Option],
    arguments: Sequence[str],
    elsewhere: Callable[[], Mapping[str, str]],
) -> dict[str, Words]:
    """The words of every option that was typed, by field.

    Arguments:
        options: of the command.
        arguments: the words after its name.
        elsewhere: gives places of settings without a flag, by flag, to name them for an unknown
            flag.

    Raises:
        UsageError: an unknown flag, a flag without its value, or a word too many or too few.
    """
    parser = new_parser()
    takes_one: dict[str, bool] = {}
    places: list[Option] = []
    for option in options:
        if POSITIONAL in option.marks:
            places.append(option)
            continue
        repeated = REPEATED in option.marks
        nargs = 0 if option.kind is bool else "*" if option.many and not repeated else None
        # An action for each spelling: messages of argparse name the one that was typed.
        for spelling in option.spellings:
            parser.add_argument(
                spelling, dest=option.field.name, action=_Typed, nargs=nargs, const=repeated
            )
            takes_one[spelling] = nargs is None
    stop = arguments.index("--") if "--" in arguments else len(arguments)
    words: list[str] = []
    for word in arguments[:stop]:
        if words and takes_one.get(words[-1]) and word.startswith("-") and not _FLAG.match(word):
            words[-1] += f"={word}"  # argparse would take it for a flag
        else:
            words.append(word)
    namespace, rest = parser.parse_known_args(words)
    for word in rest:
        if _FLAG.fullmatch(word):
            known = {**elsewhere(), **{flag: flag for flag in takes_one}}
            raise _no_flag(word.partition("=")[0], known)
    return _placed(places, [*rest, *arguments[stop + 1 :]]) | vars(namespace)


def _no_flag(flag: str, known: Mapping[str, str]) -> UsageError:
    import difflib

    near = difflib.get_close_matches(flag, known, n=1, cutoff=0.5)
    return UsageError(f"no flag {flag}" + (f"; did you mean {known[near[0]]}?" if near else ""))


def _placed(places: Sequence[Option], words: list[str]) -> dict[str, Words]:
    """Words given by their place, by field."""
    typed: dict[str, Words] = {}
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

"""The reader of command lines: argparse, built from settings dataclasses."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn, TypeVar

from rhapsode.cli.console import fail
from rhapsode.config import convert
from rhapsode.config.options import Option, options_of
from rhapsode.errors import DataError

__all__ = ["modality_settings", "parse", "read_stdin", "settings_of", "typed_of"]

C = TypeVar("C")
S = TypeVar("S")

_NEGATIVE = re.compile(r"-\.?\d")


class _UsageError(Exception):
    """A command line that cannot be read: exit code 2."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(message.removeprefix("argument "))


class _Typed(argparse.Action):
    """Collects the words after a flag, beside the flag as it was typed."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        if self.nargs is None:
            # Of `--flag=--` argparse leaves an empty list on some versions of Python.
            values = ["--" if values == [] else values]
        before = getattr(namespace, self.dest, [])
        setattr(namespace, self.dest, [*before, (option_string, values)])


def parse(
    command: type[C],
    name: str,
    description: str,
    arguments: Sequence[str],
    *more: type[Any],
    elsewhere: Callable[[], Mapping[str, str]] = dict,
) -> tuple[C, dict[str, Any]]:
    """Read a command line; `--help` prints and exits 0, bad usage exits 2.

    Arguments:
        command: the dataclass whose fields are the flags.
        name: of the command.
        description: for the help.
        arguments: the words after the name.
        more: further dataclasses whose fields are flags.
        elsewhere: gives places of settings without a flag, by flag, to name them for an unknown flag.

    Returns:
        The command, and the values that were typed, those of `more` included, by field.

    Raises:
        SettingsError: a value out of range.
    """
    options = options_of(command, *more)
    if _asks_help(arguments):
        from rhapsode.cli.help_page import help_page

        sys.stdout.write(help_page(f"rhapsode {name}", description, options.values()))
        raise SystemExit(0)
    try:
        words = _words(list(options.values()), arguments, elsewhere)
        typed = {name: _value(options[name], *given) for name, given in words.items()}
    except _UsageError as problem:
        fail(f"{problem}; rhapsode {name} --help lists its options")
        raise SystemExit(2) from None
    names = {field.name for field in dataclasses.fields(command)}  # type: ignore[arg-type]
    return command(**{key: value for key, value in typed.items() if key in names}), typed


def _words(
    options: Sequence[Option],
    arguments: Sequence[str],
    elsewhere: Callable[[], Mapping[str, str]],
) -> dict[str, tuple[str, list[str]]]:
    """The words of every option that was typed, after its flag or metavar, by field."""
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
            raise _UsageError(_unknown(word.partition("=")[0], flags, elsewhere))
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
            raise _UsageError(f"{place.metavar} is missing")
    if words:
        raise _UsageError(f"unexpected argument {words[0]!r}")
    return typed


def _unknown(flag: str, flags: Iterable[Option], elsewhere: Callable[[], Mapping[str, str]]) -> str:
    """The message for a flag that does not exist, with the nearest that does."""
    known = {spelling: spelling for option in flags for spelling in option.spellings}
    known |= {name: place for name, place in elsewhere().items() if name not in known}
    near = difflib.get_close_matches(flag, known, n=1, cutoff=0.5)
    return f"no flag {flag}" + (f"; did you mean {known[near[0]]}?" if near else "")


def _value(option: Option, flag: str, words: Sequence[str]) -> Any:
    """The value of an option."""
    if option.kind is bool:
        return True
    values = tuple(_single(option, flag, word) for word in words)
    return convert(values if option.many else values[0], option.hint, where=flag)


def _single(option: Option, flag: str, word: str) -> Any:
    """One value of an option's kind; its range is not checked yet."""
    if option.choices:
        if word not in option.choices:
            listing = ", ".join(option.choices)
            raise _UsageError(f"{flag}: no such choice: {word!r}; choose from {listing}")
        return word
    try:
        return option.kind(word)
    except ValueError:
        wanted = "a whole number" if option.kind is int else "a number"
        raise _UsageError(f"{flag}: expected {wanted}, got {word!r}") from None


def modality_settings(arguments: Sequence[str], name: str) -> list[type[Any]]:
    """Settings of the modality of the first model among arguments.

    Without a model they are those of all modalities, so that any flag can be typed and the model is what is missing;
    with `--help` alone there are none.

    Arguments:
        arguments: the words after the command.
        name: attribute of a modality: "evaluation" or "comparison".
    """
    from rhapsode.bundle import modality_of
    from rhapsode.modalities import MODALITIES

    known = MODALITIES.names()
    names = [modality_of(word) for word in arguments if not word.startswith("-")]
    model = [str(name) for name in names if name in known][:1]
    if not model and not _asks_help(arguments):
        model = known
    return [getattr(MODALITIES.get(each), name) for each in model]


def _asks_help(arguments: Sequence[str]) -> bool:
    return any(word in ("-h", "--help") for word in arguments)


def settings_of(command: Any, cls: type[S]) -> S:
    """The part of a command that is the settings `cls`."""
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    return cls(**{name: getattr(command, name) for name in names})


def typed_of(typed: Mapping[str, Any], cls: type[Any]) -> dict[str, Any]:
    """The values that were typed of the settings `cls`, by field."""
    names = [field.name for field in dataclasses.fields(cls)]
    return {name: typed[name] for name in names if name in typed}


def read_stdin() -> str:
    """All of standard input as text; bytes that are not UTF-8 are kept as escapes.

    Raises:
        DataError: it is closed.
    """
    if sys.stdin is None:
        raise DataError("standard input is closed", where="-", hint="pipe a text into it")
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")

"""The reader of command lines: settings dataclasses filled from words."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from rhapsode.cli.console import fail
from rhapsode.cli.words import UsageError, words_of
from rhapsode.config import convert
from rhapsode.config.options import Option, options_of
from rhapsode.errors import DataError

__all__ = ["modality_settings", "parse", "read_stdin", "settings_of", "typed_of"]

C = TypeVar("C")
S = TypeVar("S")


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

        sys.stdout.write(help_page(f"rhapsode {name}", description, list(options.values())))
        raise SystemExit(0)
    try:
        words = words_of(list(options.values()), arguments, elsewhere)
        typed = {name: _value(options[name], *given) for name, given in words.items()}
    except UsageError as problem:
        fail(f"{problem}; rhapsode {name} --help lists its options")
        raise SystemExit(2) from None
    names = {field.name for field in dataclasses.fields(command)}  # type: ignore[arg-type]
    return command(**{key: value for key, value in typed.items() if key in names}), typed


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
            raise UsageError(f"{flag}: no such choice: {word!r}; choose from {listing}")
        return word
    try:
        return option.kind(word)
    except ValueError:
        wanted = "a whole number" if option.kind is int else "a number"
        raise UsageError(f"{flag}: expected {wanted}, got {word!r}") from None


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
    flags = itertools.takewhile(lambda word: word != "--", arguments)
    return any(word in ("-h", "--help") for word in flags)


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

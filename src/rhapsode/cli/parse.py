"""The reader of command lines: settings dataclasses filled from words."""

import dataclasses
import importlib
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar

import rhapsode as rh
from rhapsode.cli.console import fail
from rhapsode.cli.words import UsageError, words_of
from rhapsode.config import Positional, convert, option
from rhapsode.config.options import Option, options_of
from rhapsode.errors import DataError

C = TypeVar("C")
S = TypeVar("S")
Typed = Mapping[str, Any]  # values that were typed, by field

# Commands with flags of their own for each kind of data.
MEASURING: Any = {"evaluate": "evaluation", "compare": "comparison", "generate": "generation"}


@dataclasses.dataclass(frozen=True)
class ModelArgument:
    """Arguments."""

    model: Positional[Annotated[str, option("MODEL")]]
    """Run folder or model file."""


def parse_command(name: str, arguments: Sequence[str]) -> tuple[Any, Typed]:
    """Read the command line of a command; see `parse`.

    Arguments:
        name: its module holds the dataclass `<Name>Command`, and the description as its docstring.
        arguments: the words after the name.
    """
    module = importlib.import_module(f"rhapsode.cli.{name}")
    command: type[Any] = getattr(module, f"{name.capitalize()}Command")
    more: list[type[Any]] = []
    if name in MEASURING:
        models = [word for word in arguments if not word.startswith("-")]
        more = rh.measuring_settings(MEASURING[name], models)
        if not more and not _asks_help(arguments):  # any flag can be typed: the model is missing
            more = rh.measuring_settings(MEASURING[name])
    elsewhere = partial(set_places, command) if name == "train" else dict
    return parse(command, name, module.__doc__ or "", arguments, *more, elsewhere=elsewhere)


def parse(
    command: type[C],
    name: str,
    description: str,
    arguments: Sequence[str],
    *more: type[Any],
    elsewhere: Callable[[], Mapping[str, str]] = dict,
) -> tuple[C, Typed]:
    """Read a command line.

    `--help` prints and exits with 0; bad usage exits with 2.

    Arguments:
        command: the dataclass whose fields are the flags.
        name: of the command.
        description: for the help.
        arguments: the words after the name.
        more: further dataclasses whose fields are flags.
        elsewhere: gives places of settings without a flag, named for an unknown flag.

    Returns:
        The command, and the values that were typed, those of `more` included.

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
    return command(**typed_of(typed, command)), typed


def _value(option: Option, flag: str, words: Sequence[str]) -> Any:
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


def _asks_help(arguments: Sequence[str]) -> bool:
    flags = itertools.takewhile(lambda word: word != "--", arguments)
    return any(word in ("-h", "--help") for word in flags)


def set_places(command: type[Any]) -> dict[str, str]:
    """The `--set` form of each setting without a flag, by flag name."""
    flags = {field.name for field in dataclasses.fields(command)}
    places = {name: place for name, place in rh.setting_places().items() if name not in flags}
    return {f"--{name.replace('_', '-')}": f"--set {place}" for name, place in places.items()}


def settings_of(command: Any, cls: type[S]) -> S:
    """The part of a command that is the settings `cls`."""
    return cls(**typed_of(vars(command), cls))


def typed_of(typed: Typed, cls: type[Any]) -> dict[str, Any]:
    """The values that were typed of the settings `cls`."""
    names = [field.name for field in dataclasses.fields(cls)]
    return {name: typed[name] for name in names if name in typed}


def measuring_of(typed: Typed, command: str, models: Sequence[str]) -> dict[str, Any]:
    """The typed values of the settings for models of one kind."""
    classes = rh.measuring_settings(MEASURING[command], models)
    return {name: value for cls in classes for name, value in typed_of(typed, cls).items()}


def read_stdin() -> str:
    """All of standard input as text; bytes outside UTF-8 become escapes."""
    if sys.stdin is None:
        raise DataError("standard input is closed", where="-", hint="pipe a text into it")
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")

"""Command lines to dataclasses."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

from rhapsode.config import from_mapping
from rhapsode.errors import DataError

__all__ = ["parse", "settings_of"]

C = TypeVar("C")
S = TypeVar("S")


def parse(
    command: type[C],
    name: str,
    description: str,
    arguments: Sequence[str],
    default: C | None = None,
) -> C:
    """The command's dataclass filled from arguments; `--help` prints and exits 0, bad usage exits 2.

    Arguments:
        command: the dataclass whose fields are the flags.
        name: of the command.
        description: for the help.
        arguments: what was typed behind the name.
        default: values where nothing was typed.
    """
    # A lone "-" means standard input; the parser would take it for a flag.
    marked = ["\0stdin" if argument == "-" else argument for argument in arguments]
    given: Any = tyro.cli(
        command,
        prog=f"rhapsode {name}",
        description=description,
        args=marked,
        default=default,
        config=(
            tyro.conf.DisallowNone,
            tyro.conf.FlagCreatePairsOff,
            tyro.conf.PositionalMetavarFromFieldName,
        ),
        compact_help=False,
    )
    changes = {
        field.name: _unmarked(getattr(given, field.name)) for field in dataclasses.fields(given)
    }
    filled: C = dataclasses.replace(given, **changes)
    return filled


def _unmarked(value: Any) -> Any:
    if value == "\0stdin":
        return "-"
    if isinstance(value, tuple):
        return tuple(_unmarked(entry) for entry in value)
    return value


def settings_of(command: Any, cls: type[S]) -> S:
    """The part of a command's dataclass that is the settings `cls`, ranges checked.

    Raises:
        SettingsError: a value out of range.
    """
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    mapping = {name: getattr(command, name) for name in names}
    return from_mapping(cls, {k: v for k, v in mapping.items() if v is not None}, where="options")


def read_stdin() -> str:
    """All of standard input as text; bytes that are not UTF-8 are kept as escapes.

    Raises:
        DataError: it is closed.
    """
    if sys.stdin is None:
        raise DataError("standard input is closed", where="-", hint="pipe a text into it")
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")

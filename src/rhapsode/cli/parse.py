"""Command lines to dataclasses."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from rhapsode.cli.quick import quick
from rhapsode.config import from_mapping
from rhapsode.config.options import POSITIONAL, REPEATED, Flag
from rhapsode.errors import DataError

__all__ = ["modality_named", "parse", "settings_of", "typed_settings", "with_settings"]

C = TypeVar("C")
S = TypeVar("S")


def parse(command: type[C], name: str, description: str, arguments: Sequence[str]) -> C:
    """The command's dataclass filled from arguments; `--help` prints and exits 0, bad usage exits 2.

    Arguments:
        command: the dataclass whose fields are the flags.
        name: of the command.
        description: for the help.
        arguments: what was typed behind the name.
    """
    plain = quick(command, arguments)
    return parse_any(command, name, description, arguments) if plain is None else plain


def parse_any(command: type[C], name: str, description: str, arguments: Sequence[str]) -> C:
    """As `parse`, by the library that reads all command lines."""
    import tyro

    # A lone "-" means standard input; the parser would take it for a flag.
    marked = ["\0stdin" if argument == "-" else argument for argument in arguments]
    given: Any = tyro.cli(
        _annotated(command),
        prog=f"rhapsode {name}",
        description=description,
        args=marked,
        config=(
            tyro.conf.DisallowNone,
            tyro.conf.FlagCreatePairsOff,
            tyro.conf.PositionalMetavarFromFieldName,
        ),
        compact_help=False,
    )
    return command(
        **{field.name: _unmarked(getattr(given, field.name)) for field in dataclasses.fields(given)}
    )


def _annotated(command: type[Any]) -> type[Any]:
    """The command as the library reads it: a subclass whose annotations are the library's."""
    hints = get_type_hints(command, include_extras=True)
    own: dict[str, Any] = {
        "__annotations__": {
            field.name: _translated(hints[field.name]) for field in dataclasses.fields(command)
        },
        "__doc__": command.__doc__,
        "__module__": command.__module__,
        "__qualname__": command.__qualname__,
    }
    return dataclasses.dataclass(frozen=True, kw_only=True)(type(command.__name__, (command,), own))


def _translated(hint: Any) -> Any:
    from tyro.conf import Positional, UseAppendAction, arg

    if get_origin(hint) is not Annotated:
        return hint
    inner, *marks = get_args(hint)
    for mark in marks:
        if isinstance(mark, Flag):
            aliases = None if mark.alias is None else (mark.alias,)
            mark = arg(  # noqa: PLW2901
                name=mark.name,
                metavar=mark.metavar,
                help=_filled(mark.help),
                help_behavior_hint=mark.hint,
                aliases=aliases,
            )
        elif mark in (POSITIONAL, REPEATED):
            inner = (Positional if mark == POSITIONAL else UseAppendAction)[inner]
            continue
        inner = Annotated[inner, mark]
    return inner


def _filled(help: str | None) -> str | None:
    """A help text with the names of what is registered."""
    if help is None:
        return None
    from rhapsode.modalities import MODALITIES
    from rhapsode.models import FAMILIES

    *names, last = FAMILIES.words()
    kinds = ", ".join(MODALITIES.words())
    return help.format(families=f"{', '.join(names)} or {last}", modalities=kinds)


def _unmarked(value: Any) -> Any:
    if value == "\0stdin":
        return "-"
    if isinstance(value, tuple):
        return tuple(_unmarked(entry) for entry in value)
    return value


def with_settings(command: type[C], *settings: type[Any]) -> type[C]:
    """A command that also takes the settings of modalities as flags, before its own.

    Arguments:
        command: the dataclass whose fields are the flags of all.
        settings: dataclasses whose fields are flags too; of equal names the first counts.
    """
    own = list(dict.fromkeys(s for s in settings if not issubclass(command, s)))
    # A base stands behind what is derived from it.
    bases = [s for s in own if not any(s is not other and issubclass(other, s) for other in own)]
    joined = type(command.__name__, (command, *bases), {"__doc__": command.__doc__})
    return dataclasses.dataclass(frozen=True, kw_only=True)(joined)


def modality_named(arguments: Sequence[str]) -> Any | None:
    """The modality of the first model among the arguments; None where there is no model."""
    from rhapsode.bundle import modality_of
    from rhapsode.modalities import MODALITIES

    for word in arguments:
        name = None if word.startswith("-") else modality_of(word)
        if name in MODALITIES.names():
            return MODALITIES.get(str(name))
    return None


def typed_settings(command: Any, arguments: Sequence[str], cls: type[Any]) -> dict[str, Any]:
    """What was typed of the settings `cls`, by name."""
    return {
        field.name: getattr(command, field.name)
        for field in dataclasses.fields(cls)
        if _typed(field.name, arguments)
    }


def _typed(name: str, arguments: Sequence[str]) -> bool:
    flag = f"--{name.rstrip('_')}"
    words = {argument.partition("=")[0] for argument in arguments}
    return flag in words or flag.replace("_", "-") in words


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

"""Plain command lines, read without the library that knows all others: it takes longer to load than a text to write.

What this reads it reads as that library would; of anything else it says that it has not understood.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from rhapsode.config.options import POSITIONAL, REPEATED, Flag

__all__ = ["flag_name", "quick"]

C = TypeVar("C")

_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?(e-?[0-9]{1,2})?", re.ASCII)


class _UnclearError(Exception):
    """This is for the library."""


@dataclass(frozen=True)
class _Option:
    """A field of a command.

    Arguments:
        name: of the field.
        kind: `str`, `int`, `float`, `bool` or a tuple of choices; None: of no kind known here.
        many: whether it is a tuple of these.
        marks: of `POSITIONAL` and `REPEATED`.
    """

    name: str
    kind: Any
    many: bool
    marks: frozenset[str]


def flag_name(field: str, flag: Flag | None) -> str:
    """What is typed for a field."""
    name = field if flag is None or flag.name is None else flag.name
    return "--" + name.strip("_").replace("_", "-")


def quick(command: type[C], arguments: Sequence[str]) -> C | None:
    """The command's dataclass filled from arguments; None where they are not plain, or not right.

    Plain are `--name value` with the whole name, given once, of a text, number or choice that does not begin with a
    dash; flags without a value; and what stands by its place.

    Arguments:
        command: the dataclass whose fields are the flags.
        arguments: what was typed behind the name of the command; "-" alone is a value.
    """
    try:
        given = _read(command, arguments)
        for field in dataclasses.fields(command):  # type: ignore[arg-type]
            if field.name in given:
                continue
            if field.default is dataclasses.MISSING:
                return None
            given[field.name] = field.default
    except _UnclearError:
        return None
    return command(**given)


def _read(command: type[Any], arguments: Sequence[str]) -> dict[str, Any]:
    places, flags = _options(command)
    given: dict[str, Any] = {}
    last: _Option | None = None
    rest = iter(arguments)
    for argument in rest:
        if argument.startswith("-") and argument != "-":
            option = flags.get(argument)
            if option is None or option.kind is None:
                raise _UnclearError
            last = None
            _take(option, rest, given)
        elif last is not None and last.many:
            given[last.name] += (_value(last.kind, argument),)
        elif places:
            last = places.pop(0)
            value = _value(last.kind, argument)
            given[last.name] = (value,) if last.many else value
        else:
            raise _UnclearError
    return given


def _take(option: _Option, rest: Iterator[str], given: dict[str, Any]) -> None:
    """Read what stands behind a flag."""
    repeated = REPEATED in option.marks
    if (option.name in given and not repeated) or (option.many and not repeated):
        raise _UnclearError
    if option.kind is bool:
        given[option.name] = True
        return
    argument = next(rest, None)
    if argument is None or (argument.startswith("-") and argument != "-"):
        raise _UnclearError
    value = _value(option.kind, argument)
    given[option.name] = (*given.get(option.name, ()), value) if option.many else value


def _value(kind: Any, argument: str) -> Any:
    if kind is str:
        return argument
    if kind is int and _WHOLE.fullmatch(argument):
        return int(argument)
    if kind is float and _NUMBER.fullmatch(argument):
        return float(argument)
    if isinstance(kind, tuple) and argument in kind:
        return argument
    raise _UnclearError


def _options(command: type[Any]) -> tuple[list[_Option], dict[str, _Option]]:
    """What is given by place, in order, and what by name."""
    hints = typing.get_type_hints(command, include_extras=True)
    places: list[_Option] = []
    flags: dict[str, _Option] = {}
    for field in dataclasses.fields(command):
        hint = hints[field.name]
        marks: list[Any] = []
        while typing.get_origin(hint) is Annotated:
            hint, *own = typing.get_args(hint)
            marks += own
        flag = next((mark for mark in marks if isinstance(mark, Flag)), None)
        kind, many = _kind(hint, field.default)
        named = frozenset(mark for mark in marks if mark in (POSITIONAL, REPEATED))
        option = _Option(field.name, kind, many, named)
        if POSITIONAL in named:
            places.append(option)
            continue
        flags[flag_name(field.name, flag)] = option
        if flag is not None and flag.alias is not None:
            flags[flag.alias] = option
    return places, flags


def _kind(hint: Any, default: Any) -> tuple[Any, bool]:
    """The kind of a value and whether there are many; None for what is not known here."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        left = [part for part in typing.get_args(hint) if part is not type(None)]
        if len(left) != 1:
            return None, False
        hint = left[0]
    while typing.get_origin(hint) is Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)
        kind, many = _kind(inner[0], None) if len(inner) == 2 and inner[1] is ... else (None, True)
        return (kind, True) if not many and kind is not bool else (None, True)
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        return (choices if all(isinstance(choice, str) for choice in choices) else None), False
    if hint is bool:
        return (bool if default is False else None), False
    return (hint if hint in (str, int, float) else None), False

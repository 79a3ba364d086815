"""Conversion of plain mappings to frozen settings and back.

Mappings come from TOML, JSON or `--set`; errors name the place of the fault.
"""

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from rhapsode.config.registries import suggest
from rhapsode.errors import RhapsodeError, SettingsError

S = TypeVar("S")


def from_mapping(
    cls: type[S],
    mapping: Mapping[str, Any],
    *,
    where: str,
    error: type[RhapsodeError] = SettingsError,
) -> S:
    """An instance of the settings dataclass `cls`; ranges are its `msgspec.Meta` annotations.

    Arguments:
        cls: a frozen dataclass, possibly holding further ones.
        mapping: names to plain values.
        where: the file or option the mapping came from, for messages.
        error: the class of error to raise.

    Raises:
        RhapsodeError: as `error`; a name that `cls` lacks, a wrong type, a value out of range.
    """
    _refuse_unknown(cls, mapping, "", where, error)
    converted: S = convert(mapping, cls, where=where, error=error)
    return converted


def convert(
    value: Any, hint: Any, *, where: str, error: type[RhapsodeError] = SettingsError
) -> Any:
    """A plain value as an annotated type, its range checked.

    Arguments:
        value: of plain types, such as those of TOML.
        hint: the type; ranges are its `msgspec.Meta` annotations.
        where: the file, option or flag that the value came from, for messages.
        error: the class of error to raise.

    Raises:
        RhapsodeError: as `error`; a wrong type, a value out of range.
    """
    try:
        return msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError as problem:
        message, _, place = str(problem).partition(" - at `$")
        # The entry of a list has no name.
        name = f"setting {place.strip('.`')!r}: " if place.startswith(".") else ""
        raise error(f"{name}{_in_words(message)}", where=where) from None
    except UnicodeEncodeError:  # of a word where only some are allowed
        raise error("a setting holds half of a surrogate pair", where=where) from None


def _in_words(message: str) -> str:
    """Msgspec's message in the words of the person who typed the value."""
    message = message.replace(" | null`", "`")
    for theirs, ours in (
        ("Object missing required field", "missing setting"),
        ("`int`", "a whole number"),
        ("`float`", "a number"),
        ("`str`", "text"),
        ("`bool`", "true or false"),
        ("`object`", "a table"),
        ("`array`", "a list"),
        ("`", ""),
        ("Expected", "expected"),
        ("Invalid enum value", "no such choice:"),
        ("null", "nothing"),
    ):
        message = message.replace(theirs, ours)
    return message


def _refuse_unknown(
    cls: Any, mapping: Mapping[str, Any], path: str, where: str, error: type[RhapsodeError]
) -> None:
    sections = _sections(cls)
    for name, value in mapping.items():
        if name not in sections:
            raise error(
                f"unknown setting {path + str(name)!r}",
                where=where,
                hint=suggest(str(name), list(sections)),
            )
        inner, needed = sections[name]
        if inner is None:
            continue
        if isinstance(value, Mapping):
            _refuse_unknown(inner, value, f"{path}{name}.", where, error)
        elif isinstance(value, list | tuple) and not needed:
            for place, each in enumerate(value):
                if isinstance(each, Mapping):
                    _refuse_unknown(inner, each, f"{path}{name}[{place}].", where, error)
        elif needed:
            raise error(
                f"setting {path + name!r} is a section, not a value",
                where=where,
                hint=f"write {path}{name}.<key>",
            )


@cache
def _sections(cls: Any) -> dict[str, tuple[type[Any] | None, bool]]:
    """Dataclass of each field, if any.

    The second entry is True if the field holds nothing else.
    """
    hints = get_type_hints(cls)
    sections: dict[str, tuple[Any, bool]] = {}
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        inner = [part for part in (hint, *get_args(hint)) if dataclasses.is_dataclass(part)]
        sections[field.name] = (inner[0] if inner else None, inner[:1] == [hint])
    return sections


def to_mapping(settings: Any) -> dict[str, Any]:
    """Plain mapping that `from_mapping` converts back to `settings`.

    Unset entries (None) are left out.
    """
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return {name: _to_plain(value) for name, value in values.items() if value is not None}


def _to_plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_mapping(value)
    if isinstance(value, Mapping):
        return {key: entry for key, entry in value.items() if entry is not None}
    return list(value) if isinstance(value, tuple) else value

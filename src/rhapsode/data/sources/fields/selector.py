"""Fields of records, and the text that a record becomes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rhapsode.config import SourceSettings, suggest
from rhapsode.errors import DataError, SettingsError

__all__ = ["LISTED", "Selector"]

LISTED = 40
"""Fields named in a message."""


@dataclass(frozen=True)
class _Piece:
    """Literal text, or the field that stands in its place."""

    text: str
    field: bool


class Selector:
    """Takes the asked fields out of records, and remembers which fields there were.

    Raises:
        SettingsError: a template that cannot be read.
    """

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._template = _parse(settings.template) if settings.template is not None else None
        if self._template is not None:
            names = [piece.text for piece in self._template if piece.field]
        elif settings.field is not None:
            names = [settings.field]
        else:
            names = [settings.prompt_field or "", settings.completion_field or ""]
        self.names = list(dict.fromkeys(names))
        self._missing = set(self.names)
        self._seen: dict[str, None] = {}

    def text(self, record: Any) -> tuple[str, int] | None:
        """Text and prompt length of a record, or None if it lacks a field or one is empty."""
        if not isinstance(record, dict):
            return None
        if len(self._seen) < 1000:
            self._seen.update(dict.fromkeys(str(key) for key in record))
        values: dict[str, str] = {}
        joint = "\n" if self._template is None else " "
        for name in self.names:
            there, value = _look_up(record, name)
            if not there:
                continue
            self._missing.discard(name)
            values[name] = _as_text(value, joint, name)
        if len(values) < len(self.names) or not all(value.strip() for value in values.values()):
            return None
        if self._template is not None:
            return "".join(
                values[piece.text] if piece.field else piece.text for piece in self._template
            ), 0
        if self._settings.field is not None:
            return values[self._settings.field], 0
        prompt, completion = (values[name] for name in (self._prompt, self._completion))
        return f"{prompt}\n{completion}", len(prompt) + 1

    @property
    def _prompt(self) -> str:
        return self._settings.prompt_field or ""

    @property
    def _completion(self) -> str:
        return self._settings.completion_field or ""

    def header(self, names: Iterable[str]) -> None:
        """Note the fields that a table has before any record of it comes."""
        names = list(names)
        self._seen.update(dict.fromkeys(names))
        for name in list(self._missing):
            if name in names:
                self._missing.discard(name)

    def check(self, where: str) -> None:
        """Raise if a field was in no record at all.

        Raises:
            DataError: so, naming the fields that there are.
        """
        for name in self.names:
            if name in self._missing:
                known = list(self._seen)[:LISTED]
                hint = suggest(name, known) if known else "there are no records with fields"
                raise DataError(f"no record has a field {name!r}", where=where, hint=hint)

    def is_in(self, record: Mapping[str, Any]) -> bool:
        """Whether a record has any of the asked fields, or begins to lead to one."""
        return any(name in record or name.partition(".")[0] in record for name in self.names)


def _parse(template: str) -> tuple[_Piece, ...]:
    def wrong(what: str, place: int, hint: str) -> SettingsError:
        return SettingsError(f"{what} at character {place + 1}", where="template", hint=hint)

    pieces: list[_Piece] = []
    literal = ""
    place = 0
    while place < len(template):
        character = template[place]
        if character in "{}" and template[place : place + 2] == character * 2:
            literal, place = literal + character, place + 2
        elif character == "}":
            raise wrong("'}' closes nothing", place, "a brace of the text is written twice")
        elif character == "{":
            end = template.find("}", place)
            name = template[place + 1 : end].strip()
            if end < 0 or "{" in name:
                raise wrong("'{' is not closed", place, "a brace of the text is written twice")
            if not name:
                raise wrong("a field without a name", place, "write {name}")
            pieces += [_Piece(literal, field=False), _Piece(name, field=True)]
            literal, place = "", end + 1
        else:
            literal, place = literal + character, place + 1
    pieces.append(_Piece(literal, field=False))
    if not any(piece.field for piece in pieces):
        raise SettingsError(
            "no field in it", where="template", hint="write {name} where a field goes"
        )
    return tuple(piece for piece in pieces if piece.text)


def _look_up(value: Any, name: str) -> tuple[bool, Any]:
    """Whether there is a value under a dotted name, and which; lists are looked through."""
    if isinstance(value, dict):
        if name in value:
            return True, value[name]
        for dot in (place for place, character in enumerate(name) if character == "."):
            if name[:dot] in value:
                there, inner = _look_up(value[name[:dot]], name[dot + 1 :])
                if there:
                    return there, inner
    elif isinstance(value, list):
        found = [inner for there, inner in (_look_up(item, name) for item in value) if there]
        return bool(found), found
    return False, None


def _as_text(value: Any, joint: str, name: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        parts = (_as_text(item, joint, name) for item in value)
        return joint.join(part for part in parts if part)
    if isinstance(value, dict):
        if not value:
            return ""
        inner = ", ".join(f"{name}.{key}" for key in list(value)[:5])
        raise DataError(
            f"the field {name!r} is no text but a record", hint=f"a dot leads inside: {inner}"
        )
    return str(value)

"""Fields of records, and the text that a record becomes."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from rhapsode.config import SourceSettings, suggest
from rhapsode.errors import DataError, SettingsError

LISTED = 40
"""Fields named in a message."""
_TOKENS = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[^{}]+|[{}]")

Part = tuple[str, bool]
"""Literal text, or the name of a field and True."""


class Selector:
    """Selection of the requested fields of records.

    It also collects the names of all fields, for messages.

    Raises:
        SettingsError: a template that cannot be read.
    """

    def __init__(self, settings: SourceSettings) -> None:
        self._joint = "\n" if settings.template is None else " "
        self._pair = settings.template is None and settings.field is None
        if settings.template is not None:
            self._parts = _parse(settings.template)
        elif settings.field is not None:
            self._parts = [(settings.field, True)]
        elif settings.pair_fields is not None:
            inputs, output = settings.pair_fields
            joined = [part for name in inputs for part in ((name, True), (" ", False))]
            self._parts = [*joined[:-1], ("\n", False), (output, True)]
        else:
            prompt, completion = settings.prompt_field or "", settings.completion_field or ""
            self._parts = [(prompt, True), ("\n", False), (completion, True)]
        self.names = list(dict.fromkeys(name for name, is_field in self._parts if is_field))
        self._missing = set(self.names)
        self._seen: dict[str, None] = {}

    def text(self, record: Any) -> tuple[str, int] | None:
        """Text and prompt length of a record.

        None if the record lacks a field or a field is empty.
        """
        if not isinstance(record, dict):
            return None
        if len(self._seen) < 1000:
            self._seen.update(dict.fromkeys(map(str, record)))
        values: dict[str, str] = {}
        for name in self.names:
            there, value = _look_up(record, name)
            if there:
                self._missing.discard(name)
                values[name] = _as_text(value, self._joint, name)
        if len(values) < len(self.names) or not all(value.strip() for value in values.values()):
            return None
        text = "".join(values[part] if is_field else part for part, is_field in self._parts)
        # The completion is the last field; the fields before it are the prompt.
        return text, len(text) - len(values[self._parts[-1][0]]) if self._pair else 0

    def header(self, names: Iterable[str]) -> None:
        """Register the fields in the header of a table."""
        fields = dict.fromkeys(names)
        self._seen.update(fields)
        self._missing -= set(fields)

    def check(self, where: str) -> None:
        """Raise if a field was in no record at all.

        Raises:
            DataError: such a field; the hint names existing fields.
        """
        for name in self.names:
            if name in self._missing:
                known = list(self._seen)[:LISTED]
                hint = suggest(name, known) if known else "there are no records with fields"
                raise DataError(f"no record has a field {name!r}", where=where, hint=hint)

    def is_in(self, record: Mapping[str, Any]) -> bool:
        """True if a record has a requested field.

        The first part of a dotted name counts too.
        """
        return any(name in record or name.partition(".")[0] in record for name in self.names)


def _parse(template: str) -> list[Part]:
    parts: list[Part] = []
    for token in _TOKENS.finditer(template):
        text, name = token[0], token[1]
        problem = ""
        if text in {"{", "}"}:
            problem = "'{' is not closed" if text == "{" else "'}' closes nothing"
            hint = "write a literal brace twice"
        elif name is not None and not name.strip():
            problem, hint = "a field without a name", "write {name}"
        if problem:
            what = f"{problem} at character {token.start() + 1}"
            raise SettingsError(what, where="template", hint=hint)
        literal = text.replace("{{", "{").replace("}}", "}")
        parts.append((literal, False) if name is None else (name.strip(), True))
    if not any(is_field for _, is_field in parts):
        raise SettingsError(
            "no field in it", where="template", hint="write {name} where a field goes"
        )
    return parts


def _look_up(value: Any, name: str) -> tuple[bool, Any]:
    """Look up a dotted name, also in lists.

    Return True and the value, or False and None.
    """
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
            f"the field {name!r} is a record, not a text",
            hint=f"select a nested field with a dot: {inner}",
        )
    return str(value)

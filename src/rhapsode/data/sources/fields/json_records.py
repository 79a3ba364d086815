"""Records of JSON and JSON Lines.

Text is read in chunks. Memory stays at a few records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from rhapsode.data.sources.fields.selector import Selector
from rhapsode.errors import DataError

_SPACE = re.compile(r"[ \t\n\r]*")


def json_records(chunks: Iterator[str], where: str, selector: Selector | None) -> Iterator[Any]:
    """Records of JSON text.

    The text is a list, JSON Lines, or an object with a list; only the last is not streamed. Numbers
    are kept as strings, as they are spelled. An object with the field that the selector asks for is
    a record itself.

    Raises:
        DataError: malformed JSON, with line and column.
    """
    text = _Growing(chunks, where)
    number = 0
    while (character := text.peek()) is not None:
        if character == "[":
            yield from _items(text)
            number += 1
            continue
        value = text.value()
        number += 1
        # A first object without the field may be all there is, with the records inside.
        asked = selector is not None and selector.is_in(value)
        odd = number == 1 and isinstance(value, dict) and not asked
        if odd and text.peek() is None:
            yield from _within(value)
            return
        yield value


def _items(text: _Growing) -> Iterator[Any]:
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    while True:
        yield text.value()
        mark = text.peek()
        if mark not in {",", "]"}:
            text.fail("Expecting ',' or ']'")
        text.take(mark)
        if mark == "]":
            return


def _within(record: dict[str, Any]) -> list[Any]:
    """Records inside a single object.

    They are its only list of objects, or its values if all are objects.
    """
    lists = [
        value
        for value in record.values()
        if isinstance(value, list) and value and isinstance(value[0], dict)
    ]
    if len(lists) == 1:
        return lists[0]
    if record and all(isinstance(value, dict) for value in record.values()):
        return list(record.values())
    return [record]


class _Growing:
    """JSON text of which only what is being read is in memory."""

    def __init__(self, chunks: Iterator[str], where: str) -> None:
        self._chunks = chunks
        self._where = where
        self._text = ""
        self._place = 0
        self._line, self._column = 1, 1  # of the first character in memory
        self._decoder = json.JSONDecoder(
            parse_int=str, parse_float=str, parse_constant=_constant, strict=False
        )

    def peek(self) -> str | None:
        """The next character that is not white space; None at the end."""
        while True:
            self._place = _SPACE.match(self._text, self._place).end()  # type: ignore[union-attr]
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._more(1):
                return None

    def take(self, character: str) -> None:
        """Step over a character that was seen."""
        self._place += len(character)

    def value(self) -> Any:
        """The next value, whole."""
        if self.peek() is None:
            self.fail("the text ends where a value should follow")
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._place)
            except json.JSONDecodeError as problem:
                # Only what lies at the end of the text may be mended by more of it.
                near = problem.msg.startswith("Unterminated") or problem.pos + 16 > len(self._text)
                if near and self._more(len(self._text) - self._place):
                    continue
                self.fail(problem.msg, problem.pos)
            except RecursionError:
                self.fail("nested too deeply")
            # A number may go on in the next chunk.
            if end + 3 > len(self._text) and isinstance(value, str) and self._more(3):
                continue
            self._place = end
            return value

    def _more(self, least: int) -> bool:
        """Read at least `least` more characters; False at the end.

        Text that has been used is dropped.
        """
        parts, size = [self._text[self._place :]], 0
        while size < max(1, least) and (chunk := next(self._chunks, None)) is not None:
            parts.append(chunk)
            size += len(chunk)
        if size:
            self._line, self._column = self._position(self._place)
            self._text, self._place = "".join(parts), 0
        return size > 0

    def _position(self, place: int) -> tuple[int, int]:
        """The line and column of a character in memory."""
        before = self._text[:place]
        lines = before.count("\n")
        column = len(before) - before.rfind("\n") if lines else self._column + len(before)
        return self._line + lines, column

    def fail(self, what: str, place: int | None = None) -> NoReturn:
        """Raise with line and column."""
        line, column = self._position(self._place if place is None else place)
        raise DataError(
            f"malformed JSON at line {line}, column {column}: {what}", where=self._where
        )


def _constant(name: str) -> str | None:
    return None if name == "NaN" else name

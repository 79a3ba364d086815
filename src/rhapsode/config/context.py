"""How a model sees its past, as it is written in settings and files."""

import re
from dataclasses import dataclass

from rhapsode.errors import SettingsError

__all__ = ["SeenContext", "parse_context"]

LONGEST = 1 << 20


@dataclass(frozen=True)
class SeenContext:
    """What counts of the past.

    Arguments:
        kind: "carried" (all of it, documents joined), "fresh" (the document so far) or "window".
        size: elements of a window; 0 otherwise.
    """

    kind: str
    size: int = 0

    def __str__(self) -> str:
        return f"window:{self.size}" if self.kind == "window" else self.kind


def parse_context(text: str) -> SeenContext:
    """The context that `carried`, `fresh` or `window:N` names.

    Raises:
        SettingsError: something else.
    """
    if text in ("carried", "fresh"):
        return SeenContext(text)
    found = re.fullmatch(r"window:([1-9]\d{0,6})", text)
    if found and int(found[1]) <= LONGEST:
        return SeenContext("window", int(found[1]))
    raise SettingsError(f"unknown context {text!r}", hint="known: carried, fresh, window:N")

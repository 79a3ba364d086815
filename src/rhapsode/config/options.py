"""How a setting looks as a flag. Its name, default and help are the field's own."""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

__all__ = ["POSITIONAL", "REPEATED", "Flag", "Positional", "Repeated", "option"]

T = TypeVar("T")

POSITIONAL = "positional"
REPEATED = "repeated"

# What the command line makes of an annotation is its own affair: settings are read without what parses.
Positional = Annotated[T, POSITIONAL]
"""A field that is given by its place and not by a name."""
Repeated = Annotated[T, REPEATED]
"""A tuple whose flag is given once for each entry."""


@dataclass(frozen=True)
class Flag:
    """What a flag says of itself; see `option`.

    Arguments:
        metavar: stands for the value in the help.
        hint: what the help says of the default; None: the field's own.
        alias: a short form.
        name: where it is not the field's.
        help: in place of the field's docstring; `{families}` stands for the families that there are.
    """

    metavar: str
    hint: str | None
    alias: str | None
    name: str | None
    help: str | None = None


def option(
    metavar: str,
    default: str | None = None,
    *,
    alias: str | None = None,
    name: str | None = None,
    help: str | None = None,
) -> Any:
    """An annotation for a settings field that is also a flag.

    Arguments:
        metavar: stands for the value in the help.
        default: what happens when the flag is left out, where the field's default does not say it.
        alias: a short form, as "-o".
        name: the flag's name where the field's cannot be it.
        help: in place of the field's docstring, for what only a registry knows.
    """
    hint = None if default is None else f"(default: {default})" if default else ""
    return Flag(metavar, hint, alias, name, help)

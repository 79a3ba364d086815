"""How a setting looks as a flag. Its name, default and help are the field's own."""

from typing import Any

from tyro.conf import arg

__all__ = ["option"]


def option(
    metavar: str, default: str | None = None, *, alias: str | None = None, name: str | None = None
) -> Any:
    """An annotation for a settings field that is also a flag.

    Arguments:
        metavar: stands for the value in the help.
        default: what happens when the flag is left out, where the field's default does not say it.
        alias: a short form, as "-o".
        name: the flag's name where the field's cannot be it.
    """
    hint = None if default is None else f"(default: {default})" if default else ""
    return arg(
        name=name,
        metavar=metavar,
        help_behavior_hint=hint,
        aliases=None if alias is None else (alias,),
    )

"""The help of a command: its usage, its description and its options in groups."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

from rhapsode.config.options import Option, field_docs

__all__ = ["help_page"]

_WIDEST = 100
_COLUMN = 24
"""Where texts begin; an invocation that is longer has a line of its own."""


def help_page(name: str, description: str, options: Sequence[Option]) -> str:
    """The help of a command as text.

    Arguments:
        name: what is typed before its options.
        description: paragraphs; a line that begins with two spaces stays a line.
        options: in the order of the page.
    """
    width = max(40, min(_WIDEST, shutil.get_terminal_size().columns))
    places = [option for option in options if option.positional]
    usage = " ".join([f"usage: {name}", *map(_place, places), "[OPTIONS]"])
    blocks = [usage, *(_paragraph(block, width) for block in description.split("\n\n"))]
    groups: dict[str, list[Option]] = {"arguments": places} if places else {}
    for option in options:
        if not option.positional:
            title = (option.owner.__doc__ or "").strip().partition("\n")[0].rstrip(".")
            groups.setdefault(title[:1].lower() + title[1:], []).append(option)
    help_flag = _entry("-h, --help", "Show this page.", width)
    for title, members in groups.items():
        entries = [_entry(_invocation(each), _text(each), width) for each in members]
        blocks.append("\n".join([f"{title}:", *entries]))
    return "\n\n".join([*blocks, help_flag]) + "\n"


def _place(option: Option) -> str:
    """A positional argument in the usage."""
    shown = option.metavar + ("..." if option.many else "")
    return shown if option.required else f"[{shown}]"


def _paragraph(text: str, width: int) -> str:
    if text.startswith("  "):
        lines = text.splitlines()
        return "\n".join(textwrap.fill(line, width, subsequent_indent="      ") for line in lines)
    return textwrap.fill(" ".join(text.split()), width)


def _invocation(option: Option) -> str:
    """The flags with their value; of a positional argument its metavar."""
    if option.positional:
        return option.metavar
    # The spelling with underscores works too, and is not shown.
    usual, *others = option.spellings
    short = [spelling for spelling in others if not spelling.startswith("--")]
    return " ".join([", ".join([*short, usual]), option.metavar]).rstrip()


def _text(option: Option) -> str:
    """The help of an option, with its default."""
    text = option.flag.help or field_docs(option.owner)[option.field.name]
    default = option.flag.default
    if default is None:
        default = "" if option.required or option.kind is bool else str(option.field.default)
    return _filled(text) + (f" (default: {default})" if default else "")


def _filled(text: str) -> str:
    """A text with the names of what is registered."""
    if "{families}" in text or "{modalities}" in text:
        from rhapsode.modalities import MODALITIES
        from rhapsode.models import FAMILIES

        *families, last = FAMILIES.words()
        text = text.replace("{families}", f"{', '.join(families)} or {last}")
        text = text.replace("{modalities}", ", ".join(MODALITIES.words()))
    return text


def _entry(invocation: str, text: str, width: int) -> str:
    """An option with its text, in two columns."""
    lines = textwrap.wrap(text, width - _COLUMN)
    if len(invocation) > _COLUMN - 4:
        lines = ["", *lines]
    first = f"  {invocation:<{_COLUMN - 2}}{lines[0]}".rstrip()
    return "\n".join([first, *(" " * _COLUMN + line for line in lines[1:])])

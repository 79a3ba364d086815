"""The help of a command: usage, description and options in groups."""

import shutil
import textwrap
from collections.abc import Iterable
from typing import Any

import rhapsode as rh
from rhapsode.cli.words import new_parser
from rhapsode.config import presets
from rhapsode.config.options import POSITIONAL, Option, field_docs

_WIDEST = 100


def help_page(name: str, description: str, options: Iterable[Option]) -> str:
    """The help of a command as text.

    Arguments:
        name: words that are typed before its options.
        description: paragraphs; a line that begins with two spaces stays a line.
        options: in the order of the page.
    """
    width = max(40, min(_WIDEST, shutil.get_terminal_size().columns))
    if "{presets}" in description:
        listing = "\n".join(f"  {name}: {about}." for name, about in presets().items())
        description = description.replace("{presets}", listing)
    paragraphs = [_wrapped(paragraph, width) for paragraph in description.strip().split("\n\n")]
    parser = new_parser(width, description="\n\n".join(paragraphs))
    usage = [name]
    groups: dict[str, Any] = {}
    for option in sorted(options, key=lambda option: POSITIONAL not in option.marks):
        text = {"help": _text(option).replace("%", "%%")}
        if POSITIONAL in option.marks:
            shown = option.metavar + ("..." if option.many else "")
            usage.append(shown if option.required else f"[{shown}]")
            title, flags = "arguments", [option.metavar]
        else:
            # The spelling with underscores works too, and is not shown.
            flags = [s for s in option.spellings if not s.startswith("--") or "_" not in s][::-1]
            title = (option.owner.__doc__ or "").partition("\n")[0].rstrip(".")
            text |= {"action": "store_true"} if option.kind is bool else {"metavar": option.metavar}
        if title not in groups:
            groups[title] = parser.add_argument_group(title[:1].lower() + title[1:])
        groups[title].add_argument(*flags, **text)
    parser.add_argument_group().add_argument("-h", "--help", action="help", help="Show this page.")
    parser.usage = " ".join([*usage, "[OPTIONS]"])
    return parser.format_help()


def _wrapped(paragraph: str, width: int) -> str:
    if not paragraph.startswith("  "):
        return textwrap.fill(" ".join(paragraph.split()), width)
    lines = paragraph.splitlines()
    return "\n".join(textwrap.fill(line, width, subsequent_indent="      ") for line in lines)


def _text(option: Option) -> str:
    text = option.flag.help or field_docs(option.owner)[option.field.name]
    if "{families}" in text or "{modalities}" in text:
        names = rh.components()
        *families, last = names["model"]
        text = text.replace("{families}", f"{', '.join(families)} or {last}")
        text = text.replace("{modalities}", ", ".join(names["modality"]))
    default = option.flag.default
    if default is None:
        default = "" if option.required or option.kind is bool else str(option.field.default)
    return f"{text} (default: {default})" if default else text

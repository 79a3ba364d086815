"""The help of `rhapsode play`, and parsers of typed words.

The words are texts, numbers and files.
"""

import shlex
from pathlib import Path

from rhapsode.errors import SettingsError

HELP = (
    (
        "TEXT",
        "append TEXT and continue; \\n is a line end, \\\\ a backslash, // at the start a slash",
    ),
    ("(an empty line)", "continue"),
    ("/again", "generate another continuation; the previous one is kept as a branch"),
    ("/edit TEXT", "replace the last continuation by TEXT; the previous one is kept as a branch"),
    ("/undo [N]", "undo the last step, or the last N"),
    ("/branch", "list the branches; /branch new starts one here, /branch 2 selects the second"),
    (
        "/why [N]",
        "show the probabilities at the last element, at element N, or with -N at the N-th last",
    ),
    (
        "/set NAME VALUE",
        "change a setting, for example /set temperature 0.5; /set alone lists them",
    ),
    ("/show", "show the whole text"),
    ("/keep", "append the text to the file of kept texts, on which a model can be trained"),
    ("/save FILE", "save this session"),
    ("/load FILE", "continue a saved session"),
    ("/quit", "leave"),
)


def words_in(name: str, rest: str) -> list[str]:
    """The words after the name of a command."""
    if name == "edit":
        return [rest]
    if name == "set":
        return rest.strip().split(maxsplit=1)  # values may hold quotation marks
    try:
        return shlex.split(rest)
    except ValueError:
        return rest.split()


def number_in(word: str, where: str, wanted: str = "a whole number") -> int:
    """The number that was typed.

    Raises:
        SettingsError: it is none.
    """
    try:
        return int(word)
    except ValueError:
        raise SettingsError(f"{word!r} is not {wanted}", where=where) from None


def file_in(words: list[str], name: str) -> Path:
    """The file that was typed after the name of a command.

    Raises:
        SettingsError: there is no such word, or no file can have that name.
    """
    if len(words) != 1:
        raise SettingsError(f"/{name} takes the name of a file")
    try:
        path = Path(words[0]).expanduser()
    except RuntimeError:  # ~ of nobody
        raise SettingsError("there is no such home folder", where=words[0]) from None
    if "\0" in words[0]:
        raise SettingsError("not a valid file name", where=words[0])
    return path

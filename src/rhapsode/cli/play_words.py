"""The help of `rhapsode play`, and parsers of typed words.

The words are texts, numbers and files.
"""

import shlex
from pathlib import Path

from rhapsode.errors import SettingsError

HELP = (
    ("TEXT", "append it to the text and go on; \\n in it is a line end, // at its front one slash"),
    ("(an empty line)", "go on"),
    ("/again", "another continuation; the last one stays as a branch"),
    ("/edit TEXT", "put this in place of the last continuation, which stays as a branch"),
    ("/undo [N]", "take back the last step, or N of them"),
    ("/branch", "list the branches; /branch new begins one here, /branch 2 goes to the second"),
    ("/why [N]", "what the model thought of the last element; of element N; of the N-th last: -N"),
    ("/set NAME VALUE", "change a setting, as /set temperature 0.5; /set alone shows them"),
    ("/show", "the whole text"),
    ("/keep", "append the text to the file of kept texts, from which a model can learn"),
    ("/save FILE", "keep this session, to go on with it later"),
    ("/load FILE", "go on with a saved session"),
    ("/quit", "leave"),
)
# Settings that are texts as they are written, so that \n in them is a line end.
TEXTS = frozenset(("stop", "ban", "bias", "prefix", "dry_breakers"))


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


def unescaped(line: str) -> str:
    """A line with its line ends."""
    return line.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")


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
        raise SettingsError("no file has such a name", where=words[0])
    return path

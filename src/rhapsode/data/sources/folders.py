"""Files of folders, patterns of their names, and paths that lead into archives."""

import fnmatch
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from rhapsode.data.sources.archives import archive_kind
from rhapsode.data.sources.blob import Blob, file_blob, spooled
from rhapsode.data.sources.formats import Found
from rhapsode.errors import DataError
from rhapsode.files import is_there

_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def walk(folder: Path, found: Found) -> Iterator[Blob]:
    """The files of a folder and its folders, in order of their names; links to folders are not followed."""
    waiting = [(folder, "")]
    while waiting:
        path, relative = waiting.pop()
        try:
            if path.is_dir() and (not path.is_symlink() or not relative):
                names = sorted(os.listdir(path), reverse=True)  # noqa: PTH208
                waiting += [
                    (path / name, f"{relative}/{name}" if relative else name)
                    for name in names
                    if not name.startswith(".")
                ]
            elif path.is_dir():
                found.skipped.append(f"{path}: a link to a folder")
            elif path.is_file():
                yield file_blob(path, relative)
            elif not path.exists():
                found.skipped.append(f"{path}: gone, or a link to nothing")
        except OSError as problem:
            unread = DataError(f"cannot read: {problem.strerror}", where=str(path))
            found.skipped.append(str(unread))


def named_file(source: str) -> tuple[Blob, str] | None:
    """The file or archive that a source names, and the path inside the archive if there is one.

    Arguments:
        source: a path, a path that leads into an archive, or "-" for standard input.

    Returns:
        None for a source that names no file.
    """
    if source == "-":
        if sys.stdin is None:
            raise DataError("standard input is closed", where="-", hint="pipe data into it")
        return Blob("-", "-", spooled(sys.stdin.buffer, "-")), ""
    if source and is_there(Path(source)):
        return file_blob(Path(source)), ""
    parts = _inside(source)
    return (file_blob(parts[0]), parts[1]) if parts else None


def _inside(source: str) -> tuple[Path, str] | None:
    """An archive and the path inside it that a source names; None if it names no such thing."""
    outer, mark, inner = source.partition("::")
    if mark and is_there(Path(outer)):
        return Path(outer), inner
    path = Path(source)
    for parent in path.parents:
        try:
            if parent.is_file():
                kind = archive_kind(file_blob(parent))
                return (parent, path.relative_to(parent).as_posix()) if kind else None
        except (OSError, ValueError):
            return None
    return None


def like(name: str, pattern: str) -> bool:
    """Whether a path matches a pattern in which ** stands for any folders."""
    made = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]*\])", pattern):
        if part.startswith("[") and len(part) > 2:
            made += fnmatch.translate(part)[4:-3]
        else:
            made += _WILD.get(part) or re.escape(part)
    return re.fullmatch(made, name, re.DOTALL) is not None

"""Corpora known by name. These two travel with every Python, so they need no file and no network."""

import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from rhapsode.data.document import Document
from rhapsode.errors import DataError

__all__ = ["CATALOGUE", "CatalogueEntry", "catalogue_documents"]


@dataclass(frozen=True)
class CatalogueEntry:
    """What is known of a named corpus.

    Arguments:
        title: one line about it.
        licence: under which terms it comes.
        kind: "embedded" when it is on this machine already.
    """

    title: str
    licence: str
    kind: str


CATALOGUE = MappingProxyType(
    {
        "python-docs": CatalogueEntry(
            "English prose: the language reference that every CPython carries",
            "PSF-2.0",
            "embedded",
        ),
        "python-code": CatalogueEntry(
            "Source code: the standard library of this Python", "PSF-2.0", "embedded"
        ),
    }
)

_NOT_LIBRARY = frozenset(
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "lib2to3", "__pycache__",
     "pydoc_data", "encodings"}
)  # fmt: skip


def catalogue_documents(name: str) -> Iterator[Document]:
    """The documents of a named corpus.

    Raises:
        DataError: this Python came without it.
    """
    return {"python-docs": _python_docs, "python-code": _python_code}[name]()


def _python_docs() -> Iterator[Document]:
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise DataError(
            "this Python came without its documentation topics",
            where="python-docs",
            hint="Debian's python3-minimal lacks them: install python3, or name a file of yours",
        ) from None
    for topic in sorted(topics):
        yield Document(topics[topic], f"python-docs/{topic}")


def _python_code() -> Iterator[Document]:
    root = Path(sysconfig.get_paths()["stdlib"])
    found = False
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if _NOT_LIBRARY.intersection(relative.parts):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if text:
            found = True
            yield Document(text, f"python-code/{relative.as_posix()}")
    if not found:
        raise DataError(
            f"the standard library of Python {sys.version.split()[0]} is not kept as source files",
            where="python-code",
        )

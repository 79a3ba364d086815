"""Files of the page, as the package ships them."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
"""Media types by suffix; files of other suffixes are not served."""


@dataclass(frozen=True)
class StaticFile:
    """A file of the page.

    Arguments:
        content: its bytes.
        packed: the same, compressed by gzip.
        kind: its media type.
        tag: changes with the content, for the cache of a browser.
    """

    content: bytes
    packed: bytes
    kind: str
    tag: str


@cache
def static_files() -> dict[str, StaticFile]:
    """The files of the page by name."""
    folder = resources.files("rhapsode.serving") / "static"
    files = {}
    for entry in folder.iterdir():
        suffix = "." + entry.name.rpartition(".")[2]
        if suffix in KINDS:
            content = entry.read_bytes()
            tag = '"' + hashlib.sha256(content).hexdigest()[:24] + '"'
            packed = gzip.compress(content, mtime=0)
            files[entry.name] = StaticFile(content, packed, KINDS[suffix], tag)
    return files

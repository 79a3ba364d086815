"""Turns of a session, and its file."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rhapsode.config import from_mapping
from rhapsode.errors import DataError
from rhapsode.files import write_atomically

FORMAT = "rhapsode play"
VERSION = 2


@dataclass(frozen=True)
class Turn:
    """An addition to the document by the person or the model.

    Arguments:
        kind: "given" by the person, or "written" by the model.
        elements: ids, or the numbers of every step; a document that ended holds its
            end-of-sequence.
        text: what they say.
        end: why the model stopped: "stop", "length" or "interrupted"; None for what was given.
        attempt: which continuation of what stands before it, from 0.
        settings: it was written with, as plain values.
    """

    kind: Literal["given", "written"]
    elements: tuple[Any, ...]
    text: str
    end: Literal["stop", "length", "interrupted"] | None = None
    attempt: int = 0
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SavedModel:
    """The model of a session."""

    path: str
    sha256: str


@dataclass(frozen=True)
class SavedBranch:
    """A branch, by its number."""

    name: int
    turns: tuple[Turn, ...]


@dataclass(frozen=True, kw_only=True)
class SavedSession:
    """A session as it lies in its file."""

    model: SavedModel
    prompt: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any]
    current: int
    branches: tuple[SavedBranch, ...]


def write_session(path: Path, session: SavedSession) -> None:
    """Write a session into a file.

    Raises:
        RunError: it cannot be written.
    """
    mapping = {"format": FORMAT, "version": VERSION, **asdict(session)}
    # Escapes keep bytes that were never UTF-8.
    write_atomically(path, (json.dumps(mapping, indent=1) + "\n").encode())


def read_session(path: Path, fingerprint: str) -> SavedSession:
    """The session in a file.

    Arguments:
        path: the file.
        fingerprint: of the model that goes on with it.

    Raises:
        DataError: the file cannot be read, is damaged, or is of another model.
    """
    try:
        raw = path.read_bytes()
        mapping = json.loads(raw)
    except OSError as problem:
        raise DataError(f"cannot read: {problem.strerror}", where=str(path)) from None
    except (ValueError, RecursionError):
        raise DataError("this is not a saved session", where=str(path)) from None
    if not isinstance(mapping, dict) or mapping.pop("format", None) != FORMAT:
        raise DataError("this is not a saved session", where=str(path))
    version = mapping.pop("version", None)
    if version == 1:
        mapping = json.loads(raw, object_pairs_hook=_without_ids)
        del mapping["format"], mapping["version"]
    elif version != VERSION:
        raise DataError(f"version {version!r} of a session cannot be read", where=str(path))
    saved = from_mapping(SavedSession, mapping, where=str(path), error=DataError)
    if saved.model.sha256 != fingerprint:
        raise DataError(
            "this session was played with another model",
            where=str(path),
            hint=f"that model was {saved.model.path}",
        )
    return saved


def _without_ids(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of version 1, in which elements were called ids."""
    return {"elements" if key == "ids" else key: value for key, value in pairs}

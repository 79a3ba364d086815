"""Stored states of texts: files in one folder, with a quota."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from rhapsode.errors import DataError
from rhapsode.files import write_atomically
from rhapsode.serving.states.snapshots import Snapshot, StoredDistribution
from rhapsode.serving.states.state_arrays import arrays_of, restored
from rhapsode.serving.wire.api_errors import ApiError

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
SUFFIX = ".state.safetensors"
FORMAT = "rhapsode-state-1"


@dataclass(frozen=True)
class StoredState:
    """A state of a text, and how it was written.

    Arguments:
        snapshot: after the text.
        model: name of the model.
        fingerprint: of what decides the text.
        adapt: True if the counts adapt.
        seed: of the draw.
        sequence: index of the continuation.
        written: elements at the end that were drawn with this seed.
    """

    snapshot: Snapshot
    model: str
    fingerprint: str
    adapt: bool
    seed: int
    sequence: int
    written: int

    def facts(self) -> dict[str, Any]:
        """Plain values beside the arrays."""
        return {
            "format": FORMAT,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "adapt": self.adapt,
            "seed": self.seed,
            "sequence": self.sequence,
            "written": self.written,
            "elements": len(self.snapshot.elements),
        }


class StateStore:
    """Stored states by name.

    Arguments:
        folder: of the files; made when the first one is written.
        size: bytes of all files.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Number of states."""
        return len(self._files())

    @property
    def bytes(self) -> int:
        """Bytes of all states."""
        return sum(_size(path) for path in self._files())

    def _files(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        return sorted(self._folder.glob(f"*{SUFFIX}"))

    def path_of(self, name: str) -> Path:
        """The file of a name.

        Raises:
            ApiError: a name with other than letters, digits, - and _.
        """
        if not NAME.fullmatch(name):
            raise ApiError(
                400,
                "invalid_value",
                "the name of a state has 1 to 64 letters, digits, - and _",
                param="state",
            )
        return self._folder / f"{name}{SUFFIX}"

    def listing(self) -> list[dict[str, Any]]:
        """Facts of all states, by name."""
        states = []
        for path in self._files():
            facts = self._facts(path)
            facts.pop("digest", None)
            name = path.name.removesuffix(SUFFIX)
            states.append({"id": name, "object": "state", "bytes": _size(path), **facts})
        return states

    def check_room(self, name: str) -> None:
        """Refuse a name that is taken or malformed, before anything is written.

        Raises:
            ApiError: it is.
        """
        if self.path_of(name).exists():
            raise ApiError(
                400, "state_exists", f"there is a state {name!r} already", param="save_state"
            )

    def save(self, name: str, state: StoredState) -> int:
        """Store a state, and return its bytes.

        Raises:
            ApiError: there is no room for it.
        """
        path = self.path_of(name)
        arrays = self._arrays(state)
        needed = sum(array.nbytes for array in arrays.values())
        with self._lock:
            self.check_room(name)
            if needed > self._size:
                raise ApiError(
                    400,
                    "state_too_large",
                    f"the state {name!r} has {needed:,} bytes, and the folder holds at most "
                    f"{self._size:,}",
                    param="save_state",
                )
            used = self.bytes
            if used + needed > self._size:
                raise ApiError(
                    400,
                    "states_full",
                    f"the stored states have {used:,} of {self._size:,} bytes: no room for "
                    f"{needed:,} more; delete some",
                    param="save_state",
                )
            self._folder.mkdir(parents=True, exist_ok=True)
            scratch = path.with_suffix(f".{os.getpid()}.part")
            facts = state.facts()
            facts["digest"] = _digest(facts, arrays)
            save_file(arrays, scratch, metadata={"rhapsode": json.dumps(facts)})
            scratch.replace(path)
        return _size(path)

    def load(self, name: str, template: Any) -> StoredState:
        """Read a state.

        Arguments:
            name: of the state.
            template: a state of the predictor, one row.

        Raises:
            ApiError: there is none, or it does not fit.
        """
        path = self.path_of(name)
        facts = self._facts(path)
        if not facts:
            raise _missing(name)
        try:
            with safe_open(path, framework="numpy") as file:
                arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            if facts.get("digest", _digest(facts, arrays)) != _digest(facts, arrays):
                raise DataError("a file that has been changed")
            state = restored(template, arrays)
            elements = _plain(arrays["elements"])
            following = StoredDistribution(arrays["logits"], arrays["alone"])
        except (SafetensorError, OSError, KeyError, DataError):
            raise ApiError(
                400, "state_mismatch", f"the state {name!r} is damaged", param="continue_from"
            ) from None
        snapshot = Snapshot(state, following, elements)
        keep = ("model", "fingerprint", "adapt", "seed", "sequence", "written")
        return StoredState(snapshot, **{key: facts[key] for key in keep})

    def facts_of(self, name: str) -> dict[str, Any]:
        """Plain values of a state.

        Raises:
            ApiError: there is none of that name.
        """
        facts = self._facts(self.path_of(name))
        if not facts:
            raise _missing(name)
        return facts

    def fork(self, name: str, copy: str) -> None:
        """Store a state under a second name.

        Raises:
            ApiError: there is none, the second name is taken, or there is no room.
        """
        self.facts_of(name)
        with self._lock:
            self.check_room(copy)
            content = self.path_of(name).read_bytes()
            if self.bytes + len(content) > self._size:
                raise ApiError(
                    400, "states_full", "the folder of states is full", param="save_state"
                )
            write_atomically(self.path_of(copy), content)

    def delete(self, name: str) -> None:
        """Delete a state.

        Raises:
            ApiError: there is none of that name.
        """
        path = self.path_of(name)
        with self._lock:
            if not path.exists():
                raise _missing(name)
            path.unlink()

    @staticmethod
    def _arrays(state: StoredState) -> dict[str, NDArray[Any]]:
        snapshot = state.snapshot
        arrays = arrays_of(snapshot.state)
        arrays["elements"] = np.asarray(snapshot.elements)
        arrays["logits"] = snapshot.following.logits_BV
        arrays["alone"] = snapshot.following.alone_BV
        return {name: np.ascontiguousarray(array) for name, array in arrays.items()}

    @staticmethod
    def _facts(path: Path) -> dict[str, Any]:
        """Plain values of a file; nothing of one that is missing or damaged."""
        try:
            with safe_open(path, framework="numpy") as file:
                facts = json.loads((file.metadata() or {}).get("rhapsode", "{}"))
        except (SafetensorError, OSError, ValueError):
            return {}
        return facts if isinstance(facts, dict) and facts.get("format") == FORMAT else {}


def _digest(facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> str:
    """Hash of all that a file holds; older ones have no digest."""
    plain = {name: value for name, value in facts.items() if name != "digest"}
    found = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _plain(elements: NDArray[Any]) -> tuple[Any, ...]:
    rows = elements.tolist()
    return tuple(tuple(each) if isinstance(each, list) else each for each in rows)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _missing(name: str) -> ApiError:
    return ApiError(
        404, "state_not_found", f"there is no state {name[:64]!r}", param="continue_from"
    )

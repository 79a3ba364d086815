"""Files of indexes: arrays and facts in safetensors, mapped when read."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from rhapsode.errors import BundleError
from rhapsode.files import first_line, write_arrays

Arrays = Mapping[str, NDArray[Any]]

_VERSION = "1"
_DTYPES = {"U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "I32": np.int32, "I64": np.int64}


def damaged(what: str, path: Path) -> BundleError:
    """The error for an index file that cannot be trusted."""
    return BundleError(
        f"this index is damaged ({what})",
        where=str(path),
        hint="delete it to have it rebuilt",
    )


def write_index(path: Path, kind: str, arrays: Arrays, facts: Mapping[str, Any]) -> None:
    """Write an index file, atomically.

    Arguments:
        path: the file; its folder must exist.
        kind: which index it is; `read_index` requires the same.
        arrays: of one axis each; unsigned of 8 to 32 bits, or signed of 32 or 64.
        facts: plain values.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    metadata = {
        "format": kind,
        "format_version": _VERSION,
        "facts": json.dumps(dict(facts)),
        "crc32": json.dumps({name: _checksum(array) for name, array in whole.items()}),
    }
    write_arrays(path, whole, metadata)


def read_index(path: Path, kind: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read an index file: arrays, mapped read-only, and facts.

    Everything is read once to verify the checksums. The caller checks the contents of the arrays.

    Raises:
        BundleError: missing, truncated, altered, or not an index of this kind and version.
    """
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
        with path.open("rb") as raw:
            start = 8 + int.from_bytes(raw.read(8), "little")
            header = json.loads(raw.read(start - 8))
    except OSError as problem:
        raise BundleError(f"cannot read: {problem.strerror or problem}", where=str(path)) from None
    except (SafetensorError, ValueError, RecursionError, MemoryError) as problem:
        raise damaged(first_line(problem), path) from None
    if metadata.get("format") != kind:
        raise BundleError(f"this file is no {kind}", where=str(path))
    if metadata.get("format_version") != _VERSION:
        raise BundleError(
            f"format version {metadata.get('format_version')!r} cannot be read, only {_VERSION}",
            where=str(path),
            hint="delete it to have it rebuilt",
        )
    try:
        facts = json.loads(metadata["facts"])
        sums = json.loads(metadata["crc32"])
        arrays = {
            name: _mapped(path, start, entry)
            for name, entry in header.items()
            if name != "__metadata__"
        }
        if not isinstance(facts, dict) or set(sums) != set(arrays):
            raise ValueError("its facts are no table, or arrays are missing")
        for name, array in arrays.items():
            if _checksum(array) != sums[name]:
                raise ValueError(f"the checksum of {name!r} differs")
    except (KeyError, TypeError, ValueError, OSError, RecursionError) as problem:
        raise damaged(first_line(problem), path) from None
    return arrays, facts


def _checksum(array: NDArray[Any]) -> int:
    return zlib.crc32(array.view(np.uint8).data)


def _mapped(path: Path, start: int, entry: Mapping[str, Any]) -> NDArray[Any]:
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    (count,) = entry["shape"]
    begin, _ = entry["data_offsets"]
    if count == 0:
        return np.zeros(0, dtype=dtype)
    mapped = np.memmap(path, dtype=dtype, mode="r", offset=start + begin, shape=(count,))
    # Without the subclass, for which numba would compile again; aligned, as compiled code requires.
    return np.require(np.asarray(mapped), requirements="A")

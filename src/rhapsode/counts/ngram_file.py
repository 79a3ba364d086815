"""Files of n-gram tries, in safetensors.

Compiled code follows the indices of a file without checks, so that inconsistent contents are
refused here.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from rhapsode.counts.ngram_counting import check_nodes
from rhapsode.counts.trie import MOST_ORDER, Trie
from rhapsode.errors import BundleError
from rhapsode.files import first_line, write_arrays

_FORMAT = "rhapsode.ngram"
_VERSION = "1"

_NUMBERS = ("vocab_size", "order", "elements", "documents", "asked", "once")
_ARRAYS = ("first_M", "element_M", "count_M", "ending_M", "suffix_M")
_AGAIN = "it was cut off or altered: copy or make it again"


def write_trie(path: Path, trie: Trie, chosen: Mapping[str, Any]) -> None:
    """Write a trie and plain values to a file, atomically.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    facts, arrays = trie_arrays(trie)
    metadata = {
        "format": _FORMAT,
        "format_version": _VERSION,
        "facts": json.dumps(facts),
        "chosen": json.dumps(dict(chosen)),
    }
    write_arrays(path, arrays, metadata)


def trie_arrays(trie: Trie) -> tuple[dict[str, Any], dict[str, NDArray[np.int32]]]:
    """Numbers and arrays of a trie, which `check_trie` reads back."""
    numbers: dict[str, Any] = {name: getattr(trie, name) for name in _NUMBERS}
    numbers |= {"opening": trie.opening, "begin_L": list(trie.begin_L)}
    return numbers, {name: np.ascontiguousarray(getattr(trie, name)) for name in _ARRAYS}


def read_trie(path: Path) -> tuple[Trie, dict[str, Any]]:
    """Read the trie and the values of a file.

    Raises:
        BundleError: missing, truncated, of another kind or version, or its arrays do not fit
            together.
    """
    where = str(path)
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in {*file.keys()} & {*_ARRAYS}}
    except OSError as problem:
        raise BundleError(f"cannot read: {problem.strerror or problem}", where=where) from None
    except (
        SafetensorError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        MemoryError,
    ) as problem:
        raise BundleError(
            f"not a whole safetensors file ({first_line(problem)})", where=where, hint=_AGAIN
        ) from None
    if metadata.get("format") != _FORMAT:
        raise BundleError("this file holds no n-gram model", where=where)
    version = metadata.get("format_version")
    if version != _VERSION:
        raise BundleError(
            f"format version {version!r} cannot be read, only {_VERSION}",
            where=where,
            hint="use the rhapsode release that wrote it, or a newer one",
        )
    try:
        return check_trie(_table(metadata, "facts"), arrays), _table(metadata, "chosen")
    except ValueError as problem:
        raise BundleError(f"it is damaged ({problem})", where=where, hint=_AGAIN) from None


def _table(metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    try:
        value = json.loads(metadata.get(key, ""))
    except (ValueError, RecursionError):
        raise ValueError(f"its metadata entry {key!r} is not JSON") from None
    if not isinstance(value, dict):
        raise ValueError(f"its metadata entry {key!r} is not a table")
    return value


def check_trie(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Trie:
    """Build a trie after checking its indices.

    Raises:
        ValueError: the numbers and arrays do not fit together.
    """
    begin_L, opening = facts.get("begin_L"), facts.get("opening")
    if not isinstance(begin_L, list):
        raise ValueError("a number is missing")
    for value in (*(facts.get(name) for name in _NUMBERS), *begin_L):
        if type(value) is not int or not 0 <= value < 2**31:
            raise ValueError("a number is missing or out of range")
    if opening is not None and type(opening) is not int:
        raise ValueError("its opening is not a number")
    fields: dict[str, Any] = {name: facts[name] for name in _NUMBERS}
    fields |= {name: _array(arrays, name) for name in _ARRAYS}
    trie = Trie(begin_L=tuple(begin_L), opening=opening, **fields)
    order, vocab_size = trie.order, trie.vocab_size
    _refuse(
        {
            "its order or vocabulary is out of range": vocab_size < 1
            or not 1 <= order <= trie.asked <= MOST_ORDER,
            "its opening is out of range": opening is not None and not 0 <= opening < vocab_size,
            "its levels do not fit": len(begin_L) != order + 2
            or begin_L[:3] != [0, 1, 1 + vocab_size],
            "its levels are not in order": sorted(begin_L) != begin_L,
        }
    )
    inner, nodes = begin_L[order:]
    sizes = dict(zip(_ARRAYS, (inner + 1, nodes, nodes, inner, nodes), strict=True))
    for name, size in sizes.items():
        if len(arrays[name]) != size:
            raise ValueError(f"the array {name!r} is of another size than its levels")
    _refuse(
        {
            "its first node is not the empty sequence": trie.element_M[0] or trie.suffix_M[0],
            "its nodes are not in order": trie.first_M[begin_L[:-1]].tolist() != begin_L[1:]
            or (trie.first_M[1:] < trie.first_M[:-1]).any(),
            "it holds negative counts": trie.count_M.min() < 0 or trie.ending_M.min() < 0,
            "it counts too few openings": opening is not None
            and trie.documents > trie.count_M[1 + opening],
        }
    )
    if not check_nodes(trie.first_M, trie.element_M, trie.suffix_M, trie.count_M, vocab_size):
        raise ValueError("its nodes do not fit together")
    return trie


def _refuse(flaws: Mapping[str, Any]) -> None:
    """Raise a ValueError that names the first flaw found."""
    for flaw, found in flaws.items():
        if found:
            raise ValueError(flaw)


def _array(arrays: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.int32]:
    array = arrays.get(name)
    if array is None or array.dtype != np.int32 or array.ndim != 1:
        raise ValueError(f"the array {name!r} is missing or not of 32-bit integers")
    return np.ascontiguousarray(array)

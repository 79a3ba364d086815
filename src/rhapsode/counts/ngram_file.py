"""Files of n-gram tries, in safetensors.

Compiled code follows the indices of a file without checks, so that inconsistent contents are
refused here.
"""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.counts.ngram_counting import check_nodes, link_level
from rhapsode.counts.trie import MOST_ORDER, Trie
from rhapsode.errors import BundleError
from rhapsode.files import read_arrays, write_arrays

_FORMAT = "rhapsode.ngram"
_VERSION = "2"

_NUMBERS = ("vocab_size", "order", "elements", "documents", "asked", "once")
# A byte that stands for a larger number.
_LARGE = 255
AGAIN = "it was cut off or altered: copy or make it again"


def write_counts(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the arrays of counts and plain values to a file, atomically.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    metadata = {"format": _FORMAT, "format_version": _VERSION, "facts": json.dumps(dict(facts))}
    write_arrays(path, dict(arrays), metadata)


def trie_arrays(trie: Trie) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Numbers and arrays of a trie, which `check_trie` reads back."""
    numbers: dict[str, Any] = {name: getattr(trie, name) for name in _NUMBERS}
    numbers |= {"opening": trie.opening, "begin_L": list(trie.begin_L)}
    return numbers, {
        **packed("children_M", np.diff(trie.first_M)),
        **packed("element_M", trie.element_M),
        **packed("count_M", trie.count_M),
        **packed("ending_M", trie.ending_M),
    }


def packed(name: str, values_M: NDArray[np.integer[Any]]) -> dict[str, NDArray[Any]]:
    """Numbers from 0 up in one byte each, and the large ones.

    Those above 254 follow one after the other.
    """
    large_M = values_M >= _LARGE
    return {
        name: np.where(large_M, _LARGE, values_M).astype(np.uint8),
        f"{name}.large": values_M[large_M].astype(np.int32),
    }


def unpacked(arrays: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.int32]:
    """The numbers that `packed` made small.

    Raises:
        ValueError: an array is missing, or of another type or size.
    """
    small_M, large_L = arrays.get(name), arrays.get(f"{name}.large")
    if small_M is None or small_M.dtype != np.uint8 or small_M.ndim != 1:
        raise ValueError(f"the array {name!r} is missing or not of bytes")
    large_M = small_M == _LARGE
    size = int(np.count_nonzero(large_M))
    if large_L is None or large_L.dtype != np.int32 or large_L.shape != (size,):
        raise ValueError(f"the array '{name}.large' is missing or of another size")
    values_M: NDArray[np.int32] = small_M.astype(np.int32)
    values_M[large_M] = large_L
    if size and large_L.min() < _LARGE:
        raise ValueError(f"the array '{name}.large' holds small numbers")
    return values_M


def read_counts(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read the values and arrays of a file; they are not checked.

    Raises:
        BundleError: missing, truncated, or of another kind or version.
    """
    where = str(path)
    metadata, arrays = read_arrays(path, AGAIN)
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
        facts = json.loads(metadata.get("facts", ""))
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise BundleError("its description is missing or damaged", where=where, hint=AGAIN)
    return facts, arrays


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
    element_M, count_M, ending_M = (
        unpacked(arrays, name) for name in ("element_M", "count_M", "ending_M")
    )
    first_M = np.append(0, np.cumsum(unpacked(arrays, "children_M"), dtype=np.int64)) + 1
    order, vocab_size = fields["order"], fields["vocab_size"]
    _refuse(
        {
            "its order or vocabulary is out of range": vocab_size < 1
            or not 1 <= order <= fields["asked"] <= MOST_ORDER,
            "its opening is out of range": opening is not None and not 0 <= opening < vocab_size,
            "its levels do not fit": len(begin_L) != order + 2
            or begin_L[:3] != [0, 1, 1 + vocab_size],
            "its levels are not in order": sorted(begin_L) != begin_L,
        }
    )
    inner, nodes = begin_L[order:]
    sizes = {"children_M": (first_M, inner + 1), "element_M": (element_M, nodes)}
    sizes |= {"count_M": (count_M, nodes), "ending_M": (ending_M, inner)}
    for name, (array, size) in sizes.items():
        if len(array) != size:
            raise ValueError(f"the array {name!r} is of another size than its levels")
    _refuse(
        {
            "its first node is not the empty sequence": element_M[0],
            "its nodes are not in order": first_M[begin_L[:-1]].tolist() != begin_L[1:],
            "it counts too few openings": opening is not None
            and fields["documents"] > count_M[1 + opening],
        }
    )
    first_M = first_M.astype(np.int32)
    suffix_M = np.zeros(nodes, dtype=np.int32)
    for begin, end in pairwise(begin_L[1:-1]):
        link_level(first_M, element_M, suffix_M, begin, end)
    if not check_nodes(first_M, element_M, suffix_M, count_M, vocab_size):
        raise ValueError("its nodes do not fit together")
    return Trie(
        begin_L=tuple(begin_L), opening=opening, first_M=first_M, element_M=element_M,
        count_M=count_M, ending_M=ending_M, suffix_M=suffix_M, **fields,
    )  # fmt: skip


def _refuse(flaws: Mapping[str, Any]) -> None:
    """Raise a ValueError that names the first flaw found."""
    for flaw, found in flaws.items():
        if found:
            raise ValueError(flaw)

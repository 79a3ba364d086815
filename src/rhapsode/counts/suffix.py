"""Suffix index of a sequence, to find runs of elements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rhapsode.counts import suffix_file, suffix_search
from rhapsode.counts.suffix_sort import fixed, shared_lengths, suffix_order

_WIDTHS: tuple[type[np.unsignedinteger], ...] = (np.uint8, np.uint16, np.uint32)
_NONE = -1
_PROBES = 1024


@dataclass(frozen=True)
class Span:
    """A run of elements of a query that occurs in the sequence.

    Arguments:
        start: where it begins in the query.
        length: elements.
        place: its earliest position in the sequence.
        count: how often it occurs there.
    """

    start: int
    length: int
    place: int
    count: int


@dataclass(frozen=True, eq=False)
class SuffixIndex:
    """A sequence with its suffixes in order.

    Make it with `build` or `from_arrays`. It takes 13 to 17 bytes per element: 12, those of the
    element itself (1, 2 or 4), and an eighth of a byte. Building takes no more, except for ids
    above 65,536 that also exceed the number of elements: numbering these takes 32 bytes per
    element.

    Arguments:
        elements_N: the sequence, uint8, uint16 or uint32.
        order_N: where its suffixes begin, smallest first, int32.
        ranks_N: rank of each suffix in that order, int32.
        shared_N: number of first elements that each suffix in that order shares with the previous
            one, int32.
        separator: an element that no match includes, or None.
    """

    elements_N: NDArray[np.unsignedinteger]
    order_N: NDArray[np.int32]
    ranks_N: NDArray[np.int32]
    shared_N: NDArray[np.int32]
    separator: int | None = None

    @classmethod
    def build(cls, elements_N: ArrayLike, *, separator: int | None = None) -> SuffixIndex:
        """Sort the suffixes of a sequence in linear time.

        Arguments:
            elements_N: whole numbers from 0 to 2^32 - 1, fewer than 2^31 of them. Do not change
                them later: a uint8, uint16 or uint32 array is not copied.
            separator: an element that no match may include, such as the end of a document.

        Raises:
            ValueError: negative, too large or too many numbers.
        """
        known_N = fixed(np.ascontiguousarray(_narrowest(elements_N)))
        order_N = suffix_order(known_N)
        ranks_N = np.empty_like(order_N)
        shared_N = np.empty_like(order_N)
        shared_lengths(known_N, fixed(order_N), ranks_N, shared_N)
        return cls(known_N, fixed(order_N), fixed(ranks_N), fixed(shared_N), separator)

    def __len__(self) -> int:
        return len(self.elements_N)

    @cached_property
    def _sorted(self) -> suffix_search.Sorted:
        minima, levels = suffix_search.block_minima(self.shared_N)
        return suffix_search.Sorted(
            self.elements_N,
            self.order_N,
            self.ranks_N,
            self.shared_N,
            fixed(minima),
            fixed(levels),
            _NONE if self.separator is None else self.separator,
        )

    def interval(self, pattern_M: ArrayLike) -> tuple[int, int]:
        """Ranks of the suffixes that begin with a pattern.

        Returns the first rank, and one past the last.
        """
        low, high = suffix_search.interval(self._sorted, _query(pattern_M))
        return int(low), int(high)

    def count(self, pattern_M: ArrayLike) -> int:
        """Occurrences of a pattern, overlaps included.

        An empty pattern occurs before every element.
        """
        low, high = self.interval(pattern_M)
        return high - low

    def find(self, pattern_M: ArrayLike, *, most: int | None = None) -> NDArray[np.int64]:
        """Places of a pattern.

        Arguments:
            pattern_M: elements.
            most: maximum number of places; the earliest are kept. None: all.

        Returns:
            Places in ascending order.
        """
        low, high = self.interval(pattern_M)
        places = self.order_N[low:high]
        if most is not None and most < len(places):
            places = np.partition(places, most)[:most]
        return np.sort(places).astype(np.int64)

    def matches(self, query_M: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Longest runs that begin at every place of a query.

        A run must occur in the sequence. These are the matching statistics of Chang and Lawler,
        "Sublinear approximate string matching and biological applications", Algorithmica 12, 1994.

        Arguments:
            query_M: whole numbers; those that the sequence lacks, also negative ones, match
                nothing.

        Returns:
            lengths_M, and places_M: a place of each run, not always the earliest; -1 where the
            length is 0.
        """
        known_M = _query(query_M)
        lengths_M = np.zeros(len(known_M), dtype=np.int32)
        places_M = np.full(len(known_M), -1, dtype=np.int32)
        suffix_search.match(self._sorted, known_M, lengths_M, places_M)
        return lengths_M, places_M

    def longest(self, query_M: ArrayLike) -> Span | None:
        """The longest run shared with a query; None without any.

        Of equally long runs it is the first.
        """
        known_M = _query(query_M)
        lengths_M, _ = self.matches(known_M)
        if not lengths_M.any():
            return None
        start = int(lengths_M.argmax())
        length = int(lengths_M[start])
        low, high = self.interval(known_M[start : start + length])
        return Span(start, length, int(self.order_N[low:high].min()), high - low)

    def start(self, rows: int) -> NDArray[np.int64]:
        """State of rows that have written nothing.

        Returns:
            (rows, 3): how many of the last elements written occur as a run in the sequence, and the
            ranks of the suffixes that begin with that run: the first, and one past the last. Rows
            may be selected and copied.
        """
        return np.tile(np.array((0, 0, len(self)), dtype=np.int64), (rows, 1))

    def extend(
        self, state_B3: NDArray[np.int64], elements_B: ArrayLike, *, most: int | None = None
    ) -> NDArray[np.int64]:
        """State after each row has written one more element.

        The given state is left unchanged.

        Arguments:
            state_B3: from `start` or `extend`.
            elements_B: the element that each row wrote.
            most: length of the longest run to follow. `followers` then gives all elements that
                would make it longer.
        """
        if most is not None and most < 0:
            raise ValueError("most is negative")
        new_B3 = np.array(state_B3, dtype=np.int64, order="C")
        written_B = _query(elements_B)
        if new_B3.shape != (len(written_B), 3):
            raise ValueError(f"{len(written_B)} elements for a state of shape {new_B3.shape}")
        longest = len(self) if most is None else most
        suffix_search.extend_rows(self._sorted, longest, written_B, new_B3)
        return new_B3

    def followers(self, state_3: NDArray[np.int64]) -> NDArray[np.unsignedinteger]:
        """Elements that follow the run of a row's state.

        They are in ascending order, without the separator.
        """
        length, low, high = (int(value) for value in state_3)
        places = self.order_N[low:high].astype(np.int64) + length
        found = np.unique(self.elements_N[places[places < len(self)]])
        return found if self.separator is None else found[found != self.separator]

    def stands_alone(self, pattern_M: ArrayLike, inside_V: NDArray[np.bool_]) -> bool:
        """True if a pattern occurs without a neighbour in `inside_V`.

        `inside_V` has a flag for each element.
        """
        known_M = _query(pattern_M)
        low, high = self.interval(known_M)
        found = suffix_search.stands_alone(self._sorted, low, high, len(known_M), inside_V)
        return bool(found)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays that `from_arrays` takes."""
        return {
            "elements": self.elements_N,
            "order": self.order_N,
            "ranks": self.ranks_N,
            "shared": self.shared_N,
        }

    @classmethod
    def from_arrays(cls, arrays: suffix_file.Arrays, separator: Any, path: Path) -> SuffixIndex:
        """Build an index from the arrays of a file.

        The order is not verified, only that nothing out of bounds will be read: wrong arrays with a
        valid checksum give wrong answers, nothing worse.

        Raises:
            BundleError: an array is missing, of another type or size, or points outside.
        """
        try:
            elements_N, order_N, ranks_N, shared_N = known = [
                fixed(arrays[name]) for name in ("elements", "order", "ranks", "shared")
            ]
        except KeyError as problem:
            raise suffix_file.damaged(f"no array {problem}", path) from None
        size = len(elements_N)
        if elements_N.dtype not in _WIDTHS or any(
            array.dtype != np.int32 or array.shape != (size,) for array in known[1:]
        ):
            raise suffix_file.damaged("arrays of other types or sizes", path)
        if separator is not None and (not isinstance(separator, int) or separator < 0):
            raise suffix_file.damaged("a separator that is not an element", path)
        if size:
            for array in (order_N, ranks_N):
                if array.min() < 0 or array.max() >= size:
                    raise suffix_file.damaged("a place outside the sequence", path)
            probes = np.linspace(0, size - 1, min(size, _PROBES)).astype(np.int64)
            if not np.array_equal(ranks_N[order_N[probes]], probes):
                raise suffix_file.damaged("places and ranks that do not fit", path)
        return cls(elements_N, order_N, ranks_N, shared_N, separator)


def _narrowest(elements_N: ArrayLike) -> NDArray[np.unsignedinteger]:
    """Whole numbers in as few bytes as they need."""
    array = np.asarray(elements_N)
    if not array.size:
        return np.zeros(0, dtype=np.uint8)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError("elements are whole numbers along one axis")
    if array.size >= 1 << 31:
        raise ValueError("a suffix index takes fewer than 2^31 elements")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= 1 << 32:
        raise ValueError("elements are from 0 to 2^32 - 1")
    if array.dtype in _WIDTHS:
        return array
    width = next(width for width in _WIDTHS if high <= np.iinfo(width).max)
    return array.astype(width)


def _query(pattern_M: ArrayLike) -> NDArray[np.int64]:
    """Whole numbers along one axis, as compiled code takes them."""
    array = np.asarray(pattern_M)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError("elements are whole numbers along one axis")
    return np.ascontiguousarray(array, dtype=np.int64)

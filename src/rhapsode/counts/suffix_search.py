"""Search in sorted suffixes.

No array is read out of bounds, whatever it holds.

A run of elements is held as an *interval*: the suffixes at the ranks from `low` to below `high`,
which share their first `length` elements. `narrow` adds an element at the end of a run, `shorten`
drops its first one: together they follow a text through the sequence, as a suffix tree would; see
Abouelhoda, Kurtz and Ohlebusch, "Replacing suffix trees with enhanced suffix arrays", Journal of
Discrete Algorithms 2(1), 2004.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhapsode.compiling import compiled
from rhapsode.counts.suffix_sort import Elements, Places

_BITS = 5
_BLOCK = 1 << _BITS
Levels = NDArray[np.int64]


class Sorted(NamedTuple):
    """A sequence with its suffixes in order, for compiled code.

    Arguments:
        elements_N: the sequence.
        order_N: where its suffixes begin, smallest first.
        ranks_N: rank of each suffix in that order.
        shared_N: number of first elements that each suffix in that order shares with the previous
            one.
        minima: from `block_minima`.
        levels: from `block_minima`, too.
        separator: an element that no match includes, or -1.
    """

    elements_N: Elements
    order_N: Places
    ranks_N: Places
    shared_N: Places
    minima: Places
    levels: Levels
    separator: int


def block_minima(shared_N: Places) -> tuple[Places, Levels]:
    """Hierarchical minima of blocks of 32 numbers.

    A level holds the minima of every 32 numbers of the level below.

    Arguments:
        shared_N: (N,).

    Returns:
        All levels joined, fewer than N / 31 + 8 numbers; and where each level begins, followed by
        the end.
    """
    levels = []
    starts = [0]
    below = np.asarray(shared_N)
    while True:
        above = (
            np.minimum.reduceat(below, np.arange(0, len(below), _BLOCK)) if len(below) else below
        )
        levels.append(above)
        starts.append(starts[-1] + len(above))
        if len(above) <= _BLOCK:
            return np.concatenate(levels), np.array(starts, dtype=np.int64)
        below = above


@compiled
def _at_or_before(known: Sorted, rank: int, length: int) -> int:
    """Last rank up to `rank` that shares less than `length`, or 0.

    A suffix shares its first elements with its predecessor.
    """
    x = rank
    begin = (x >> _BITS) << _BITS
    while x >= begin:
        if known.shared_N[x] < length:
            return x
        x -= 1
    if x < 0:
        return 0
    level = 0
    x >>= _BITS
    while True:
        begin = (x >> _BITS) << _BITS
        while x >= begin and known.minima[known.levels[level] + x] >= length:
            x -= 1
        if x >= begin:
            break
        if x < 0:
            return 0
        x >>= _BITS
        level += 1
    while level > 0:
        level -= 1
        x = min((x << _BITS) + _BLOCK, known.levels[level + 1] - known.levels[level]) - 1
        while known.minima[known.levels[level] + x] >= length:
            x -= 1
    x = min((x << _BITS) + _BLOCK, len(known.shared_N)) - 1
    while known.shared_N[x] >= length:
        x -= 1
    return x


@compiled
def _at_or_behind(known: Sorted, rank: int, length: int) -> int:
    """First rank from `rank` on that shares less than `length`, or N.

    A suffix shares its first elements with its predecessor.
    """
    size = len(known.shared_N)
    x = rank
    end = min(((x >> _BITS) + 1) << _BITS, size)
    while x < end:
        if known.shared_N[x] < length:
            return x
        x += 1
    if x >= size:
        return size
    level = 0
    x >>= _BITS
    while True:
        count = known.levels[level + 1] - known.levels[level]
        end = min(((x >> _BITS) + 1) << _BITS, count)
        while x < end and known.minima[known.levels[level] + x] >= length:
            x += 1
        if x < end:
            break
        if x >= count:
            return size
        x >>= _BITS
        level += 1
    while level > 0:
        level -= 1
        x <<= _BITS
        while known.minima[known.levels[level] + x] >= length:
            x += 1
    x <<= _BITS
    while known.shared_N[x] >= length:
        x += 1
    return x


@compiled
def narrow(known: Sorted, length: int, low: int, high: int, element: int) -> tuple[int, int]:
    """The part of an interval whose next element is `element`; possibly empty."""
    size = len(known.elements_N)
    first = low
    end = high
    while first < end:
        middle = (first + end) >> 1
        place = known.order_N[middle] + length
        if place < size and known.elements_N[place] >= element:
            end = middle
        else:
            first = middle + 1
    # Usually few suffixes match, or all do.
    last = first
    step = 1
    end = high
    while last < high:
        middle = min(last + step, high) - 1
        place = known.order_N[middle] + length
        if place < size and known.elements_N[place] > element:
            end = middle
            break
        last = middle + 1
        step <<= 1
    while last < end:
        middle = (last + end) >> 1
        place = known.order_N[middle] + length
        if place < size and known.elements_N[place] > element:
            end = middle
        else:
            last = middle + 1
    return first, last


@compiled
def shorten(known: Sorted, length: int, low: int) -> tuple[int, int, int]:
    """The interval without its first element; `length` is at least 1."""
    size = len(known.order_N)
    place = known.order_N[low] + 1
    if length < 2 or place >= size:
        return 0, 0, size
    rank = known.ranks_N[place]
    first = _at_or_before(known, rank, length - 1)
    end = _at_or_behind(known, rank + 1, length - 1)
    return length - 1, first, end


@compiled
def interval(known: Sorted, pattern_M: NDArray[np.int64]) -> tuple[int, int]:
    """Ranks of the suffixes that begin with a pattern.

    Returns the first rank, and one past the last.
    """
    low = 0
    high = len(known.order_N)
    for i in range(len(pattern_M)):
        element = pattern_M[i]
        if element == known.separator or element < 0:
            return 0, 0
        low, high = narrow(known, i, low, high, element)
        if low >= high:
            return 0, 0
    return low, high


@compiled
def match(known: Sorted, query_M: NDArray[np.int64], lengths_M: Places, places_M: Places) -> None:
    """Write the longest run from every place of a query.

    `places_M` gets a place of each run; -1 for none.
    """
    size = len(known.order_N)
    length, low, high = 0, 0, size
    for i in range(len(query_M) + 1):
        while True:
            if i < len(query_M):
                element = query_M[i]
                if element != known.separator and element >= 0:
                    first, last = narrow(known, length, low, high, element)
                    if first < last:
                        length += 1
                        low, high = first, last
                        break
            if length == 0:
                if i < len(query_M):
                    lengths_M[i] = 0
                    places_M[i] = -1
                break
            count = high - low
            while length > 0:
                lengths_M[i - length] = length
                places_M[i - length] = known.order_N[low]
                length, low, high = shorten(known, length, low)
                # A run that occurs no more often than before has no new followers.
                if high - low != count:
                    break


@compiled
def extend_rows(
    known: Sorted, most: int, elements_B: NDArray[np.int64], state_B3: NDArray[np.int64]
) -> None:
    """Extend every row's interval by an element, in place.

    First elements are dropped until the run occurs.
    """
    size = len(known.order_N)
    for row in range(len(elements_B)):
        element = elements_B[row]
        length, low, high = state_B3[row, 0], state_B3[row, 1], state_B3[row, 2]
        # States come from outside: nothing out of bounds may be read, whatever their values.
        if length < 0 or length > size or low < 0 or high > size or low >= high:
            length, low, high = 0, 0, size
        if element == known.separator or element < 0:
            length, low, high = 0, 0, size
        else:
            while True:
                first, last = narrow(known, length, low, high, element)
                if first < last:
                    length += 1
                    low, high = first, last
                    break
                if length == 0:
                    break
                length, low, high = shorten(known, length, low)
            while length > most:
                length, low, high = shorten(known, length, low)
        state_B3[row, 0] = length
        state_B3[row, 1] = low
        state_B3[row, 2] = high


@compiled
def stands_alone(
    known: Sorted, low: int, high: int, length: int, inside_V: NDArray[np.bool_]
) -> bool:
    """True if a run occurs without a neighbour in `inside_V`."""
    size = len(known.elements_N)
    for rank in range(low, high):
        before = known.order_N[rank] - 1
        behind = known.order_N[rank] + length
        if (
            before >= 0
            and known.elements_N[before] < len(inside_V)
            and inside_V[known.elements_N[before]]
        ):
            continue
        if (
            behind < size
            and known.elements_N[behind] < len(inside_V)
            and inside_V[known.elements_N[behind]]
        ):
            continue
        return True
    return False

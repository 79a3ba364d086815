"""Sorting all suffixes of a sequence in linear time.

Induced sorting: Nong, Zhang and Chan, "Two Efficient Algorithms for Linear Time Suffix Array
Construction", IEEE Transactions on Computers 60(10), 2011. A suffix is *rising* (type S) when it is
smaller than the next one, else *falling* (type L); a *valley* (LMS) is a rising suffix after
a falling one. Sorted valleys induce the order of all others in two passes. The valleys themselves
are sorted by naming the stretches between them and solving the sequence of names, at most half as
long, in the part of the array that is still free.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.compiling import compiled

Array = TypeVar("Array", bound=NDArray[Any])
Elements = NDArray[np.unsignedinteger]
Places = NDArray[np.int32]
Counts = NDArray[np.uint32]


def fixed(array: Array) -> Array:
    """A read-only view of an array.

    Mapped arrays are read-only, too, so that functions are compiled once for both.
    """
    view = array.view()
    view.flags.writeable = False
    return view


def suffix_order(elements_N: Elements) -> Places:
    """Starts of the suffixes of a sequence, smallest first.

    A suffix comes before longer ones that begin with it.

    Linear time. Besides its input and its result it needs 8 bytes for each number up to the largest
    element, and up to 8 for each different stretch between two valleys: under 8 bytes per element
    in all.

    Arguments:
        elements_N: uint8, uint16 or uint32; fewer than 2^31.

    Returns:
        int32, (N,).
    """
    order_N = np.empty(len(elements_N), dtype=np.int32)
    if len(elements_N):
        top = int(elements_N.max())
        if top > max(len(elements_N), 1 << 16):
            # Buckets are counted up to the largest element: few but large ones are numbered first.
            numbers_N = np.unique(elements_N, return_inverse=True)[1].astype(np.uint32)
            _sort(fixed(numbers_N), int(numbers_N.max()) + 1, order_N)
        else:
            _sort(fixed(np.ascontiguousarray(elements_N)), top + 1, order_N)
    return order_N


def _sort(elements_N: Elements, size: int, order_N: Places) -> None:
    """Fill `order_N`; elements are below `size`."""
    counts_V = _count(elements_N, size)
    valleys, names = _sort_stretches(elements_N, counts_V, np.empty_like(counts_V), order_N)
    if names < valleys:
        del counts_V
        names_M = order_N[len(order_N) - valleys :].view(np.uint32)
        _sort(fixed(names_M), names, order_N[:valleys])
        _to_places(elements_N, order_N, valleys)
        counts_V = _count(elements_N, size)
    _induce(elements_N, counts_V, np.empty_like(counts_V), order_N, valleys)


@compiled
def _count(elements_N: Elements, size: int) -> Counts:
    counts_V = np.zeros(size, dtype=np.uint32)
    for i in range(len(elements_N)):
        counts_V[elements_N[i]] += 1
    return counts_V


@compiled
def _begins(counts_V: Counts, next_V: Counts) -> None:
    total = 0
    for i in range(len(counts_V)):
        next_V[i] = total
        total += counts_V[i]


@compiled
def _ends(counts_V: Counts, next_V: Counts) -> None:
    total = 0
    for i in range(len(counts_V)):
        total += counts_V[i]
        next_V[i] = total


@compiled
def _sort_stretches(
    elements_N: Elements, counts_V: Counts, next_V: Counts, order_N: Places
) -> tuple[int, int]:
    """Sort the stretches between valleys and name them by their rank.

    Returns:
        how many valleys there are, and how many different names. When all differ, the valleys lie
        sorted at the front of `order_N`; else the names, in the order of the sequence, at its end.
    """
    length = len(elements_N)
    _ends(counts_V, next_V)
    for i in range(length):
        order_N[i] = 0
    valleys = 0
    rising = False
    for i in range(length - 1, 0, -1):
        here = elements_N[i]
        rises = elements_N[i - 1] < here or (rising and elements_N[i - 1] == here)
        if rising and not rises:
            next_V[here] -= 1
            order_N[next_V[here]] = i
            valleys += 1
        rising = rises
    if valleys < 2:
        for i in range(length):
            if order_N[i] > 0:
                order_N[0] = order_N[i]
        return valleys, valleys

    # Falling ones, from small to large. A positive entry places the suffix before it; a negative
    # one waits for the second pass, because the suffix before it is rising. Used entries are
    # cleared.
    _begins(counts_V, next_V)
    place = length - 1
    element = elements_N[place]
    order_N[next_V[element]] = ~place if elements_N[place - 1] < element else place
    next_V[element] += 1
    for i in range(length):
        place = order_N[i]
        if place > 0:
            place -= 1
            element = elements_N[place]
            waits = place > 0 and elements_N[place - 1] < element
            order_N[next_V[element]] = ~place if waits else place
            next_V[element] += 1
            order_N[i] = 0
        elif place < 0:
            order_N[i] = ~place
    # Rising ones, from large to small; negative entries are the valleys, now sorted.
    _ends(counts_V, next_V)
    for i in range(length - 1, -1, -1):
        place = order_N[i]
        if place > 0:
            place -= 1
            element = elements_N[place]
            next_V[element] -= 1
            valley = place > 0 and elements_N[place - 1] > element
            order_N[next_V[element]] = ~place if valley else place
            order_N[i] = 0
    found = 0
    for i in range(length):
        place = order_N[i]
        if place < 0:
            order_N[found] = ~place
            found += 1

    # Two valleys are never neighbours, so half the array holds something for each.
    for i in range(valleys, length):
        order_N[i] = 0
    end = length
    rising = False
    for i in range(length - 1, 0, -1):
        here = elements_N[i]
        rises = elements_N[i - 1] < here or (rising and elements_N[i - 1] == here)
        if rising and not rises:
            order_N[valleys + (i >> 1)] = end - i
            end = i
        rising = rises
    names = 0
    last = 0
    last_size = -1
    for i in range(valleys):
        place = order_N[i]
        size = order_N[valleys + (place >> 1)]
        same = size == last_size
        if same:
            k = 0
            while k < size and elements_N[place + k] == elements_N[last + k]:
                k += 1
            same = k == size
        if not same:
            names += 1
            last = place
            last_size = size
        order_N[valleys + (place >> 1)] = names
    if names < valleys:
        write = length - 1
        for i in range(valleys + length // 2 - 1, valleys - 1, -1):
            if order_N[i] > 0:
                order_N[write] = order_N[i] - 1
                write -= 1
    return valleys, names


@compiled
def _to_places(elements_N: Elements, order_N: Places, valleys: int) -> None:
    """Turn numbers of valleys at the front of `order_N` into their places."""
    length = len(elements_N)
    write = length - 1
    rising = False
    for i in range(length - 1, 0, -1):
        here = elements_N[i]
        rises = elements_N[i - 1] < here or (rising and elements_N[i - 1] == here)
        if rising and not rises:
            order_N[write] = i
            write -= 1
        rising = rises
    for i in range(valleys):
        order_N[i] = order_N[length - valleys + order_N[i]]


@compiled
def _induce(
    elements_N: Elements, counts_V: Counts, next_V: Counts, order_N: Places, valleys: int
) -> None:
    """Sort all suffixes, given the sorted valleys at the front of `order_N`."""
    length = len(elements_N)
    _ends(counts_V, next_V)
    for i in range(valleys, length):
        order_N[i] = 0
    for i in range(valleys - 1, -1, -1):
        place = order_N[i]
        order_N[i] = 0
        element = elements_N[place]
        next_V[element] -= 1
        order_N[next_V[element]] = place
    _begins(counts_V, next_V)
    place = length - 1
    element = elements_N[place]
    waits = place > 0 and elements_N[place - 1] < element
    order_N[next_V[element]] = ~place if waits else place
    next_V[element] += 1
    for i in range(length):
        place = order_N[i]
        order_N[i] = ~place
        if place > 0:
            place -= 1
            element = elements_N[place]
            waits = place > 0 and elements_N[place - 1] < element
            order_N[next_V[element]] = ~place if waits else place
            next_V[element] += 1
    _ends(counts_V, next_V)
    for i in range(length - 1, -1, -1):
        place = order_N[i]
        if place > 0:
            place -= 1
            element = elements_N[place]
            next_V[element] -= 1
            done = place == 0 or elements_N[place - 1] > element
            order_N[next_V[element]] = ~place if done else place
        else:
            order_N[i] = ~place


@compiled
def shared_lengths(
    elements_N: Elements, order_N: Places, ranks_N: Places, shared_N: Places
) -> None:
    """Write the rank and the shared length of every suffix.

    A suffix shares its first elements with the previous one in order.

    Kasai, Lee, Arimura, Arikawa and Park, "Linear-Time Longest-Common-Prefix Computation in Suffix
    Arrays", 2001.

    Arguments:
        elements_N: the sequence.
        order_N: its suffixes in order.
        ranks_N: filled with the rank of each suffix.
        shared_N: filled with the shared lengths; 0 for the first.
    """
    length = len(elements_N)
    for i in range(length):
        ranks_N[order_N[i]] = i
    same = 0
    for i in range(length):
        rank = ranks_N[i]
        if rank == 0:
            shared_N[0] = 0
            same = 0
            continue
        other = order_N[rank - 1]
        most = length - max(i, other)
        while same < most and elements_N[i + same] == elements_N[other + same]:
            same += 1
        shared_N[rank] = same
        if same > 0:
            same -= 1

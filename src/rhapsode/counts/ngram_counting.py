"""Compiled loops that count sequences.

Nodes are numbered level by level: 0 is the empty sequence, 1 + id the element `id`, then all pairs
in order, and so on. The children of a node lie side by side, ordered by element, from
`first_M[node]` up to `first_M[node + 1]`. `suffix_M[node]` is the same sequence without its first
element.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

import numpy as np
from numpy.typing import NDArray

from rhapsode.compiling import compiled

Ints = NDArray[np.int32]
Keys = NDArray[np.int64]


@compiled
def find_child(first_M: Ints, element_M: Ints, node: int, element: int) -> int:
    """Node of a sequence extended by one element; -1 if unknown."""
    if node == 0:
        return 1 + element
    low = first_M[node]
    end = first_M[node + 1]
    high = end
    while low < high:
        middle = (low + high) >> 1
        if element_M[middle] < element:
            low = middle + 1
        else:
            high = middle
    if low < end and element_M[low] == element:
        return int(low)
    return -1


@compiled
def gather_keys(
    text_T: Ints,
    size: int,
    stops_N: NDArray[np.int64],
    level: int,
    low: int,
    high: int,
    first_M: Ints,
    element_M: Ints,
    suffix_M: Ints,
    bits: int,
    digits: int,
    keys_N: Keys,
    filled: int,
) -> int:
    """Append the keys of known sequences and the elements after them.

    Sequences begin at one of the first `size` positions and have at least one element after them. A
    key is the node of the sequence of `level` elements, minus `low`, followed by the next `digits`
    elements, each plus one in `bits` bits; 0 after the end of the document. Only nodes from `low`
    up to `high` are used. `stops_N` holds, in order, where documents begin after position 0, and
    finally where the text ends.
    """
    stop = 0
    node = -1
    for i in range(size):
        while stops_N[stop] <= i:
            stop += 1
        room = stops_N[stop] - i
        if room <= level:
            node = -1
            continue
        if level == 1:
            node = 1 + text_T[i]
        else:
            context = 0
            if node < 0:
                for j in range(level - 1):
                    context = find_child(first_M, element_M, context, text_T[i + j])
            else:
                context = suffix_M[node]
            node = find_child(first_M, element_M, context, text_T[i + level - 1])
        if low <= node < high:
            key = node - low
            for j in range(level, level + digits):
                key <<= bits
                if j < room:
                    key |= text_T[i + j] + 1
            keys_N[filled] = key
            filled += 1
    return filled


@compiled
def count_nodes(keys_N: Keys, bits: int, digits: int) -> NDArray[np.int64]:
    """Count the distinct sequences in ordered keys.

    There is one number for each length, from one to `digits` elements after a node.
    """
    nodes_L = np.zeros(digits, dtype=np.int64)
    mask = (1 << bits) - 1
    for i in range(len(keys_N)):
        key = keys_N[i]
        if i > 0 and key == keys_N[i - 1]:
            continue
        for d in range(digits):
            shift = (digits - 1 - d) * bits
            prefix = key >> shift
            if prefix & mask == 0:
                break
            if i == 0 or prefix != keys_N[i - 1] >> shift:
                nodes_L[d] += 1
    return nodes_L


@compiled
def fill_level(
    keys_N: Keys,
    bits: int,
    after: int,
    direct: bool,
    element_M: Ints,
    count_M: Ints,
    children_M: Ints,
) -> None:
    """Write the nodes of one level from ordered keys.

    The last `after` digits of a key belong to deeper levels. `children_M`, initially zero, counts
    the nodes by parent: by the key's own node if `direct`, else by the nodes of the level above in
    order.
    """
    mask = (1 << bits) - 1
    shift = after * bits
    made = -1
    parent = -1
    digit = 0
    last = 0
    for i in range(len(keys_N)):
        prefix = keys_N[i] >> shift
        if i == 0 or prefix != last:
            digit = prefix & mask
            above = prefix >> bits
            if direct:
                parent = above
            elif (i == 0 or above != last >> bits) and above & mask != 0:
                parent += 1
            last = prefix
            if digit != 0:
                made += 1
                element_M[made] = digit - 1
                count_M[made] = 0
                children_M[parent] += 1
        if digit != 0:
            count_M[made] += 1


@compiled
def keep_repeated(
    keys_N: Keys,
    bits: int,
    low: int,
    first_M: Ints,
    element_M: Ints,
    suffix_M: Ints,
    endings_M: Ints,
    new_element_M: Ints,
    new_count_M: Ints,
    children_M: Ints,
) -> tuple[int, int]:
    """Write the nodes of one level that occur at least twice.

    Returns their number, and the number of sequences that occur once. `endings_M` counts, for every
    node of the level above, the different sequences of this level that end with it.
    """
    mask = (1 << bits) - 1
    made = 0
    once = 0
    i = 0
    while i < len(keys_N):
        key = keys_N[i]
        j = i + 1
        while j < len(keys_N) and keys_N[j] == key:
            j += 1
        parent = key >> bits
        element = (key & mask) - 1
        endings_M[find_child(first_M, element_M, suffix_M[low + parent], element)] += 1
        if j - i > 1:
            new_element_M[made] = element
            new_count_M[made] = j - i
            children_M[parent] += 1
            made += 1
        else:
            once += 1
        i = j
    return made, once


@compiled
def link_level(first_M: Ints, element_M: Ints, suffix_M: Ints, begin: int, end: int) -> None:
    """Write the suffixes of the children of a range of nodes.

    The nodes are those from `begin` up to `end`.
    """
    for node in range(begin, end):
        low = first_M[suffix_M[node]]
        high = first_M[suffix_M[node] + 1]
        for child in range(first_M[node], first_M[node + 1]):
            if node == 0:
                suffix_M[child] = 0
                continue
            element = element_M[child]
            # Both lists of children are sorted, so the search goes on after the previous match.
            at = low
            stop = high
            while at < stop:
                middle = (at + stop) >> 1
                if element_M[middle] < element:
                    at = middle + 1
                else:
                    stop = middle
            suffix_M[child] = min(at, high)  # beyond it only where nodes of a file are damaged
            low = at + 1


@compiled
def count_endings(suffix_M: Ints, begin: int, end: int, endings_M: Ints) -> None:
    """Count the sequences that end with each node.

    The sequences are the nodes from `begin` up to `end`.
    """
    for node in range(begin, end):
        endings_M[suffix_M[node]] += 1


@compiled
def count_openings(
    text_T: Ints,
    starts_N: NDArray[np.int64],
    stops_N: NDArray[np.int64],
    least: int,
    levels: int,
    first_M: Ints,
    element_M: Ints,
    endings_M: Ints,
) -> None:
    """Count document beginnings as endings of their first `least` to `levels` elements."""
    stop = 0
    for start in starts_N:
        while stops_N[stop] <= start:
            stop += 1
        node = 0
        for i in range(start, min(start + levels, stops_N[stop])):
            node = find_child(first_M, element_M, node, text_T[i])
            if i - start >= least - 1:
                endings_M[node] += 1


@compiled
def check_nodes(
    first_M: Ints, element_M: Ints, suffix_M: Ints, count_M: Ints, vocab_size: int
) -> bool:
    """True if the children of all nodes are sorted, linked and counted.

    The nodes are those that have an entry in `first_M`.
    """
    for node in range(len(first_M) - 1):
        last = -1
        total = 0
        for child in range(first_M[node], first_M[node + 1]):
            element = element_M[child]
            if element <= last or element >= vocab_size:
                return False
            last = element
            total += count_M[child]
            if node > 0 and count_M[child] < 1:
                return False
            suffix = suffix_M[child]
            if node == 0:
                if suffix != 0:
                    return False
                continue
            above = suffix_M[node]
            if suffix < first_M[above] or suffix >= first_M[above + 1]:
                return False
            if element_M[suffix] != element:
                return False
        if total > count_M[node]:
            return False
    return True

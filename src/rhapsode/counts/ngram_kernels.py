"""The compiled loops of the n-gram model: counting sequences, smoothing counts, reading along a text.

Nodes are numbered level by level: 0 is the empty sequence, 1 + id the element `id`, then all pairs in order, and so
on. The children of a node lie side by side, ordered by element, from `first_M[node]` up to `first_M[node + 1]`.
`suffix_M[node]` is the same sequence without its first element.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.counts.compiled import compiled

__all__ = [
    "check_nodes",
    "count_endings",
    "count_nodes",
    "count_openings",
    "counts_of_counts",
    "fill_level",
    "gather_keys",
    "keep_repeated",
    "link_level",
    "read_rows",
    "score_rows",
    "score_text",
    "smooth_level",
    "spread_rows",
]

Ints = NDArray[np.int32]
Keys = NDArray[np.int64]
Floats = NDArray[np.float64]


@compiled
def find_child(first_M: Ints, element_M: Ints, node: int, element: int) -> int:
    """The node of a sequence and one more element; -1 when it is not known."""
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


# Counting


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
    """Append a key for each of the first `size` positions that begins a known sequence with something behind it.

    A key is the node of the sequence of `level` elements, less `low`, and the `digits` elements behind it, each plus
    one in `bits` bits; 0 where the document has ended. Only nodes from `low` up to `high` count. `stops_N` tells where
    documents begin behind position 0, in order, and last where the text ends.
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
    """How many different sequences ordered keys hold, for one up to `digits` elements more than their nodes."""
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
    """Write the nodes of one level off ordered keys, `after` digits of which belong to deeper levels.

    `children_M`, zero before, counts them by parent: by the key's own node when `direct`, else by the nodes of the
    level above in order.
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
    """Write the nodes of one level that occur at least twice; how many there are, and how many occur once.

    `endings_M` counts, for every node of the level above, the different sequences of this level that end with it.
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
    """Write the suffixes of the children of the nodes from `begin` up to `end`."""
    for node in range(begin, end):
        low = first_M[suffix_M[node]]
        high = first_M[suffix_M[node] + 1]
        for child in range(first_M[node], first_M[node + 1]):
            if node == 0:
                suffix_M[child] = 0
                continue
            element = element_M[child]
            # Both families are in order: what one child passed over, the next need not look at.
            at = low
            stop = high
            while at < stop:
                middle = (at + stop) >> 1
                if element_M[middle] < element:
                    at = middle + 1
                else:
                    stop = middle
            suffix_M[child] = at
            low = at + 1


@compiled
def count_endings(suffix_M: Ints, begin: int, end: int, endings_M: Ints) -> None:
    """Count the different sequences that end with each node, off the nodes from `begin` up to `end`."""
    for node in range(begin, end):
        endings_M[suffix_M[node]] += 1


@compiled
def count_openings(
    text_T: Ints,
    starts_N: NDArray[np.int64],
    stops_N: NDArray[np.int64],
    levels: int,
    first_M: Ints,
    element_M: Ints,
    seen_M: NDArray[np.bool_],
    endings_M: Ints,
) -> None:
    """Count the beginning of a document as one more way to come to what opens it, once for each node."""
    stop = 0
    for start in starts_N:
        while stops_N[stop] <= start:
            stop += 1
        node = 0
        for i in range(start, min(start + levels, stops_N[stop])):
            node = find_child(first_M, element_M, node, text_T[i])
            if not seen_M[node]:
                seen_M[node] = True
                endings_M[node] += 1


# Smoothing


@compiled
def counts_of_counts(count_M: Ints, begin: int, end: int) -> NDArray[np.int64]:
    """How many of the nodes from `begin` up to `end` have a count of 1, 2, 3 and 4."""
    found_4 = np.zeros(4, dtype=np.int64)
    for node in range(begin, end):
        if 1 <= count_M[node] <= 4:
            found_4[count_M[node] - 1] += 1
    return found_4


@compiled
def smooth_level(
    first_M: Ints,
    suffix_M: Ints,
    used_M: Ints,
    count_M: Ints,
    begin: int,
    end: int,
    discount_4: Floats,
    whole: bool,
    floor: float,
    share_M: Floats,
    rest_M: Floats,
) -> None:
    """Write the probabilities of the children of the nodes from `begin` up to `end`, and what each leaves to its suffix.

    `used_M` holds the counts that the children are smoothed by, `discount_4` what is taken off a count of 0, 1, 2 and
    3 or more. Unless `whole`, children that occur once are missing: their share goes to the suffix. `floor` is the
    probability of an element of which nothing is known.
    """
    for node in range(begin, end):
        total = 0
        taken = 0.0
        for child in range(first_M[node], first_M[node + 1]):
            total += used_M[child]
            taken += discount_4[min(used_M[child], 3)]
        if not whole:
            taken += count_M[node] - total
            total = int(count_M[node])
        rest = taken / total if total > 0 else 1.0
        rest_M[node] = rest
        for child in range(first_M[node], first_M[node + 1]):
            below = floor if node == 0 else share_M[suffix_M[child]]
            share = rest * below
            if total > 0:
                share += (used_M[child] - discount_4[min(used_M[child], 3)]) / total
            share_M[child] = share


# Reading


@compiled
def read_one(
    first_M: Ints,
    element_M: Ints,
    suffix_M: Ints,
    share_M: Floats,
    rest_M: Floats,
    node: int,
    element: int,
) -> tuple[float, int]:
    """The probability of an element behind a node, and the node behind it, whose children are in use too."""
    weight = 1.0
    while True:
        child = find_child(first_M, element_M, node, element)
        if child >= 0:
            share = weight * share_M[child]
            # Nodes without a rest are of the last level in use.
            if child >= len(rest_M):
                child = int(suffix_M[child])
            return share, child
        weight *= rest_M[node]
        node = suffix_M[node]


@compiled
def score_text(
    first_M: Ints,
    element_M: Ints,
    suffix_M: Ints,
    share_M: Floats,
    rest_M: Floats,
    text_T: Ints,
    starts_N: NDArray[np.int64],
    node: int,
    log_prob_T: NDArray[np.float64],
) -> int:
    """Write the log-probability of each element; the node behind the last. Histories end at `starts_N`, in order."""
    start = 0
    for i in range(len(text_T)):
        if start < len(starts_N) and starts_N[start] == i:
            node = 0
            start += 1
        share, node = read_one(first_M, element_M, suffix_M, share_M, rest_M, node, text_T[i])
        log_prob_T[i] = math.log(share)
    return node


@compiled
def read_rows(
    first_M: Ints,
    element_M: Ints,
    suffix_M: Ints,
    share_M: Floats,
    rest_M: Floats,
    elements_BT: Ints,
    node_B: Ints,
) -> None:
    """Read along rows; `node_B` becomes the nodes behind them."""
    for row in range(elements_BT.shape[0]):
        node = int(node_B[row])
        for element in elements_BT[row]:
            _, node = read_one(first_M, element_M, suffix_M, share_M, rest_M, node, element)
        node_B[row] = node


@compiled
def score_rows(
    first_M: Ints,
    element_M: Ints,
    suffix_M: Ints,
    share_M: Floats,
    rest_M: Floats,
    elements_BT: Ints,
    targets_BT: Ints,
    scored_BT: NDArray[np.bool_],
    reset_BT: NDArray[np.bool_],
    node_B: Ints,
    log_prob_BT: NDArray[np.float32],
) -> None:
    """Read along rows and write the log-probability of what follows each element, 0 where it is not scored."""
    for row in range(elements_BT.shape[0]):
        node = int(node_B[row])
        for i in range(elements_BT.shape[1]):
            if reset_BT[row, i]:
                node = 0
            _, node = read_one(
                first_M, element_M, suffix_M, share_M, rest_M, node, elements_BT[row, i]
            )
            log_prob_BT[row, i] = 0
            if scored_BT[row, i]:
                share, _ = read_one(
                    first_M, element_M, suffix_M, share_M, rest_M, node, targets_BT[row, i]
                )
                log_prob_BT[row, i] = math.log(share)
        node_B[row] = node


@compiled
def spread_rows(
    first_M: Ints,
    element_M: Ints,
    suffix_M: Ints,
    share_M: Floats,
    rest_M: Floats,
    node_B: Ints,
    share_BV: Floats,
) -> None:
    """Write the whole distribution of what follows each row's node."""
    path = np.zeros(16, dtype=np.int64)
    for row in range(len(node_B)):
        depth = 0
        node = int(node_B[row])
        weight = 1.0
        while node > 0:
            path[depth] = node
            weight *= rest_M[node]
            depth += 1
            node = int(suffix_M[node])
        for element in range(share_BV.shape[1]):
            share_BV[row, element] = weight * share_M[1 + element]
        # From the shortest history to the longest: what a longer one knows replaces the rest.
        while depth > 0:
            depth -= 1
            weight = 1.0
            for longer in range(depth):
                weight *= rest_M[path[longer]]
            node = path[depth]
            for child in range(first_M[node], first_M[node + 1]):
                share_BV[row, element_M[child]] = weight * share_M[child]


# Files


@compiled
def check_nodes(
    first_M: Ints, element_M: Ints, suffix_M: Ints, count_M: Ints, vocab_size: int
) -> Any:
    """Whether the children of all nodes that have `first_M` are in order, linked and counted as a text would."""
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

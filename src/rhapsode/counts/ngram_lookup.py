"""Compiled loops that smooth counts and score texts.

Nodes are those of `rhapsode.counts.ngram_counting`.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

import math

import numpy as np
from numpy.typing import NDArray

from rhapsode.compiling import compiled

# Compiled into the cached code of this module: when it changes, this file must change, too.
from rhapsode.counts.ngram_counting import find_child

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Scores = NDArray[np.float32]


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
    """Write the probabilities of the children of a range of nodes.

    The nodes are those from `begin` up to `end`. `rest_M` gets the probability that each node
    leaves to its suffix.

    `used_M` holds the counts that are smoothed, `discount_4` the discounts of counts of 0, 1, 2 and
    3 or more. Unless `whole`, children that occur once are missing: their probability goes to the
    suffix. `floor` is the probability of an element at order 0.
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
    """Probability of an element after a node, and the next node.

    The next node is of a level whose children are in use.
    """
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
    """Write the log-probabilities of elements and return the last node.

    The history is reset at `starts_N`, which are in ascending order.
    """
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
    """Read rows and update `node_B` to the nodes after them."""
    for row in range(elements_BT.shape[0]):
        node = int(node_B[row])
        for element in elements_BT[row]:
            _, node = read_one(first_M, element_M, suffix_M, share_M, rest_M, node, element)
        node_B[row] = node


@compiled
def spread_one(
    first_M: Ints,
    element_M: Ints,
    suffix_M: Ints,
    share_M: Floats,
    rest_M: Floats,
    node: int,
    share_V: Floats,
) -> None:
    """Write the distribution over all elements after a node."""
    path = np.zeros(8, dtype=np.int64)
    depth = 0
    weight = 1.0
    while node > 0:
        path[depth] = node
        weight *= rest_M[node]
        depth += 1
        node = int(suffix_M[node])
    for element in range(len(share_V)):
        share_V[element] = weight * share_M[1 + element]
    # From the shortest history to the longest: a longer one overwrites its own elements.
    while depth > 0:
        depth -= 1
        weight = 1.0
        for longer in range(depth):
            weight *= rest_M[path[longer]]
        node = path[depth]
        for child in range(first_M[node], first_M[node + 1]):
            share_V[element_M[child]] = weight * share_M[child]


@compiled
def restrict_one(share_V: Floats, allowed_V: NDArray[np.bool_]) -> None:
    """Normalise a distribution over the allowed elements, in place.

    The others get 0. If all are allowed, nothing changes.
    """
    total = 0.0
    whole = True
    for element in range(len(share_V)):
        if allowed_V[element]:
            total += share_V[element]
        else:
            whole = False
    if whole:
        return
    for element in range(len(share_V)):
        share_V[element] = share_V[element] / total if allowed_V[element] else 0.0


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
    restricted: bool,
    allowed_BTV: NDArray[np.bool_],
    log_prob_BT: Scores,
) -> None:
    """Read rows and write the log-probabilities of targets.

    Targets that are not scored get 0. If `restricted`, every distribution is normalised over the
    elements that are allowed after the element read.
    """
    share_V = np.empty(allowed_BTV.shape[2])
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
                target = targets_BT[row, i]
                if not restricted or allowed_BTV[row, i].all():
                    share, _ = read_one(first_M, element_M, suffix_M, share_M, rest_M, node, target)
                else:
                    spread_one(first_M, element_M, suffix_M, share_M, rest_M, node, share_V)
                    restrict_one(share_V, allowed_BTV[row, i])
                    share = share_V[target]
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
    """Write the distribution over all elements after each row's node."""
    for row in range(len(node_B)):
        node = int(node_B[row])
        spread_one(first_M, element_M, suffix_M, share_M, rest_M, node, share_BV[row])


@compiled
def examine_rows(
    first_M: Ints,
    element_M: Ints,
    suffix_M: Ints,
    share_M: Floats,
    rest_M: Floats,
    elements_BT: Ints,
    targets_BT: Ints,
    reset_BT: NDArray[np.bool_],
    node_B: Ints,
    restricted: bool,
    allowed_BTV: NDArray[np.bool_],
    share_V: Floats,
    log_prob_BT: Scores,
    top_BT: NDArray[np.int64],
    top_log_prob_BT: Scores,
    entropy_BT: Scores,
) -> None:
    """Read rows and describe the distribution after each element.

    `share_V` is scratch memory. If `restricted`, a target that is not allowed gets 0.
    """
    for row in range(elements_BT.shape[0]):
        node = int(node_B[row])
        for i in range(elements_BT.shape[1]):
            if reset_BT[row, i]:
                node = 0
            _, node = read_one(
                first_M, element_M, suffix_M, share_M, rest_M, node, elements_BT[row, i]
            )
            spread_one(first_M, element_M, suffix_M, share_M, rest_M, node, share_V)
            if restricted:
                restrict_one(share_V, allowed_BTV[row, i])
            top = 0
            entropy = 0.0
            for element in range(len(share_V)):
                if share_V[element] > 0.0:
                    entropy -= share_V[element] * math.log(share_V[element])
                if share_V[element] > share_V[top]:
                    top = element
            share = share_V[targets_BT[row, i]]
            log_prob_BT[row, i] = math.log(share) if share > 0.0 else 0.0
            top_BT[row, i] = top
            top_log_prob_BT[row, i] = math.log(share_V[top])
            entropy_BT[row, i] = entropy
        node_B[row] = node

"""The compiled loops that smooth counts and read along a text; nodes are those of `rhapsode.counts.ngram_counting`."""

# ruff: noqa: PLR0917  # compiled code is called by position

import math

import numpy as np
from numpy.typing import NDArray

from rhapsode.compiling import compiled

# Compiled into what is kept here: when it changes, this file must, too.
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
def read_along(
    first_M: Ints,
    element_M: Ints,
    suffix_M: Ints,
    share_M: Floats,
    rest_M: Floats,
    elements_BT: Ints,
    reset_BT: NDArray[np.bool_],
    node_B: Ints,
    node_BT: Ints,
) -> None:
    """Read along rows and write the node behind each element; `node_B` becomes the last ones."""
    for row in range(elements_BT.shape[0]):
        node = int(node_B[row])
        for i in range(elements_BT.shape[1]):
            if reset_BT[row, i]:
                node = 0
            _, node = read_one(
                first_M, element_M, suffix_M, share_M, rest_M, node, elements_BT[row, i]
            )
            node_BT[row, i] = node
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
    """Write the whole distribution of what follows a node."""
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
    # From the shortest history to the longest: what a longer one knows replaces the rest.
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
    """Normalise a distribution over what is allowed, in place.

    The others get 0. Where all are allowed nothing changes.
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
def restrict_all(share_NV: Floats, allowed_NV: NDArray[np.bool_]) -> None:
    """Normalise each distribution over what is allowed, in place."""
    for n in range(len(share_NV)):
        restrict_one(share_NV[n], allowed_NV[n])


@compiled
def spread_nodes(
    first_M: Ints,
    element_M: Ints,
    suffix_M: Ints,
    share_M: Floats,
    rest_M: Floats,
    node_N: Ints,
    share_NV: Floats,
) -> None:
    """Write the whole distribution of what follows each node."""
    for n in range(len(node_N)):
        node = int(node_N[n])
        spread_one(first_M, element_M, suffix_M, share_M, rest_M, node, share_NV[n])


@compiled
def score_nodes(
    first_M: Ints,
    element_M: Ints,
    suffix_M: Ints,
    share_M: Floats,
    rest_M: Floats,
    node_N: Ints,
    targets_N: Ints,
    scored_N: NDArray[np.bool_],
    restricted: bool,
    allowed_NV: NDArray[np.bool_],
    log_prob_N: Scores,
) -> None:
    """Write the log-probability of a target behind each node, 0 where it is not scored.

    Where it is `restricted`, every distribution is normalised over what is allowed behind the node.
    """
    share_V = np.empty(allowed_NV.shape[1])
    for n in range(len(node_N)):
        log_prob_N[n] = 0
        if scored_N[n]:
            node = int(node_N[n])
            target = targets_N[n]
            if not restricted or allowed_NV[n].all():
                share, _ = read_one(first_M, element_M, suffix_M, share_M, rest_M, node, target)
            else:
                spread_one(first_M, element_M, suffix_M, share_M, rest_M, node, share_V)
                restrict_one(share_V, allowed_NV[n])
                share = share_V[target]
            log_prob_N[n] = math.log(share)


@compiled
def examine_nodes(
    first_M: Ints,
    element_M: Ints,
    suffix_M: Ints,
    share_M: Floats,
    rest_M: Floats,
    node_N: Ints,
    targets_N: Ints,
    restricted: bool,
    allowed_NV: NDArray[np.bool_],
    share_V: Floats,
    log_prob_N: Scores,
    top_N: NDArray[np.int64],
    top_log_prob_N: Scores,
    entropy_N: Scores,
) -> None:
    """Describe the distribution behind each node.

    `share_V` is scratch. Where it is `restricted` to what is allowed, a target that is not gets 0.
    """
    for n in range(len(node_N)):
        node = int(node_N[n])
        spread_one(first_M, element_M, suffix_M, share_M, rest_M, node, share_V)
        if restricted:
            restrict_one(share_V, allowed_NV[n])
        top = 0
        entropy = 0.0
        for element in range(len(share_V)):
            if share_V[element] > 0.0:
                entropy -= share_V[element] * math.log(share_V[element])
            if share_V[element] > share_V[top]:
                top = element
        share = share_V[targets_N[n]]
        log_prob_N[n] = math.log(share) if share > 0.0 else 0.0
        top_N[n] = top
        top_log_prob_N[n] = math.log(share_V[top])
        entropy_N[n] = entropy

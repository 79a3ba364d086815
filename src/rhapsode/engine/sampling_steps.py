"""The usual filters and the draw, for one row of logits.

The results equal those of `rhapsode.generation`. Instead of sorting, these functions only find the
value at the border.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

import math
from typing import Any

import numpy as np

from rhapsode.engine.kernels.jit import apart, inner
from rhapsode.engine.kernels.maths import exp64

GREEDY, TEMPERATURE, TOP_K, TOP_P, MIN_P, REPETITION, FREQUENCY, PRESENCE, NONE = range(9)

_NEVER = np.float32(-np.inf)
_ZERO = np.float32(0.0)
_STRANDS = 16
_BLOCK = 128

_U = np.uint64
_M0, _M1 = _U(0xD2511F53), _U(0xCD9E8D57)
_W0, _W1 = _U(0x9E3779B9), _U(0xBB67AE85)
_LOW, _HALF, _FIVE, _SIX = _U(0xFFFFFFFF), _U(32), _U(5), _U(6)


@inner
def uniform(seed: Any, sequence: int, position: int) -> float:
    """The uniform of an element, in [0, 1): see `rhapsode.generation.draw`.

    Arguments:
        seed: uint64.
        sequence: index of the continuation.
        position: of the element.
    """
    c0, c1 = _U(position) & _LOW, _U(position) >> _HALF
    c2, c3 = _U(sequence) & _LOW, _U(0)
    k0, k1 = seed & _LOW, seed >> _HALF
    for _ in range(10):
        product0, product1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (
            (product1 >> _HALF) ^ c1 ^ k0,
            product1 & _LOW,
            (product0 >> _HALF) ^ c3 ^ k1,
            product0 & _LOW,
        )
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    high, low = np.float64(np.int64(c0 >> _FIVE)), np.float64(np.int64(c1 >> _SIX))
    return (high * 67108864.0 + low) / 9007199254740992.0


@inner
def _most(z_V: Any) -> Any:
    """The largest value: sixteen strands side by side, which become one vector."""
    apart()
    size = len(z_V)
    if size < 2 * _STRANDS:
        most = z_V[0]
        for v in range(1, size):
            most = z_V[v] if z_V[v] > most else most  # noqa: FURB136  # no rules for NaN
        return most
    strands = z_V[:_STRANDS].copy()
    for first in range(_STRANDS, size - _STRANDS + 1, _STRANDS):
        here = z_V[first : first + _STRANDS]
        for j in range(_STRANDS):
            strands[j] = here[j] if here[j] > strands[j] else strands[j]  # noqa: FURB136
    rest = z_V[size - _STRANDS :]
    for j in range(_STRANDS):
        strands[j] = rest[j] if rest[j] > strands[j] else strands[j]  # noqa: FURB136
    most = strands[0]
    for j in range(1, _STRANDS):
        most = strands[j] if strands[j] > most else most  # noqa: FURB136
    return most


@inner
def _likeliest(z_V: Any) -> int:
    """The lowest id among the likeliest."""
    apart()
    most = _most(z_V)
    for v in range(len(z_V)):
        if z_V[v] == most:
            return v
    return 0


@inner
def _mass(weight_N: Any) -> float:
    """A sum in four strands."""
    a = b = c = d = 0.0
    whole = len(weight_N) // 4 * 4
    for j in range(0, whole, 4):
        a += weight_N[j]
        b += weight_N[j + 1]
        c += weight_N[j + 2]
        d += weight_N[j + 3]
    for j in range(whole, len(weight_N)):
        a += weight_N[j]
    return (a + b) + (c + d)


@inner
def _weigh(z_V: Any, weight_V: Any) -> float:
    """Probabilities as parts of the largest one; returns the largest logit."""
    apart()
    most = np.float64(_most(z_V))
    for v in range(len(z_V)):
        weight_V[v] = exp64(np.float64(z_V[v]) - most)
    return most


@inner
def complete_row(z_V: Any, first: int, tail_N: Any, whole: Any, weight_N: Any) -> None:
    """Write the logits of a tail after a shortlist, in place.

    They are log-probabilities within the tail plus the logit of the tail as a whole.

    Arguments:
        z_V: logits, float32; those of the tail are overwritten.
        first: the first element of the tail.
        tail_N: logits within the tail.
        whole: logit of the tail as a whole.
        weight_N: scratch, float64.
    """
    apart()
    most = _weigh(tail_N, weight_N)
    shift = np.float32(np.float64(whole) - most - math.log(_mass(weight_N)))
    for n in range(len(tail_N)):
        z_V[first + n] = tail_N[n] + shift


@inner
def _kth_largest(some_N: Any, k: int) -> Any:
    """The k-th largest value, k from 1 (Hoare's quickselect).

    The argument is reordered.
    """
    apart()
    low, high, wanted = 0, len(some_N) - 1, k - 1
    while low < high:
        pivot = some_N[(low + high) >> 1]
        i, j = low, high
        while i <= j:
            while some_N[i] > pivot:
                i += 1
            while some_N[j] < pivot:
                j -= 1
            if i <= j:
                some_N[i], some_N[j] = some_N[j], some_N[i]
                i += 1
                j -= 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    return some_N[wanted]


@inner
def _keep_best(z_V: Any, border: Any, ties: int) -> None:
    """Keep values above the border, and the first `ties` at the border."""
    apart()
    for v in range(len(z_V)):
        if z_V[v] == border:
            if ties > 0:
                ties -= 1
            else:
                z_V[v] = _NEVER
        elif z_V[v] < border:
            z_V[v] = _NEVER


@inner
def _top_k(z_V: Any, k: int, some_V: Any) -> None:
    """Keep the k largest logits.

    In large vocabularies only those are examined that reach the k-th largest of the maxima of 8 k
    groups.
    """
    apart()
    size = len(z_V)
    if k >= size:
        return
    count = 0
    groups = 8 * k
    if 4 * groups <= size:
        best_G = some_V[:groups]
        for j in range(groups):
            best_G[j] = z_V[j]
        for first in range(groups, size, groups):
            here = z_V[first : min(first + groups, size)]
            for j in range(len(here)):
                best_G[j] = here[j] if here[j] > best_G[j] else best_G[j]  # noqa: FURB136
        bound = _kth_largest(best_G, k)
        for v in range(size):
            if z_V[v] >= bound:
                some_V[count] = z_V[v]
                count += 1
    else:
        for v in range(size):
            some_V[v] = z_V[v]
        count = size
    border = _kth_largest(some_V[:count], k)
    above = 0
    for v in range(size):
        above += z_V[v] > border
    _keep_best(z_V, border, k - above)


@inner
def _top_p(z_V: Any, p: float, some_V: Any, weight_V: Any) -> None:
    """Keep the smallest set of the likeliest elements with mass p.

    Candidates are partitioned at a pivot, and the search continues in the part in which the mass is
    reached.
    """
    apart()
    most = _weigh(z_V, weight_V)
    total = _mass(weight_V)
    goal = p * total
    # What is less likely than this cannot belong to the set: all of its like together lack the
    # mass. Half of that, for what rounding may do.
    least = 0.5 * (total - goal) / len(z_V)
    count = 0
    for v in range(len(z_V)):
        if weight_V[v] > least:
            some_V[count] = z_V[v]
            weight_V[count] = weight_V[v]
            count += 1
    before = 0.0  # mass of all that is likelier than what is still looked at
    low, high = 0, count
    while high - low > 1:
        first, middle, last = some_V[low], some_V[(low + high) >> 1], some_V[high - 1]
        pivot = max(min(first, middle), min(max(first, middle), last))
        # Above the pivot, then on it, then below.
        i, j, k = low, low, high
        mass_above, mass_on = 0.0, 0.0
        while j < k:
            here, weight = some_V[j], weight_V[j]
            if here > pivot:
                some_V[j], weight_V[j] = some_V[i], weight_V[i]
                some_V[i], weight_V[i] = here, weight
                mass_above += weight
                i += 1
                j += 1
            elif here < pivot:
                k -= 1
                some_V[j], weight_V[j] = some_V[k], weight_V[k]
                some_V[k], weight_V[k] = here, weight
            else:
                mass_on += weight
                j += 1
        if i > low and before + mass_above >= goal:
            high = i
            continue
        if before + mass_above + mass_on >= goal or k == high:
            before += mass_above
            low, high = i, k
            break
        before += mass_above + mass_on
        low = k
    border, weight = some_V[low], weight_V[low]
    ties = 1 if before < goal or border == most else 0
    while ties < high - low and before + ties * weight < goal:
        ties += 1
    _keep_best(z_V, border, ties)


@inner
def _min_p(z_V: Any, m: float) -> None:
    apart()
    most = _most(z_V)
    bound = np.float64(most) + math.log(m)
    for v in range(len(z_V)):
        if not (np.float64(z_V[v]) >= bound or z_V[v] == most):
            z_V[v] = _NEVER


@inner
def _repetition(z_V: Any, penalty: float, read_V: Any, written_V: Any, weight_V: Any) -> None:
    apart()
    most = _weigh(z_V, weight_V)
    shift = math.log(_mass(weight_V))
    for v in range(len(z_V)):
        told = (np.float64(z_V[v]) - most) - shift
        if read_V[v] + written_V[v] > 0:
            told *= penalty
        z_V[v] = np.float32(told)


@inner
def mask_row(z_V: Any, allowed_V: Any) -> None:
    """Make the logits of what is not allowed -inf, in place."""
    apart()
    for v in range(len(z_V)):
        if not allowed_V[v]:
            z_V[v] = _NEVER


@inner
def average_row(own_MV: Any, weight_M: Any, z_V: Any, log_M: Any) -> None:
    """Logits of a weighted mean of probabilities.

    They have the scale of the first member's. Members that are equal give their own logits.

    Arguments:
        own_MV: logits of every member, float32, finite.
        weight_M: weights, one in total.
        z_V: takes the logits, float32.
        log_M: scratch, float64.
    """
    apart()
    equal = True
    for k in range(len(weight_M)):
        most, total = np.float64(own_MV[k, 0]), 0.0
        for v in range(len(z_V)):
            most = max(most, np.float64(own_MV[k, v]))
            equal = equal and own_MV[k, v] == own_MV[0, v]
        for v in range(len(z_V)):
            total += math.exp(own_MV[k, v] - most)
        log_M[k] = most + math.log(total)
    for v in range(len(z_V)):
        largest, total = own_MV[0, v] - log_M[0], 0.0
        for k in range(1, len(weight_M)):
            largest = max(largest, own_MV[k, v] - log_M[k])
        for k in range(len(weight_M)):
            total += weight_M[k] * math.exp(own_MV[k, v] - log_M[k] - largest)
        z_V[v] = own_MV[0, v] if equal else np.float32(math.log(total) + largest + log_M[0])


@inner
def filter_row(
    z_V: Any, steps_S: Any, values_S: Any, read_V: Any, written_V: Any, some_V: Any, weight_V: Any
) -> None:
    """Apply the steps of a chain, in place.

    Arguments:
        z_V: logits, float32.
        steps_S: which steps, in order; the first `NONE` ends them.
        values_S: what each takes.
        read_V: how often each element occurs in the prompt; looked at by penalties only.
        written_V: how often each has been written; as `read_V`.
        some_V: scratch, float32.
        weight_V: scratch, float64.
    """
    apart()
    for s in range(len(steps_S)):
        step, value = steps_S[s], values_S[s]
        if step == NONE:
            break
        if step == GREEDY:
            best = _likeliest(z_V)
            for v in range(len(z_V)):
                z_V[v] = _ZERO if v == best else _NEVER
        elif step == TEMPERATURE:
            most = _most(z_V)
            for v in range(len(z_V)):
                z_V[v] = np.float32(np.float64(z_V[v] - most) / value)
        elif step == TOP_K:
            _top_k(z_V, int(value), some_V)
        elif step == TOP_P:
            _top_p(z_V, value, some_V, weight_V)
        elif step == MIN_P:
            _min_p(z_V, value)
        elif step == REPETITION:
            _repetition(z_V, value, read_V, written_V, weight_V)
        elif step == FREQUENCY:
            for v in range(len(z_V)):
                if written_V[v]:
                    z_V[v] = np.float32(np.float64(z_V[v]) - value * written_V[v])
        else:
            for v in range(len(z_V)):
                if written_V[v]:
                    z_V[v] = z_V[v] - np.float32(value)


@inner
def draw(z_V: Any, point: float, weight_V: Any) -> int:
    """The first element whose cumulative weight lies above a uniform.

    The weights are summed in blocks, always in the same order.

    Arguments:
        z_V: logits, at least one finite.
        point: the uniform.
        weight_V: scratch, float64.
    """
    apart()
    _weigh(z_V, weight_V)
    size = len(z_V)
    total = 0.0
    for first in range(0, size, _BLOCK):
        total += _mass(weight_V[first : min(first + _BLOCK, size)])
    point *= total
    before = 0.0
    filled = 0
    for first in range(0, size, _BLOCK):
        block = weight_V[first : min(first + _BLOCK, size)]
        mass = _mass(block)
        if before + mass > point:
            here = before
            for j in range(len(block)):
                here += block[j]
                if here > point and block[j] > 0.0:
                    return first + j
        if mass > 0.0:
            filled = first
        before += mass
    # Rounding may push a point to the very end: take the last element that has any probability.
    last = filled
    for v in range(filled, min(filled + _BLOCK, size)):
        if weight_V[v] > 0.0:
            last = v
    return last

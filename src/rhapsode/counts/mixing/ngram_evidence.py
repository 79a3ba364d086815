"""Compiled loops that mix counts into the distribution of a network.

Every context that an element was seen in is an expert. Its evidence for an element is the logarithm
of how much likelier it makes that element than a shorter context does. Logits are weighted sums of
the network's log-probabilities and of all evidence.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

import math
from typing import Any

import numpy as np

from rhapsode.compiling import compiled, vectorised

# Compiled into the cached code of this module: when it changes, this file must change, too.
from rhapsode.counts.mixing.ngram_measures import (
    HIGH,
    PERIODS,
    STEP_CONTEXTS,
    WIDTH,
    WORDS,
    follow,
    kind_of_place,
    mixed_up,
    place_of,
    step_key,
)
from rhapsode.counts.ngram_counting import find_child

# Kinds of contexts, by how often one was seen and by how many elements followed it.
KINDS = 12
# Weights of the network and of the order 0, before those of contexts.
NETWORK, ORDER_0, LEAD = 0, 1, 2
# Least weight of the network: with any above 0, what may not follow never does.
LEAST = 1e-30
# Lengths of contexts among the elements read; the last so many occurrences of each count.
LENGTHS, OCCURRENCES = 6, 64
# Words that were said, as far back as so many elements. An element that is a word, or a part of
# one, has the letter SAID less its most frequent form in either case.
MOST_SAID, SAID = 512, -16
# The first elements of a document, which often say what it is about, and their mark in counts.
BEGINNING, IN_BEGINNING = 16, 1 << 16
# State of words that begin a document, after that of words: how many were read, and the key of each
# that is not there yet. Each makes up to so many elements likelier later.
BEGUN_WIDTH, MOST_TRIGGERED = WORDS + 1 + BEGINNING, 256
# The last of the elements that are not words: end-of-sequence and unknown.
UNKNOWN = 1
# Discount of counts without a smoothing of their own.
DISCOUNT = 0.5
# Place of the keys of contexts of words among the tables.
KEYS = 6


@compiled
def room_for(vocab: int) -> int:
    """Maximum length of the evidence for one element."""
    read = LENGTHS * OCCURRENCES + len(PERIODS) + 2 * MOST_SAID
    return (
        (LEAD + WORDS + STEP_CONTEXTS + 16) * vocab + read + min(vocab, BEGINNING * MOST_TRIGGERED)
    )


@compiled
def kind_of(count: int, followers: int) -> int:
    """Kind of a context, from 0 to 11."""
    often = 0 if count < 2 else 1 if count < 5 else 2
    wide = 0 if followers < 2 else 1 if followers < 3 else 2 if followers < 6 else 3
    return 4 * often + wide


@compiled
def weigh_level(
    first_M: Any, suffix_M: Any, count_M: Any, share_M: Any, rest_M: Any,
    begin: int, end: int, lead: int, evidence_M: Any, kind_M: Any,
) -> None:  # fmt: skip
    """Write the kinds of nodes and the evidence of their children."""
    for node in range(begin, end):
        followers = first_M[node + 1] - first_M[node]
        kind_M[node] = lead + kind_of(count_M[node], followers)
        for child in range(first_M[node], first_M[node + 1]):
            below = rest_M[node] * share_M[suffix_M[child]]
            evidence_M[child] = math.log(share_M[child] / max(below, 1e-30))


@compiled
def next_node(first_M: Any, element_M: Any, suffix_M: Any, kind_M: Any, node: int, e: int) -> int:
    """The longest known history after an element; its followers are known, too."""
    while True:
        child = find_child(first_M, element_M, node, e)
        if child >= 0:
            return int(suffix_M[child]) if child >= len(kind_M) else child
        node = int(suffix_M[node])


@compiled
def trigger_key(form: int) -> int:
    """Key of a word that begins a document; never 0."""
    return max(1, mixed_up(form, 3))


@compiled
def next_word(word_W: Any, letter: int) -> None:
    """Read an element and update the state of words."""
    if 0 < letter < HIGH:
        word_W[0] = mixed_up(word_W[0], letter)
    elif word_W[0] != 0:
        word_W[1] = word_W[0]
        word_W[0] = 0
    if len(word_W) == BEGUN_WIDTH and SAID - letter > UNKNOWN and word_W[WORDS] < BEGINNING:
        key, place = trigger_key(SAID - letter), int(word_W[WORDS])
        for before in range(place):
            if word_W[WORDS + 1 + before] == key:
                key = 0
        word_W[WORDS + 1 + place] = key
        word_W[WORDS] += 1


@compiled
def word_key(word_2: Any, which: int) -> int:
    """Key of a context of words."""
    return mixed_up(word_2[0], 1) if which == 0 else mixed_up(word_2[0], word_2[1] ^ 2)


@compiled
def word_keys(elements_T: Any, starts_N: Any, letter_V: Any, which: int, key_T: Any) -> None:
    """Write the key before every element; words end where a document begins."""
    word_2 = np.zeros(2, np.int64)
    start = 0
    for t in range(len(elements_T)):
        if start < len(starts_N) and starts_N[start] == t:
            word_2[:] = 0
            start += 1
        key_T[t] = word_key(word_2, which)
        next_word(word_2, letter_V[elements_T[t]])


@compiled
def weigh_contexts(
    first_K: Any, element_J: Any, count_J: Any, share_V: Any, lead_K: Any,
    evidence_J: Any, kind_K: Any,
) -> None:  # fmt: skip
    """Write the kinds of contexts and the evidence of their followers."""
    for k in range(len(kind_K)):
        total = 0
        followers = first_K[k + 1] - first_K[k]
        for j in range(first_K[k], first_K[k + 1]):
            total += count_J[j]
        kind_K[k] = lead_K[k] + kind_of(total, followers)
        for j in range(first_K[k], first_K[k + 1]):
            below = DISCOUNT * followers * share_V[element_J[j]]
            evidence_J[j] = math.log(1 + (count_J[j] - DISCOUNT) / max(below, 1e-30))


@compiled
def row_of_key(bucket_B: Any, key_K: Any, key: int) -> int:
    """The row of a key; -1 if it is unknown."""
    bits = 62
    size = len(bucket_B) - 1
    while size > 1:
        size >>= 1
        bits -= 1
    bucket = key >> bits
    for k in range(bucket_B[bucket], bucket_B[bucket + 1]):
        if key_K[k] == key:
            return k
    return -1


@compiled
def list_triggered(
    bucket_B: Any, key_K: Any, first_K: Any, element_J: Any, evidence_J: Any, word_W: Any,
    seen_V: Any, lead: int, n: int, element_E: Any, weight_E: Any, value_E: Any,
) -> int:  # fmt: skip
    """List the evidence of the words that began the document.

    As far as they have been read, their evidence for an element is summed up. Returns the new
    length.
    """
    begin = n
    early = 0 if word_W[WORDS] == BEGINNING else KINDS
    for place in range(word_W[WORDS]):
        key = word_W[WORDS + 1 + place]
        k = row_of_key(bucket_B, key_K, key) if key > 0 else -1
        if k < 0:
            continue
        for j in range(first_K[k], first_K[k + 1]):
            element = element_J[j]
            if seen_V[element] == 0:
                element_E[n], weight_E[n], value_E[n] = element, 0, 0.0
                n += 1
                seen_V[element] = n - begin
            e = begin + seen_V[element] - 1
            weight_E[e] = min(weight_E[e] + 1, 4)
            value_E[e] += evidence_J[j]
    for e in range(begin, n):
        strong = 0 if value_E[e] < 1.0 else 1 if value_E[e] < 2.0 else 2
        weight_E[e] += lead + early + 4 * strong - 1
        seen_V[element_E[e]] = 0
    return n


@compiled
def list_said(
    recent_N: Any, read: int, letter_V: Any, own_V: Any, shift: float, seen_V: Any, lead: int,
    n: int, element_E: Any, weight_E: Any, value_E: Any,
) -> int:  # fmt: skip
    """List the evidence of words that were said, in either case.

    Returns the new length.
    """
    size, begin = len(recent_N), n
    total = min(read, size, MOST_SAID)
    for back in range(1, total + 1):
        element = recent_N[(read - back) % size]
        if element <= UNKNOWN:
            continue
        for form in (np.int64(element), np.int64(SAID - letter_V[element])):
            if seen_V[form] == 0:
                element_E[n] = form
                n += 1
            seen_V[form] += 1 if read - back >= BEGINNING else 1 + IN_BEGINNING
            if form == SAID - letter_V[form]:
                break
    followers = n - begin
    late = 1 if total >= 4 * BEGINNING else 0
    for e in range(begin, n):
        element = element_E[e]
        seen = seen_V[element] % IN_BEGINNING
        early = 2 if seen_V[element] >= IN_BEGINNING else 0
        below = DISCOUNT * followers * math.exp(own_V[element] - shift)
        weight_E[e] = lead + 4 * (min(seen, 3) - 1) + early + late
        value_E[e] = math.log(1 + (seen - DISCOUNT) / max(below, 1e-30))
        seen_V[element] = 0
    return n


@compiled
def collect(
    first_M: Any, element_M: Any, suffix_M: Any, evidence_M: Any, kind_M: Any,
    bucket_B: Any, key_K: Any, first_K: Any, element_J: Any, evidence_J: Any, kind_K: Any,
    node: int, word_W: Any, recent_N: Any, head_LS: Any, before_LN: Any, read: int, lead: int,
    letter_V: Any, prior_V: Any, own_V: Any, shift: float, seen_V: Any,
    element_E: Any, weight_E: Any, value_E: Any,
) -> int:  # fmt: skip
    """List the evidence for the next element; returns its length.

    `prior_V` holds the logarithms of relative frequencies, `own_V` the network's logits and `shift`
    the logarithm of their sum of exponentials.
    """
    n = 0
    while node > 0:
        for child in range(first_M[node], first_M[node + 1]):
            element_E[n], weight_E[n] = element_M[child], kind_M[node]
            value_E[n] = evidence_M[child]
            n += 1
        node = int(suffix_M[node])
    has_words = letter_V[0] <= SAID
    if len(key_K) > 0 and not has_words:
        for which in range(WORDS):
            k = row_of_key(bucket_B, key_K, word_key(word_W, which))
            if k >= 0:
                for j in range(first_K[k], first_K[k + 1]):
                    element_E[n], weight_E[n] = element_J[j], kind_K[k]
                    value_E[n] = evidence_J[j]
                    n += 1
    size = len(recent_N)
    if size > 0:
        context = 0
        for length in range(1, min(LENGTHS, read) + 1):
            context = mixed_up(context, recent_N[(read - length) % size] + 1)
            at = head_LS[length - 1, context % head_LS.shape[1]]
            total, begin = 0, n
            steps = 0
            while at >= length and at > read - size + length and steps < 4 * OCCURRENCES:
                steps += 1
                same = True
                for back in range(1, length + 1):
                    if recent_N[(at - back) % size] != recent_N[(read - back) % size]:
                        same = False
                        break
                if same:
                    element = recent_N[at % size]
                    if seen_V[element] == 0:
                        element_E[n] = element
                        n += 1
                    seen_V[element] += 1
                    total += 1
                    if total == OCCURRENCES:
                        break
                at = before_LN[length - 1, at % size]
            if total == 0:
                break
            followers = n - begin
            kind = lead + KINDS * (length - 1) + kind_of(total, followers)
            for e in range(begin, n):
                element = element_E[e]
                below = DISCOUNT * followers * math.exp(own_V[element] - shift)
                weight_E[e] = kind
                value_E[e] = math.log(1 + (seen_V[element] - DISCOUNT) / max(below, 1e-30))
                seen_V[element] = 0
    if size > 0 and len(word_W) == WIDTH:
        for p in range(len(PERIODS)):
            place = place_of(word_W, p)
            if place >= 0:
                element = recent_N[place % size]
                element_E[n] = element
                weight_E[n] = lead + KINDS * LENGTHS + kind_of_place(word_W, p)
                value_E[n] = math.log(1 + math.exp(-prior_V[element]))
                n += 1
        for p in range(STEP_CONTEXTS if len(key_K) > 0 else 0):
            key = step_key(word_W, recent_N, read, letter_V, p)
            k = row_of_key(bucket_B, key_K, key) if key >= 0 else -1
            if k >= 0:
                for j in range(first_K[k], first_K[k + 1]):
                    element_E[n], weight_E[n] = element_J[j], kind_K[k]
                    value_E[n] = evidence_J[j]
                    n += 1
    if size > 0 and has_words:
        n = list_said(
            recent_N, read, letter_V, own_V, shift, seen_V, lead + KINDS * LENGTHS, n,
            element_E, weight_E, value_E,
        )  # fmt: skip
        if len(key_K) > 0 and len(word_W) == BEGUN_WIDTH:
            n = list_triggered(
                bucket_B, key_K, first_K, element_J, evidence_J, word_W, seen_V,
                lead + KINDS * (LENGTHS + 1), n, element_E, weight_E, value_E,
            )  # fmt: skip
    return n


@compiled
def remember(recent_N: Any, head_LS: Any, before_LN: Any, read: int, element: int) -> None:
    """Add an element to those that were read."""
    size = len(recent_N)
    if size > 0:
        context = 0
        for length in range(1, min(LENGTHS, read) + 1):
            context = mixed_up(context, recent_N[(read - length) % size] + 1)
            slot = context % head_LS.shape[1]
            before_LN[length - 1, read % size] = head_LS[length - 1, slot]
            head_LS[length - 1, slot] = read
        recent_N[read % size] = element


@compiled
def read_element(
    first_M: Any, element_M: Any, suffix_M: Any, kind_M: Any, letter_V: Any,
    node: int, word_W: Any, recent_N: Any, head_LS: Any, before_LN: Any, read: int, element: int,
) -> int:  # fmt: skip
    """Read an element into the state of a row.

    Returns the trie's node of the longest known history. `read` is the number of elements read
    before.
    """
    next_word(word_W, letter_V[element])
    remember(recent_N, head_LS, before_LN, read, element)
    follow(word_W, recent_N, read, letter_V, element)
    return next_node(first_M, element_M, suffix_M, kind_M, node, element)


@compiled
def exponentials(z_V: Any, most: Any, part_V: Any) -> None:
    """Write exp(z - most) in float32; exp(-87) where it is less.

    The error is at most 2 units in the last place.
    Range reduction and polynomial of Moshier's Cephes, expf; a loop of vector instructions.
    """
    f = np.float32
    for v in range(len(z_V)):
        x = max(f(-87.0), z_V[v] - most)
        # Adding and taking away 1.5 * 2**23 rounds to a whole number.
        n = (x * f(1.44269504) + f(12582912.0)) - f(12582912.0)
        r = x - n * f(0.693359375) - n * f(-2.12194440e-4)
        p = (f(1.98756915e-4) * r + f(1.39819995e-3)) * r + f(8.33345191e-3)
        p = ((p * r + f(4.16657959e-2)) * r + f(1.66666655e-1)) * r + f(5.00000012e-1)
        power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23))
        part_V[v] = (p * r * r + r + f(1.0)) * power.view(np.float32)


@vectorised
def largest(z_V: Any) -> Any:
    """The largest number."""
    most = z_V[0]
    for v in range(len(z_V)):
        most = max(most, z_V[v])
    return most


@vectorised
def total_of(part_V: Any) -> Any:
    """The sum, in float32."""
    total = np.float32(0.0)
    for v in range(len(part_V)):
        total += part_V[v]
    return total


@vectorised
def product_of(part_V: Any, other_V: Any) -> Any:
    """The sum of products, in float32; -inf counts as -100."""
    total = np.float32(0.0)
    for v in range(len(part_V)):
        total += part_V[v] * max(other_V[v], np.float32(-100.0))
    return total


@compiled
def shift_of(z_V: Any, part_V: Any) -> float:
    """Logarithm of the sum of exponentials of logits.

    `part_V` takes the exponentials beside the largest.
    """
    most = largest(z_V)
    exponentials(z_V, most, part_V)
    return math.log(total_of(part_V)) + float(most)


@compiled
def add_up(
    z_V: Any, prior_V: Any, weight_F: Any, n: int, element_E: Any, weight_E: Any, value_E: Any
) -> None:
    """Turn a network's logits into those of the mixture, in place."""
    own, prior = np.float32(max(weight_F[NETWORK], LEAST)), np.float32(weight_F[ORDER_0])
    for v in range(len(z_V)):
        z_V[v] = own * z_V[v] + prior * prior_V[v]
    for e in range(n):
        z_V[element_E[e]] += np.float32(weight_F[weight_E[e]] * value_E[e])


@compiled
def bounded(weight: float) -> float:
    """A weight that adapts, from -2 to 4 as fitted ones."""
    return min(4.0, max(-2.0, weight))


@compiled
def forget(word_W: Any, head_LS: Any, read: int, keep: bool) -> int:
    """Begin a document.

    What was read before it is forgotten, unless `keep` is true. Returns the number of elements that
    count as read.
    """
    word_W[:] = 0
    if keep or read == 0:
        return read
    head_LS[:] = -1
    return 0


@compiled
def mix_rows(
    first_M: Any, element_M: Any, suffix_M: Any, evidence_M: Any, kind_M: Any,
    bucket_B: Any, key_K: Any, first_K: Any, element_J: Any, evidence_J: Any, kind_K: Any,
    letter_V: Any, prior_V: Any, lead: int,
    node_B: Any, word_BW: Any, recent_BN: Any, head_BLS: Any, before_BLN: Any, read_B: Any,
    weight_BF: Any, elements_BT: Any, targets_BT: Any, reset_BT: Any, learn_BT: Any, keep: bool,
    rate: float, z_BTV: Any, score_BT: Any,
) -> None:  # fmt: skip
    """Read elements and mix the distributions after them.

    A network's logits become log-probabilities of the mixture, in place. `z_BTV` may have logits
    after the last elements only. If `score_BT` has room, they are log-probabilities and stay as
    they are, and the log-probabilities of the targets are written to it. Where `learn_BT` is true,
    the weights follow the gradient of the target's log-probability.
    """
    rows, time = elements_BT.shape
    vocab = z_BTV.shape[2]
    scores = score_BT.shape[1] > 0
    mixed_V = np.empty(vocab, np.float32)
    room = room_for(vocab)
    element_E, weight_E = np.empty(room, np.int32), np.empty(room, np.int16)
    value_E = np.empty(room, np.float32)
    seen_V, own_V = np.zeros(vocab, np.int32), np.empty(vocab, np.float32)
    part_V = np.empty(vocab, np.float32)
    first = time - z_BTV.shape[1]
    for b in range(rows):
        node = int(node_B[b])
        word_W, recent_N, head_LS, before_LN = word_BW[b], recent_BN[b], head_BLS[b], before_BLN[b]
        weight_F = weight_BF[b % len(weight_BF)]
        for t in range(time):
            element = elements_BT[b, t]
            if reset_BT[b, t]:
                node = 0
                read_B[b] = forget(word_W, head_LS, int(read_B[b]), keep)
            node = read_element(
                first_M, element_M, suffix_M, kind_M, letter_V,
                node, word_W, recent_N, head_LS, before_LN, int(read_B[b]), element,
            )  # fmt: skip
            read_B[b] += 1
            if t < first:
                continue
            z_V = z_BTV[b, t - first]
            if scores:
                own_V = z_V
                z_V = mixed_V
            else:
                shift = shift_of(z_V, part_V)
                for v in range(vocab):
                    own_V[v] = z_V[v] - np.float32(shift)
            z_V[:] = own_V
            n = collect(
                first_M, element_M, suffix_M, evidence_M, kind_M,
                bucket_B, key_K, first_K, element_J, evidence_J, kind_K,
                node, word_W, recent_N, head_LS, before_LN, int(read_B[b]), lead,
                letter_V, prior_V, own_V, 0.0, seen_V, element_E, weight_E, value_E,
            )  # fmt: skip
            add_up(z_V, prior_V, weight_F, n, element_E, weight_E, value_E)
            shift = shift_of(z_V, part_V)
            target = targets_BT[b, t]
            if scores:
                score_BT[b, t - first] = z_V[target] - np.float32(shift)
            else:
                for v in range(vocab):
                    z_V[v] -= np.float32(shift)
            if rate > 0.0 and learn_BT[b, t] and own_V[target] > -np.inf:
                all_parts = total_of(part_V)
                own = own_V[target] - product_of(part_V, own_V) / all_parts
                prior = prior_V[target] - product_of(part_V, prior_V) / all_parts
                weight_F[NETWORK] = bounded(weight_F[NETWORK] + rate * own)
                weight_F[ORDER_0] = bounded(weight_F[ORDER_0] + rate * prior)
                for e in range(n):
                    wrong = part_V[element_E[e]] / all_parts - (element_E[e] == target)
                    k = weight_E[e]
                    weight_F[k] = bounded(weight_F[k] - rate * wrong * value_E[e])
        node_B[b] = node


@compiled
def list_text(
    first_M: Any, element_M: Any, suffix_M: Any, evidence_M: Any, kind_M: Any,
    bucket_B: Any, key_K: Any, first_K: Any, element_J: Any, evidence_J: Any, kind_K: Any,
    letter_V: Any, prior_V: Any, lead: int,
    elements_T: Any, starts_N: Any, opening: int, keep: bool, size: int, width: int,
    place_P: Any, z_PV: Any, end_P: Any, element_E: Any, weight_E: Any, value_E: Any,
) -> int:  # fmt: skip
    """List the evidence at places of a text.

    Returns the number of places that there was room for.
    `z_PV` holds the network's log-probabilities at the places, which are in order. `opening`, if it
    is not -1, is read before every document. `width` is the number of integers of the state of
    words and measures.
    """
    word_W = np.zeros(width, np.int64)
    recent_N, head_LS = np.zeros(size, np.int32), np.full((LENGTHS, max(1, size)), -1, np.int32)
    before_LN = np.full((LENGTHS, max(1, size)), -1, np.int32)
    vocab = z_PV.shape[1]
    seen_V = np.zeros(vocab, np.int32)
    most = room_for(vocab)
    node = read = p = start = n = 0
    for t in range(len(elements_T)):
        if start < len(starts_N) and starts_N[start] == t:
            start += 1
            node = 0
            read = forget(word_W, head_LS, read, keep)
            if opening >= 0:
                node = read_element(
                    first_M, element_M, suffix_M, kind_M, letter_V,
                    node, word_W, recent_N, head_LS, before_LN, read, opening,
                )  # fmt: skip
                read += 1
        if p < len(place_P) and place_P[p] == t:
            if n + most > len(element_E):
                return p
            n += collect(
                first_M, element_M, suffix_M, evidence_M, kind_M,
                bucket_B, key_K, first_K, element_J, evidence_J, kind_K,
                node, word_W, recent_N, head_LS, before_LN, read, lead, letter_V, prior_V,
                z_PV[p], 0.0, seen_V, element_E[n:], weight_E[n:], value_E[n:],
            )  # fmt: skip
            end_P[p] = n
            p += 1
        element = elements_T[t]
        node = read_element(
            first_M, element_M, suffix_M, kind_M, letter_V,
            node, word_W, recent_N, head_LS, before_LN, read, element,
        )  # fmt: skip
        read += 1
    return p


@compiled
def loss_of_lists(
    end_P: Any, element_E: Any, weight_E: Any, value_E: Any, own_PV: Any, prior_V: Any,
    target_P: Any, begin: int, end: int, weight_F: Any, slope_F: Any,
) -> float:  # fmt: skip
    """Nats of some places; adds their gradient to `slope_F`."""
    vocab = len(prior_V)
    z_V, part_V = np.empty(vocab, np.float32), np.empty(vocab, np.float32)
    total = 0.0
    for p in range(begin, end):
        first = end_P[p - 1] if p > 0 else 0
        last, own_V, target = end_P[p], own_PV[p], target_P[p]
        z_V[:] = own_V
        lists = element_E[first:last], weight_E[first:last], value_E[first:last]
        add_up(z_V, prior_V, weight_F, last - first, *lists)
        total += shift_of(z_V, part_V) - z_V[target]
        share = np.float32(1.0) / total_of(part_V)
        slope_F[NETWORK] += share * product_of(part_V, own_V) - own_V[target]
        slope_F[ORDER_0] += share * product_of(part_V, prior_V) - prior_V[target]
        for e in range(first, last):
            wrong = share * part_V[element_E[e]] - (element_E[e] == target)
            slope_F[weight_E[e]] += wrong * value_E[e]
    return total

"""Elements at the same place of earlier measures, such as bars.

For each period, a row of elements read has a place that corresponds to the next element some
measures before. After a mark of a measure it is the beginning of the earlier one, after a mark of a
place the same mark there; from then on it moves along with what is read.

Where elements have heights, what stands at that place is also a context, with the last heights
before both places: counts after it know a phrase that returns higher or lower.
"""

# ruff: noqa: PLR0917  # compiled code is called by position

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.compiling import compiled

# Contexts of words: what is there of the current one, and that after the word before it.
WORDS = 2
# Measures, such as bars, by which elements read are compared with those at the same place before.
PERIODS = (1, 2, 4, 8, 16)
# Marks of elements that name a place in a measure, and of those that begin one.
PLACE, MEASURE = -1, -2
# An element with a height, such as a note, has the letter HIGH plus its height.
HIGH = 1 << 32
# State of measures, after that of words: their number, where the last ones began, where the first
# one began, and numbers for each period.
BEGUN, EACH = 32, 3
FOLLOWED = WORDS + 2 + BEGUN
WIDTH = FOLLOWED + EACH * len(PERIODS)
# Kinds of corresponding places: by how many elements before them are equal, and by the number of
# the measure.
AGREEMENTS, NUMBERS = 4, 16
MEASURE_KINDS = AGREEMENTS * NUMBERS
# The first of the periods have contexts of steps, from one height to the next, and contexts without
# heights. Steps agree if they differ by so much at most; so many in a row are told apart. A height
# is looked for among the last elements before a place.
STEP_PERIODS, SLACK, MOST_AGREED, FAR = 4, 1, 3, 32
STEP_CONTEXTS = 2 * STEP_PERIODS
# Elements of a document that are remembered.
MOST_REMEMBERED = 1 << 11
# Weight of an element some measures before that is always right, and how often one is right that
# has no weight. Kinds that occur less often than so many times have less weight.
MOST_WEIGHT, CHANCE, FEW_PLACES = 0.5, 0.4, 20

_HASHED = 0x3FFFFFFFFFFFFFFF


@compiled
def mixed_up(one: int, other: int) -> int:
    """A hash of two numbers, from 0 up to 2 ** 62."""
    value = np.uint64(one) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(other)
    value ^= value >> np.uint64(31)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(29)
    return int(value & np.uint64(_HASHED))


@compiled
def height_before(word_W: Any, recent_N: Any, read: int, letter_V: Any, place: int) -> int:
    """The last height before a place, in the measures of the document.

    -1 without one. `read` is the number of elements read.
    """
    size = len(recent_N)
    last = max(int(word_W[FOLLOWED - 1]) - 1, read - size + 1, place - FAR)
    while place > last:
        place -= 1
        letter = letter_V[recent_N[place % size]]
        if letter >= HIGH:
            return int(letter - HIGH)
    return -1


@compiled
def next_agreed(
    word_W: Any, recent_N: Any, read: int, letter_V: Any, element: int, place: int, agreed: int
) -> int:
    """Number of steps that agree in a row, after an element.

    They are compared with those before a place. Steps last from one height to the next; elements
    without a height change nothing.
    """
    if place < 0:
        return 0
    own, there = letter_V[element], letter_V[recent_N[place % len(recent_N)]]
    if own < HIGH and there < HIGH:
        return agreed
    before = height_before(word_W, recent_N, read, letter_V, read)
    begin = height_before(word_W, recent_N, read, letter_V, place)
    if own < HIGH or there < HIGH or before < 0 or begin < 0:
        return 0
    apart = abs((own - before) - (there - begin))
    return min(agreed + 1, MOST_AGREED) if apart <= SLACK else 0


@compiled
def place_before(word_W: Any, recent_N: Any, read: int, period: int, element: int) -> int:
    """The place after an element in an earlier measure.

    -1 without one.
    """
    number = int(word_W[WORDS])
    size = len(recent_N)
    if number <= period:
        return -1
    place = int(word_W[WORDS + 1 + (number - period) % BEGUN])
    end = int(word_W[WORDS + 1 + (number - period + 1) % BEGUN])
    if place <= read - size + 1:
        return -1
    if element < 0:
        return place
    while place < end:
        if recent_N[place % size] == element:
            return place + 1
        place += 1
    return -1


@compiled
def follow(word_W: Any, recent_N: Any, read: int, letter_V: Any, element: int) -> None:
    """Find the places that correspond to this one, whole measures before it.

    `read` is the place of the element. For each period there are the corresponding place plus 1, or
    0, how many elements in a row were equal there, and how many steps agreed.
    """
    size = len(recent_N)
    if len(word_W) != WIDTH or size == 0:
        return
    mark = letter_V[element]
    if mark == MEASURE:
        word_W[WORDS] += 1
        word_W[WORDS + 1 + word_W[WORDS] % BEGUN] = read + 1
        if word_W[WORDS] == 1:
            word_W[FOLLOWED - 1] = read + 1
    for p in range(len(PERIODS)):
        own_3 = word_W[FOLLOWED + EACH * p : FOLLOWED + EACH * (p + 1)]
        place = int(own_3[0]) - 1
        equal = place >= 0 and recent_N[place % size] == element
        own_3[1] = own_3[1] + 1 if equal else 0
        if p < STEP_PERIODS:
            own_3[2] = next_agreed(word_W, recent_N, read, letter_V, element, place, int(own_3[2]))
        if mark == MEASURE:
            place = place_before(word_W, recent_N, read, PERIODS[p], -1)
        elif equal:
            place += 1
        elif mark == PLACE:
            place = place_before(word_W, recent_N, read, PERIODS[p], element)
        elif place >= 0 and letter_V[recent_N[place % size]] >= 0:
            place += 1
        if place >= 0 and (place > read or place <= read - size + 1):
            place = -1
        own_3[0] = place + 1


@compiled
def kind_of_place(word_W: Any, p: int) -> int:
    """Kind of the corresponding place, among those of all periods."""
    equal = word_W[FOLLOWED + EACH * p + 1]
    often = 0 if equal < 1 else 1 if equal < 3 else 2 if equal < 12 else 3
    number = (int(word_W[WORDS]) - 1) % NUMBERS
    return MEASURE_KINDS * p + AGREEMENTS * number + often


@compiled
def place_of(word_W: Any, p: int) -> int:
    """The corresponding place of a period; -1 without one."""
    return int(word_W[FOLLOWED + EACH * p]) - 1


@compiled
def step_key(word_W: Any, recent_N: Any, read: int, letter_V: Any, s: int) -> int:
    """Key of a context of steps; -1 without a corresponding place.

    All contain the element there and the number of the measure. The first half also contain the
    last heights before both places, and how many steps agreed.
    """
    p = s % STEP_PERIODS
    place = place_of(word_W, p)
    if place < 0:
        return -1
    number = word_W[WORDS] % NUMBERS
    key = mixed_up(WORDS + 2 + s, recent_N[place % len(recent_N)])
    if s < STEP_PERIODS:
        before = height_before(word_W, recent_N, read, letter_V, read)
        begin = height_before(word_W, recent_N, read, letter_V, place)
        key = mixed_up(mixed_up(key, before + 1), begin + 1)
        number += MEASURE_KINDS * word_W[FOLLOWED + EACH * p + 2]
    return int(np.int64(mixed_up(key, number)))


@compiled
def follow_text(
    elements_T: Any, starts_N: Any, letter_V: Any, opening: int, recent_N: Any, word_W: Any,
    element_TP: Any, kind_TP: Any, key_TS: Any,
) -> None:  # fmt: skip
    """Write the corresponding elements along a text, with kinds and keys.

    Keys are those of contexts of steps. An element or key is -1 where there is none. Arrays without
    columns are not written.
    """
    start = read = 0
    for t in range(len(elements_T)):
        if start < len(starts_N) and starts_N[start] == t:
            start += 1
            read = 0
            word_W[:] = 0
            if opening >= 0:
                recent_N[0] = opening
                follow(word_W, recent_N, 0, letter_V, opening)
                read = 1
        for p in range(key_TS.shape[1]):
            key_TS[t, p] = step_key(word_W, recent_N, read, letter_V, p)
        for p in range(element_TP.shape[1]):
            place = place_of(word_W, p)
            element_TP[t, p] = -1
            if place >= 0:
                element_TP[t, p] = recent_N[place % len(recent_N)]
                kind_TP[t, p] = kind_of_place(word_W, p)
        recent_N[read % len(recent_N)] = elements_T[t]
        follow(word_W, recent_N, read, letter_V, elements_T[t])
        read += 1


def places_before(
    ids_N: NDArray[np.int32], starts_N: NDArray[np.int64], letter_V: NDArray[np.int64], opening: int
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """Elements some measures before every element, and their kinds.

    Both are (N, P), for P periods; P is 0 without measures. An element is -1 where there is none.

    Arguments:
        ids_N: a corpus.
        starts_N: where documents begin.
        letter_V: as in `WordContexts`.
        opening: an element read before every document; -1 without one.
    """
    periods = len(PERIODS) if np.isin(letter_V, (PLACE, MEASURE)).any() else 0
    before_NP = np.empty((len(ids_N), periods), np.int32)
    kind_NP = np.zeros((len(ids_N), periods), np.int16)
    if periods:
        follow_text(
            ids_N, starts_N, letter_V, opening, np.zeros(MOST_REMEMBERED, np.int32),
            np.zeros(WIDTH, np.int64), before_NP, kind_NP, np.empty((len(ids_N), 0), np.int64),
        )  # fmt: skip
    return before_NP, kind_NP


def step_keys(
    ids_N: NDArray[np.int32], starts_N: NDArray[np.int64], letter_V: NDArray[np.int64], opening: int
) -> NDArray[np.int64]:
    """Keys of the contexts of steps before every element.

    They are (N, S), for S contexts; -1 where there is none. S is 0 without measures or heights.

    Arguments:
        ids_N: a corpus.
        starts_N: where documents begin.
        letter_V: as in `WordContexts`.
        opening: as in `places_before`.
    """
    has_steps = np.isin(letter_V, (PLACE, MEASURE)).any() and (letter_V >= HIGH).any()
    key_NS = np.empty((len(ids_N), STEP_CONTEXTS if has_steps else 0), np.int64)
    if has_steps:
        follow_text(
            ids_N, starts_N, letter_V, opening, np.zeros(MOST_REMEMBERED, np.int32),
            np.zeros(WIDTH, np.int64), np.empty((len(ids_N), 0), np.int32),
            np.empty((len(ids_N), 0), np.int16), key_NS,
        )  # fmt: skip
    return key_NS


def measure_weights(
    ids_N: NDArray[np.int32], starts_N: NDArray[np.int64], letter_V: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Weights of elements some measures before.

    They follow how often such elements are right; there are none without measures.

    Arguments:
        ids_N: a corpus.
        starts_N: where documents begin.
        letter_V: as in `WordContexts`.
    """
    before_NP, kind_NP = places_before(ids_N, starts_N, letter_V, -1)
    if not before_NP.shape[1]:
        return np.zeros(0)
    there_NP = before_NP >= 0
    size = MEASURE_KINDS * len(PERIODS)
    known_F = np.bincount(kind_NP[there_NP], minlength=size)
    right_F = np.bincount(kind_NP[there_NP & (before_NP == ids_N[:, None])], minlength=size)
    rate_F = right_F / (known_F + FEW_PLACES)
    weight_F: NDArray[np.float64] = MOST_WEIGHT * np.maximum(0.0, rate_F - CHANCE) / (1 - CHANCE)
    return weight_F

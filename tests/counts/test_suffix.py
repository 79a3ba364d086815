"""The suffix index answers as a search by hand would, whatever the sequence, the query and the separator."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.counts import suffix_search
from rhapsode.counts.suffix import Span, SuffixIndex
from rhapsode.counts.suffix_sort import fixed, suffix_order

PROVE = settings(derandomize=True, deadline=None, max_examples=200)
SMALL = st.lists(st.integers(0, 3), max_size=60)
LARGE = st.lists(st.integers(0, 100_000), max_size=40)
HUGE = st.lists(st.sampled_from([0, 7, 70_000, 2**31, 2**32 - 1]), max_size=40)
QUERY = st.lists(st.integers(-1, 4), max_size=30)
SEPARATOR = st.sampled_from([None, 0, 1, 9])


def by_hand(elements: Sequence[int]) -> list[int]:
    return sorted(range(len(elements)), key=lambda i: list(elements[i:]))


def places_by_hand(elements: list[int], pattern: list[int], separator: int | None) -> list[int]:
    if separator in pattern:
        return []
    last = len(elements) - max(len(pattern), 1)
    return [i for i in range(last + 1) if elements[i : i + len(pattern)] == pattern]


def lengths_by_hand(elements: list[int], query: list[int], separator: int | None) -> list[int]:
    lengths = []
    for i in range(len(query)):
        length = 0
        while i + length < len(query) and places_by_hand(
            elements, query[i : i + length + 1], separator
        ):
            length += 1
        lengths.append(length)
    return lengths


def sorted_rightly(elements_N: np.ndarray, order_N: np.ndarray) -> bool:
    """The proof of Burkhardt and Karkkainen: neighbours in order by first element, then by what is behind it."""
    size = len(elements_N)
    ranks = np.full(size + 1, -1)
    ranks[order_N] = np.arange(size)
    if not np.array_equal(np.sort(order_N), np.arange(size)):
        return False
    a, b = order_N[:-1].astype(np.int64), order_N[1:].astype(np.int64)
    smaller = elements_N[a] < elements_N[b]
    return bool(
        (smaller | ((elements_N[a] == elements_N[b]) & (ranks[a + 1] < ranks[b + 1]))).all()
    )


def fibonacci(size: int) -> list[int]:
    a, b = [0], [0, 1]
    while len(b) < size:
        a, b = b, b + a
    return b[:size]


@PROVE
@given(elements=st.one_of(SMALL, LARGE, HUGE))
def test_suffixes_come_in_order(elements: list[int]):
    index = SuffixIndex.build(np.array(elements, dtype=np.int64))
    assert index.order_N.tolist() == by_hand(elements)
    assert index.order_N[index.ranks_N].tolist() == list(range(len(elements)))


@PROVE
@given(elements=SMALL)
def test_neighbours_share_what_is_told(elements: list[int]):
    index = SuffixIndex.build(elements)
    for rank in range(len(elements)):
        a, b = index.order_N[rank - 1] if rank else len(elements), index.order_N[rank]
        pairs = zip(elements[a:], elements[b:], strict=False)
        same = 0
        for one, other in pairs:
            if one != other:
                break
            same += 1
        assert index.shared_N[rank] == same


@pytest.mark.parametrize("size", [1, 2, 3, 31, 32, 33, 1000, 1025])
@pytest.mark.parametrize(
    "make",
    [
        lambda n: [0] * n,
        fibonacci,
        lambda n: ([0, 1] * n)[:n],
        lambda n: ([2, 1, 0] * n)[:n],
        lambda n: ([0, 0, 1, 0, 0, 2] * n)[:n],
        lambda n: list(range(n)),
        lambda n: list(range(n))[::-1],
    ],
)
def test_repetitive_sequences(make, size: int):
    elements = make(size)
    assert suffix_order(np.array(elements, dtype=np.uint16)).tolist() == by_hand(elements)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_long_sequences(dtype: type[np.unsignedinteger]):
    rng = np.random.default_rng(0)
    top = min(np.iinfo(dtype).max, 120_000)
    for elements_N in (
        rng.integers(0, top, 100_000),
        rng.integers(0, 2, 100_000),
        np.tile(rng.integers(0, 50, 1000), 100),
        np.array(fibonacci(100_000)),
    ):
        known_N = elements_N.astype(dtype)
        assert sorted_rightly(known_N, suffix_order(known_N))


def test_the_proof_of_long_sequences_finds_a_swap():
    elements_N = np.random.default_rng(0).integers(0, 4, 500).astype(np.uint8)
    order_N = suffix_order(elements_N)
    assert sorted_rightly(elements_N, order_N)
    order_N[[100, 101]] = order_N[[101, 100]]
    assert not sorted_rightly(elements_N, order_N)


@PROVE
@given(elements=SMALL, pattern=st.lists(st.integers(-1, 4), max_size=5), separator=SEPARATOR)
def test_patterns_are_found(elements: list[int], pattern: list[int], separator: int | None):
    index = SuffixIndex.build(elements, separator=separator)
    places = places_by_hand(elements, pattern, separator)
    assert index.count(pattern) == len(places)
    assert index.find(pattern).tolist() == places
    assert index.find(pattern, most=2).tolist() == places[:2]
    assert index.find(pattern, most=0).tolist() == []


@PROVE
@given(elements=SMALL, query=QUERY, separator=SEPARATOR)
def test_matches(elements: list[int], query: list[int], separator: int | None):
    index = SuffixIndex.build(elements, separator=separator)
    lengths_M, places_M = index.matches(query)
    assert lengths_M.tolist() == lengths_by_hand(elements, query, separator)
    for i, (length, place) in enumerate(zip(lengths_M, places_M, strict=True)):
        if length:
            assert elements[place : place + length] == query[i : i + length]
        else:
            assert place == -1


@PROVE
@given(elements=SMALL, query=QUERY, separator=SEPARATOR)
def test_the_longest_span(elements: list[int], query: list[int], separator: int | None):
    span = SuffixIndex.build(elements, separator=separator).longest(query)
    lengths = lengths_by_hand(elements, query, separator)
    if not any(lengths):
        assert span is None
        return
    start = lengths.index(max(lengths))
    places = places_by_hand(elements, query[start : start + max(lengths)], separator)
    assert span == Span(start, max(lengths), places[0], len(places))


@PROVE
@given(
    elements=SMALL,
    rows=st.lists(st.lists(st.integers(-1, 4), min_size=12, max_size=12), min_size=1, max_size=3),
    separator=SEPARATOR,
    most=st.sampled_from([None, 0, 1, 3]),
)
def test_what_is_written_is_followed(
    elements: list[int], rows: list[list[int]], separator: int | None, most: int | None
):
    index = SuffixIndex.build(elements, separator=separator)
    state_B3 = index.start(len(rows))
    for step in range(1, 13):
        before_B3 = state_B3.copy()
        new_B3 = index.extend(state_B3, [row[step - 1] for row in rows], most=most)
        assert np.array_equal(state_B3, before_B3)
        state_B3 = new_B3
        for row, (length, low, high) in zip(rows, state_B3.tolist(), strict=True):
            longest = max(
                size
                for size in range(step + 1)
                if (most is None or size <= most)
                and (not size or places_by_hand(elements, row[step - size : step], separator))
            )
            assert length == longest
            places = places_by_hand(elements, row[step - length : step], separator)
            assert sorted(index.order_N[low:high].tolist()) == places
            behind = {elements[i + length] for i in places if i + length < len(elements)}
            found = index.followers(np.array((length, low, high)))
            assert found.tolist() == sorted(behind - {separator})


def test_rows_are_picked_and_copied():
    index = SuffixIndex.build([0, 1, 2, 0, 1, 3])
    state_B3 = index.extend(index.extend(index.start(2), [0, 3]), [1, 3])
    picked_B3 = index.extend(state_B3[[0, 0, 1]], [2, 3, 0])
    assert picked_B3[:, 0].tolist() == [3, 3, 1]


@pytest.mark.parametrize("kind", ["noise", "periodic", "one"])
def test_matches_in_a_long_sequence(kind: str):
    rng = np.random.default_rng(1)
    elements_N = {
        "noise": rng.integers(0, 2, 70_000),
        "periodic": np.tile(rng.integers(0, 4, 97), 722),
        "one": np.zeros(70_000, dtype=np.int64),
    }[kind].astype(np.uint8)
    query_M = np.concatenate((elements_N[5000:5300], rng.integers(0, 2, 100), elements_N[:400]))
    query_M[350] = 3
    whole, query = elements_N.tobytes(), query_M.astype(np.uint8).tobytes()
    index = SuffixIndex.build(elements_N)
    lengths_M, places_M = index.matches(query_M)
    for i, (length, place) in enumerate(zip(lengths_M, places_M, strict=True)):
        assert query[i : i + length] in whole
        assert i + length == len(query) or query[i : i + length + 1] not in whole
        assert length == 0 or whole[place : place + length] == query[i : i + length]


@pytest.mark.parametrize("size", [1, 31, 32, 33, 1023, 1025, 33_000])
def test_the_ends_of_an_interval_are_found_however_far_they_are(size: int):
    rng = np.random.default_rng(size)
    empty_N = fixed(np.zeros(0, dtype=np.uint8))
    for few in (0, 1, 3, 60):
        shared_N = np.full(size, 9, dtype=np.int32)
        shared_N[rng.integers(0, size, few)] = rng.integers(0, 9, few)
        shared_N[0] = 0
        minima, levels = (fixed(array) for array in suffix_search.block_minima(shared_N))
        known = suffix_search.Sorted(
            empty_N, fixed(shared_N), fixed(shared_N), fixed(shared_N), minima, levels, -1
        )
        for rank in rng.integers(0, size, 200).tolist():
            for length in (1, 5, 9):
                smaller = np.flatnonzero(shared_N < length)
                before = smaller[smaller <= rank]
                behind = smaller[smaller >= rank]
                assert suffix_search._at_or_before(known, rank, length) == before[-1]
                found = suffix_search._at_or_behind(known, rank, length)
                assert found == (behind[0] if len(behind) else size)
                assert suffix_search._at_or_behind(known, size, length) == size


def test_a_long_copy_takes_no_longer_than_a_short_one():
    elements_N = np.random.default_rng(2).integers(0, 50, 300_000).astype(np.uint8)
    index = SuffixIndex.build(elements_N)
    lengths_M, _ = index.matches(elements_N)  # would take hours in quadratic time
    assert lengths_M.tolist() == list(range(300_000, 0, -1))
    assert index.longest(elements_N) == Span(0, 300_000, 0, 1)


def test_small_ids_take_one_byte_and_no_array_is_copied():
    assert SuffixIndex.build([1, 255]).elements_N.dtype == np.uint8
    assert SuffixIndex.build([1, 256]).elements_N.dtype == np.uint16
    assert SuffixIndex.build([1, 65536]).elements_N.dtype == np.uint32
    elements_N = np.array([3, 1, 2], dtype=np.uint16)
    assert np.shares_memory(SuffixIndex.build(elements_N).elements_N, elements_N)


@pytest.mark.parametrize("wrong", [[-1], [1 << 32], [0.5], [[1], [2]]])
def test_what_is_no_element_is_refused(wrong: list):
    with pytest.raises(ValueError, match="elements are"):
        SuffixIndex.build(wrong)


def test_calls_that_do_not_fit_are_refused():
    index = SuffixIndex.build([1, 2])
    with pytest.raises(ValueError, match="whole numbers"):
        index.count([0.5])
    with pytest.raises(ValueError, match="2 elements for a state"):
        index.extend(index.start(1), [1, 2])
    with pytest.raises(ValueError, match="negative"):
        index.extend(index.start(1), [1], most=-1)


def test_words_stand_alone_or_inside_others():
    index = SuffixIndex.build([1, 2, 0, 3, 1, 0, 1])
    inside_V = np.array([False, True, True, True])
    assert index.stands_alone([1], inside_V)  # the last one
    assert index.stands_alone([1, 2], inside_V)
    assert not index.stands_alone([2], inside_V)
    assert not index.stands_alone([3], inside_V)
    assert not index.stands_alone([4], inside_V)

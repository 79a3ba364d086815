"""Counting: what the trie holds, however its text is cut for counting."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rhapsode.counts import chunks as chunking
from rhapsode.counts import trie as tries
from rhapsode.counts.trie import Trie, learn_trie
from tests.counts.ngram_reference import Reference, documents_of

ARRAYS = ("first_M", "element_M", "count_M", "ending_M", "suffix_M")
compiled = settings(
    deadline=None,
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
texts = st.integers(1, 6).flatmap(
    lambda vocab_size: st.tuples(
        st.just(vocab_size),
        st.lists(st.integers(0, vocab_size - 1), max_size=100),
        st.none() | st.lists(st.integers(0, 100), max_size=12),
    )
)


def sequences(trie: Trie) -> dict[tuple[int, ...], int]:
    """The node of every sequence, read off the children."""
    found, line = {(): 0}, [()]
    for node in range(trie.begin_L[trie.order]):
        for child in range(trie.first_M[node], trie.first_M[node + 1]):
            gram = (*line[node], int(trie.element_M[child]))
            assert child == len(line)
            line.append(gram)
            found[gram] = child
    return found


@compiled
@given(text=texts, order=st.integers(1, 8), opened=st.booleans())
def test_it_holds_every_sequence_and_its_counts(text: tuple, order: int, opened: bool) -> None:
    vocab_size, elements, starts = text
    starts = None if starts is None else [start for start in starts if start <= len(elements)]
    opening = vocab_size - 1 if opened else None
    trie = learn_trie(
        np.array(elements, dtype=np.int64), vocab_size, order=order, starts=starts, opening=opening
    )
    documents = documents_of(elements, starts)
    slow = Reference(documents, vocab_size, order, "absolute", opening=opening)
    found = sequences(trie)
    assert len(trie) == len(found) == len(trie.element_M)
    assert found.keys() == {(), *slow.raw, *((element,) for element in range(vocab_size))}
    assert (trie.elements, trie.documents) == (len(elements), len(documents))
    assert trie.count_M[0] == len(elements) + (len(documents) if opened else 0)
    for gram, node in found.items():
        if gram:
            assert trie.count_M[node] == slow.raw[gram]
            assert trie.suffix_M[node] == found[gram[1:]]
            if len(gram) < order:
                assert trie.ending_M[node] == slow.endings.get(gram, 0)


@compiled
@given(
    text=texts,
    order=st.integers(1, 8),
    chunk=st.integers(1, 40),
    keys=st.integers(1, 40),
    bits=st.sampled_from([12, 16, 24]),
    most=st.none() | st.integers(0, 120),
    opening=st.sampled_from([None, 0]),
)
def test_the_parts_it_is_counted_in_do_not_show(
    *,
    text: tuple,
    order: int,
    chunk: int,
    keys: int,
    bits: int,
    most: int | None,
    opening: int | None,
) -> None:
    vocab_size, elements, starts = text
    starts = None if starts is None else [start for start in starts if start <= len(elements)]
    ids = np.array(elements, dtype=np.int64)
    asked = {"order": order, "starts": starts, "opening": opening}
    if most is not None:
        asked["most_nodes"] = most
    wanted = learn_trie(ids, vocab_size, **asked)
    with (
        patch.object(chunking, "_CHUNK", chunk),
        patch.multiple(tries, _KEYS=keys, _KEY_BITS=bits),
    ):
        found = learn_trie(ids, vocab_size, **asked)
    assert found.begin_L == wanted.begin_L
    assert (found.order, found.once) == (wanted.order, wanted.once)
    for name in ARRAYS:
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name


@pytest.mark.parametrize("opening", [None, 2])
@pytest.mark.parametrize("most", [10**6, 700, 300])
def test_the_parts_of_many_documents_do_not_show(most: int, opening: int | None) -> None:
    random = np.random.default_rng(0)
    ids = (random.random(3000) ** 2 * 6).astype(np.uint8)
    starts = np.flatnonzero(random.random(3000) < 0.08)
    asked = {"order": 7, "starts": starts, "opening": opening, "most_nodes": most}
    wanted = learn_trie(ids, 6, **asked)
    for chunk, keys, bits in ((11, 100, 16), (1000, 10**6, 19), (64, 1, 24)):
        with (
            patch.object(chunking, "_CHUNK", chunk),
            patch.multiple(tries, _KEYS=keys, _KEY_BITS=bits),
        ):
            found = learn_trie(ids, 6, **asked)
        assert found.begin_L == wanted.begin_L
        for name in ARRAYS:
            assert np.array_equal(getattr(found, name), getattr(wanted, name)), name


def test_nodes_are_kept_in_narrow_types() -> None:
    trie = learn_trie(np.random.default_rng(0).integers(50, size=2000), 50, order=6)
    assert {getattr(trie, name).dtype for name in ARRAYS} == {np.dtype(np.int32)}


def test_too_long_a_text_is_refused() -> None:
    endless = np.broadcast_to(np.zeros(1, dtype=np.uint8), (2**31,))
    with pytest.raises(tries.DataError, match="too many to count"):
        learn_trie(endless, 2, order=2)

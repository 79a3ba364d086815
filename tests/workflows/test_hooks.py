"""Validation in part: evenly taken, documents whole where they must be."""

import numpy as np
import pytest

from rhapsode.data import ElementStore, part_of


def store(lengths: list[int], *, pairs: bool = False) -> ElementStore:
    ids_N = np.concatenate([np.full(n, i + 2, np.uint16) for i, n in enumerate(lengths)])
    starts = np.cumsum([0, *lengths[:-1]])
    scored_N = np.arange(len(ids_N)) % 3 > 0 if pairs else None
    counts_V = np.bincount(ids_N).astype(np.int64)
    return ElementStore(ids_N, starts, 1, 1, 0, True, counts_V, scored_N)


def test_little_is_taken_whole() -> None:
    whole = store([5, 7])
    elements_N, starts, scored_N = part_of(whole, 12, fresh=True)
    assert elements_N.tolist() == whole.elements_N.tolist()
    assert starts.tolist() == [0, 5]
    assert scored_N is None


@pytest.mark.parametrize("most", [50, 100, 333])
def test_documents_stay_whole(most: int) -> None:
    lengths = [3 + number % 5 for number in range(200)]
    whole = store(lengths, pairs=True)
    elements_N, starts, scored_N = part_of(whole, most, fresh=True)
    assert abs(len(elements_N) - most) < 0.5 * most + 8
    ends = [*starts[1:], len(elements_N)]
    for begin, end in zip(starts, ends, strict=True):
        document = int(elements_N[begin]) - 2
        assert (elements_N[begin:end] == document + 2).all()
        assert end - begin == lengths[document]
        first = whole.starts[document]
        assert scored_N is not None
        assert whole.scored_N is not None
        np.testing.assert_array_equal(
            scored_N[begin:end], whole.scored_N[first : first + end - begin]
        )
    numbers = np.diff([int(elements_N[begin]) for begin in starts])
    assert (numbers == numbers[0]).all()


def test_a_long_text_is_taken_from_all_over() -> None:
    whole = store([10] * 800)
    elements_N, _, _ = part_of(whole, 800, fresh=False)
    assert len(elements_N) == 800
    found = np.unique(elements_N) - 2
    assert found.min() == 0
    assert found.max() >= 700

"""Fresh documents: every one from its beginning, all of them in every pass, nothing lost between batches."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.data import Batch, FreshStream, document_spans, sweep_fresh
from rhapsode.errors import DataError

PROVE = settings(derandomize=True, deadline=None, max_examples=120)
SIZES = st.lists(st.integers(0, 14), min_size=1, max_size=12).filter(any)


def corpus(sizes: list[int]) -> tuple[np.ndarray, np.ndarray, dict[int, int]]:
    """Elements that tell their place from 1, the starts of documents, and what stands before each element."""
    elements_N = np.arange(1, sum(sizes) + 1, dtype=np.uint32)
    starts = np.cumsum([0, *sizes[:-1]]).astype(np.int64)
    before = {
        int(start) + offset + 1: int(start) + offset if offset else 0
        for start, size in zip(starts, sizes, strict=True)
        for offset in range(size)
    }
    return elements_N, starts, before


class Reader:
    """Follows the rows of batches: each must go on where it was, or begin anew where it is told."""

    def __init__(self, before: dict[int, int]) -> None:
        self._before = before
        self._last: list[int] | None = None
        self.scored: Counter[int] = Counter()

    def read(self, batch: Batch) -> None:
        fresh = batch.reset_BT is not None
        if batch.reset_BT is not None:
            assert batch.reset_BT[:, 0].all()
            assert not batch.reset_BT[:, 1:].any()
        assert fresh or self._last is not None
        counted = batch.weights_BT > 0
        for row in range(batch.rows):
            for column in range(batch.inputs.shape[1]):
                if counted[row, column]:
                    target = int(batch.targets[row, column])
                    assert int(batch.inputs[row, column]) == self._before[target]
                    self.scored[target] += 1
            if counted[row, 0]:
                first = int(batch.inputs[row, 0])
                assert first == (0 if fresh else self._last[row])
            assert (np.diff(counted[row].astype(int)) <= 0).all()
        self._last = batch.targets[:, -1].tolist()


@PROVE
@given(sizes=SIZES, rows=st.integers(1, 5), window=st.integers(1, 9), seed=st.integers(0, 3))
def test_every_pass_reads_every_document_whole(sizes: list[int], rows: int, window: int, seed: int):
    elements_N, starts, before = corpus(sizes)
    stream = FreshStream(elements_N, starts, batch_size=rows, window=window, seed=seed)
    assert stream.elements_per_epoch == len(elements_N)
    done = 0
    for epoch in (1, 2, 3):
        reader = Reader(before)
        for step in range(done, stream.steps(epoch)):
            batch = stream.batch(step)
            assert batch.rows == rows
            assert batch.inputs.shape[1] <= window
            reader.read(batch)
        done = stream.steps(epoch)
        assert set(reader.scored) == set(elements_N.tolist())
        assert set(reader.scored.values()) == {1}
        assert stream.scored(done) == epoch * len(elements_N)


@PROVE
@given(
    sizes=SIZES,
    rows=st.integers(1, 5),
    window=st.integers(1, 9),
    steps=st.lists(st.integers(0, 40), min_size=1, max_size=6),
)
def test_a_step_depends_on_nothing_but_its_number(
    sizes: list[int], rows: int, window: int, steps: list[int]
):
    elements_N, starts, _ = corpus(sizes)
    wandering, fresh = (
        FreshStream(elements_N, starts, batch_size=rows, window=window, seed=1) for _ in range(2)
    )
    expected = [(wandering.batch(step), wandering.scored(step)) for step in steps]
    for step, (batch, scored) in reversed(list(zip(steps, expected, strict=True))):
        np.testing.assert_array_equal(fresh.batch(step).inputs, batch.inputs)
        np.testing.assert_array_equal(fresh.batch(step).weights_BT, batch.weights_BT)
        assert fresh.scored(step) == scored


@PROVE
@given(sizes=SIZES, rows=st.integers(1, 5), window=st.integers(1, 9))
def test_what_was_scored_never_shrinks(sizes: list[int], rows: int, window: int):
    elements_N, starts, _ = corpus(sizes)
    stream = FreshStream(elements_N, starts, batch_size=rows, window=window, seed=0)
    counts = [stream.scored(step) for step in range(30)]
    assert counts[0] == 0
    assert counts == sorted(counts)


def test_the_order_follows_the_seed_and_the_pass():
    elements_N, starts, _ = corpus([1] * 50)

    def order(seed: int, epoch: int) -> tuple[int, ...]:
        stream = FreshStream(elements_N, starts, batch_size=50, window=4, seed=seed)
        return tuple(stream.batch(epoch).targets[:, 0].tolist())

    assert order(0, 0) == order(0, 0)
    assert len({order(seed, epoch) for seed in range(2) for epoch in range(2)}) == 4


def test_documents_of_a_length_share_a_batch():
    elements_N, starts, _ = corpus([3, 9, 3, 9, 3, 9, 3, 9])
    stream = FreshStream(elements_N, starts, batch_size=4, window=20, seed=0)
    assert {stream.batch(step).inputs.shape for step in range(2)} == {(4, 3), (4, 9)}
    assert all(stream.batch(step).weights_BT.all() for step in range(2))


@pytest.mark.parametrize("documents", [0, 1, 2])
def test_nothing_to_read_is_refused(documents: int):
    elements_N, starts = np.zeros(0, dtype=np.uint8), np.zeros(documents, dtype=np.int64)
    with pytest.raises(DataError, match="no document"):
        FreshStream(elements_N, starts, batch_size=1, window=1, seed=0)


def test_spans_leave_out_what_is_empty():
    starts = np.array([0, 0, 3, 3, 5], dtype=np.int64)
    assert document_spans(starts, 9).tolist() == [[0, 3], [3, 5], [5, 9]]
    assert document_spans(starts, 5).tolist() == [[0, 3], [3, 5]]


def test_no_documents_have_no_spans():
    none = np.zeros(0, dtype=np.int64)
    assert document_spans(none, 0).shape == (0, 2)
    assert list(sweep_fresh(none, none, rows=2, window=3)) == []


@PROVE
@given(sizes=SIZES, rows=st.integers(1, 5), window=st.integers(1, 9))
def test_a_sweep_scores_every_element_once(sizes: list[int], rows: int, window: int):
    elements_N, starts, before = corpus(sizes)
    reader = Reader(before)
    for batch in sweep_fresh(elements_N, starts, rows=rows, window=window):
        assert batch.rows == rows
        reader.read(batch)
    assert set(reader.scored) == set(elements_N.tolist())
    assert set(reader.scored.values()) == {1}

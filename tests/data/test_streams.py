"""Batches: training streams that never break and never favour an element, and a sweep that scores each one once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rhapsode.data import CarriedStream, sweep, sweep_lanes
from rhapsode.errors import DataError

PROVE = settings(derandomize=True, deadline=None, max_examples=150)


def numbered(total: int) -> np.ndarray:
    """Elements that tell their place: 1, 2, 3, ..."""
    return np.arange(1, total + 1, dtype=np.uint32)


@st.composite
def streams_and_rings(draw: st.DrawFn) -> tuple[CarriedStream, list[int]]:
    """A stream, and the corpus as it reads it: an end-of-sequence stands behind an incomplete one."""
    window = draw(st.integers(1, 9))
    total = draw(st.integers(window, 40))
    complete = draw(st.booleans())
    stream = CarriedStream(
        numbered(total), batch_size=draw(st.integers(1, 7)), window=window, complete=complete
    )
    return stream, numbered(total).tolist() + ([] if complete else [0])


def streams() -> st.SearchStrategy[CarriedStream]:
    return streams_and_rings().map(lambda both: both[0])


@PROVE
@given(stream=streams(), first=st.integers(0, 100))
def test_a_row_goes_on_where_it_ended(stream: CarriedStream, first: int):
    now, later = stream.batch(first), stream.batch(first + 1)
    np.testing.assert_array_equal(later.inputs[:, 0], now.targets[:, -1])
    for batch in (now, later):
        np.testing.assert_array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])
        assert batch.rows == stream.batch_size
        for array in (batch.inputs, batch.targets):
            assert array.shape == (stream.batch_size, stream.window)
            assert array.dtype == np.int64
        assert batch.weights_BT.dtype == np.float32
        assert batch.reset_BT is None


@PROVE
@given(stream=streams(), step=st.integers(0, 10**6))
def test_a_step_depends_on_nothing_but_its_number(stream: CarriedStream, step: int):
    before = stream.batch(step)
    stream.batch(0)
    after = stream.batch(step)
    np.testing.assert_array_equal(before.inputs, after.inputs)
    np.testing.assert_array_equal(before.targets, after.targets)
    np.testing.assert_array_equal(before.weights_BT, after.weights_BT)


@PROVE
@given(both=streams_and_rings(), steps=st.integers(1, 12))
def test_rows_read_the_ring_in_order_from_evenly_spaced_places(
    both: tuple[CarriedStream, list[int]], steps: int
):
    stream, ring = both
    length = len(ring)
    assert stream.elements_per_epoch == length
    batches = [stream.batch(step) for step in range(steps)]
    targets_BN = np.concatenate([batch.targets for batch in batches], axis=1)
    inputs_BN = np.concatenate([batch.inputs for batch in batches], axis=1)
    for row in range(stream.batch_size):
        begin = row * length // stream.batch_size
        reading = [ring[(begin + offset) % length] for offset in range(steps * stream.window)]
        assert targets_BN[row].tolist() == reading
        assert inputs_BN[row, 0] == ring[begin - 1]


@PROVE
@given(streams_and_rings())
def test_over_an_epoch_every_element_is_a_target_equally_often(
    both: tuple[CarriedStream, list[int]],
):
    stream, ring = both
    length = len(ring)
    found = np.zeros(length + 1, dtype=np.int64)
    for step in range(length):
        batch = stream.batch(step)
        np.add.at(found, batch.targets, batch.weights_BT.astype(np.int64))
    scored = [element for element in ring if element]
    assert set(found[scored].tolist()) == {stream.batch_size * stream.window}
    assert found.sum() == stream.batch_size * stream.window * len(scored)


@PROVE
@given(window=st.integers(1, 6), rows=st.integers(1, 5), windows=st.integers(1, 5))
def test_a_corpus_that_fits_is_read_exactly_once(window: int, rows: int, windows: int):
    total = window * rows * windows
    stream = CarriedStream(numbered(total), batch_size=rows, window=window)
    assert stream.steps(1) == windows
    targets = np.concatenate([stream.batch(step).targets.ravel() for step in range(windows)])
    assert sorted(targets.tolist()) == list(range(1, total + 1))


@pytest.mark.parametrize("ends", [0, 2])
def test_some_windows_begin_after_an_end_of_sequence_where_it_is_rare(ends: int) -> None:
    elements = numbered(8192)
    elements[:ends] = 0
    stream = CarriedStream(elements, batch_size=4, window=8)
    batches = [stream.batch(step) for step in range(1, 65)]
    before, targets = stream.batch(0), []
    begun = 0
    for batch in batches:
        np.testing.assert_array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])
        whole = batch.inputs[:, 0] == before.targets[:, -1]
        assert (batch.inputs[~whole, 0] == 0).all()
        begun += int((~whole).sum())
        targets.append(batch.targets)
        before = batch
    assert begun == (0 if ends else 16)  # one window of 16, of all rows alike
    assert targets[-1][0, -1] == 65 * 8


def test_an_incomplete_corpus_ends_with_an_end_of_sequence_that_is_not_scored():
    stream = CarriedStream(numbered(5), batch_size=1, window=3, complete=False)
    first, second = stream.batch(0), stream.batch(1)
    assert first.inputs.tolist() == [[0, 1, 2]]
    assert first.targets.tolist() == [[1, 2, 3]]
    assert first.weights_BT.tolist() == [[1, 1, 1]]
    assert second.inputs.tolist() == [[3, 4, 5]]
    assert second.targets.tolist() == [[4, 5, 0]]
    assert second.weights_BT.tolist() == [[1, 1, 0]]
    assert stream.batch(2).inputs.tolist() == [[0, 1, 2]]


def test_a_complete_corpus_goes_on_behind_its_own_end_of_sequence():
    elements_N = np.array([5, 6, 7, 0], dtype=np.uint8)
    stream = CarriedStream(elements_N, batch_size=1, window=3)
    assert stream.elements_per_epoch == 4
    assert stream.batch(0).inputs.tolist() == [[0, 5, 6]]
    assert stream.batch(1).inputs.tolist() == [[7, 0, 5]]
    assert stream.batch(1).targets.tolist() == [[0, 5, 6]]
    assert stream.batch(1).weights_BT.tolist() == [[1, 1, 1]]


def test_far_steps_do_not_overflow():
    stream = CarriedStream(numbered(1000), batch_size=3, window=7)
    cycle = stream.batch(1000 * 10**12)
    np.testing.assert_array_equal(cycle.inputs, stream.batch(0).inputs)


@pytest.mark.parametrize(
    ("epochs", "steps"), [(1, 5), (2, 10), (0.5, 2), (0.001, 1), (1.1, 6), (1e6, 5_000_000)]
)
def test_steps_of_epochs(epochs: float, steps: int):
    stream = CarriedStream(numbered(100), batch_size=2, window=10)
    assert stream.steps(epochs) == steps


def test_a_corpus_shorter_than_a_window_is_refused():
    CarriedStream(numbered(8), batch_size=4, window=8)
    for total in (0, 7):
        with pytest.raises(DataError, match=f"has {total} elements, fewer than one window of 8"):
            CarriedStream(numbered(total), batch_size=1, window=8)


@st.composite
def sweeps(draw: st.DrawFn) -> tuple[int, int, int, int]:
    return (
        draw(st.integers(1, 60)),
        draw(st.integers(1, 9) | st.integers(1, 80)),
        draw(st.integers(1, 12)),
        draw(st.integers(0, 20)),
    )


@PROVE
@given(sweeps())
def test_a_sweep_scores_every_element_once_behind_the_one_before_it(
    asked: tuple[int, int, int, int],
):
    total, lanes, window, warm_up = asked
    scored: list[int] = []
    for batch in sweep(numbered(total), lanes=lanes, window=window, warm_up=warm_up):
        assert batch.inputs.shape == batch.targets.shape == batch.weights_BT.shape
        assert batch.inputs.dtype == batch.targets.dtype == np.int64
        assert 1 <= batch.inputs.shape[1] <= window
        assert set(np.unique(batch.weights_BT)) <= {0.0, 1.0}
        counted = batch.weights_BT > 0
        scored += batch.targets[counted].tolist()
        np.testing.assert_array_equal(batch.inputs[counted], batch.targets[counted] - 1)
    assert sorted(scored) == list(range(1, total + 1))


@PROVE
@given(sweeps())
def test_lanes_read_on_without_a_gap_behind_their_warm_up(asked: tuple[int, int, int, int]):
    total, lanes, window, warm_up = asked
    batches = list(sweep(numbered(total), lanes=lanes, window=window, warm_up=warm_up))
    assert {batch.rows for batch in batches} == {min(lanes, total)}
    inputs_BN = np.concatenate([batch.inputs for batch in batches], axis=1)
    targets_BN = np.concatenate([batch.targets for batch in batches], axis=1)
    weights_BN = np.concatenate([batch.weights_BT for batch in batches], axis=1)
    resets_BN = np.concatenate(
        [
            np.zeros(batch.inputs.shape, dtype=bool) if batch.reset_BT is None else batch.reset_BT
            for batch in batches
        ],
        axis=1,
    )
    np.testing.assert_array_equal(inputs_BN[:, 1:], targets_BN[:, :-1])
    for row in range(len(inputs_BN)):
        counted = np.flatnonzero(weights_BN[row])
        if not len(counted):
            continue
        first = counted[0]
        known = int(inputs_BN[row, first])
        read = min(warm_up, known)
        assert inputs_BN[row, first - read : first + 1].tolist() == list(
            range(known - read, known + 1)
        )
        assert counted.tolist() == list(range(first, first + len(counted)))
        fresh = np.flatnonzero(resets_BN[row])
        assert len(fresh) <= 1
        if first > 0:
            begins = np.flatnonzero(targets_BN[row] == 1)
            np.testing.assert_array_equal(fresh, begins)
        if len(fresh):
            assert inputs_BN[row, fresh[0]] == 0
            assert targets_BN[row, fresh[0]] == 1


@pytest.mark.parametrize(("lanes", "warm_up"), [(1, 0), (1, 100), (3, 0)])
def test_nothing_is_reset_where_no_warm_up_is_read(lanes: int, warm_up: int):
    batches = list(sweep(numbered(10), lanes=lanes, window=4, warm_up=warm_up))
    assert all(batch.reset_BT is None for batch in batches)
    assert batches[0].inputs[0, 0] == 0


def test_one_lane_is_the_plain_pass_in_order():
    batches = list(sweep(numbered(7), lanes=1, window=3, warm_up=50))
    assert [batch.inputs.tolist() for batch in batches] == [[[0, 1, 2]], [[3, 4, 5]], [[6]]]
    assert [batch.targets.tolist() for batch in batches] == [[[1, 2, 3]], [[4, 5, 6]], [[7]]]
    assert all(batch.weights_BT.all() for batch in batches)


def test_two_lanes_by_hand():
    first, second, third = sweep(numbered(5), lanes=2, window=2, warm_up=1)
    assert first.inputs.tolist() == [[0, 0], [1, 2]]
    assert first.weights_BT.tolist() == [[0, 0], [0, 0]]
    assert first.reset_BT is None
    assert second.inputs.tolist() == [[0, 1], [3, 4]]
    assert second.targets.tolist() == [[1, 2], [4, 5]]
    assert second.weights_BT.tolist() == [[1, 1], [1, 1]]
    assert second.reset_BT is not None
    assert second.reset_BT.tolist() == [[True, False], [False, False]]
    assert third.targets.tolist() == [[3], [0]]
    assert third.weights_BT.tolist() == [[1], [0]]


def test_more_lanes_than_elements_score_each_in_a_lane_of_its_own():
    (batch,) = sweep(numbered(3), lanes=50, window=4)
    assert batch.inputs.tolist() == [[0], [1], [2]]
    assert batch.targets.tolist() == [[1], [2], [3]]


def test_nothing_sweeps_to_nothing():
    assert list(sweep(numbered(0), lanes=3, window=4, warm_up=2)) == []


@pytest.mark.parametrize(
    ("elements", "lanes"),
    [(0, 1), (1, 1), (200_000, 1), (200_001, 13), (1_048_576, 64), (10**9, 64)],
)
def test_lanes_grow_with_the_text(elements: int, lanes: int):
    assert sweep_lanes(elements) == lanes


def test_lane_limits_can_be_set():
    assert sweep_lanes(100, exact_up_to=10, longest=30, most=3) == 3
    assert sweep_lanes(100, exact_up_to=10, longest=60, most=3) == 2
    assert sweep_lanes(10, exact_up_to=10, longest=1, most=3) == 1

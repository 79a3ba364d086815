"""Series in windows: each value once a pass, rows that go on, and nothing scored that is not there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhapsode.data import ValueArrays, ValueStream, sweep_values
from rhapsode.errors import DataError

lengths_of = st.lists(st.integers(1, 40), min_size=1, max_size=6)


def arrays_of(lengths: list[int], missing: tuple[int, ...] = ()) -> ValueArrays:
    """Series whose every row holds its own number."""
    total = sum(lengths)
    numbers = np.arange(total, dtype=np.float32)[:, None]
    weights = np.ones(total, dtype=np.float32)
    targets = numbers.copy()
    for row in missing:
        weights[row % total] = 0.0
        targets[row % total] = np.nan
    return ValueArrays(
        np.cumsum([0, *lengths]),
        numbers,
        np.zeros((total, 0), dtype=np.float32),
        targets,
        weights,
        numbers[:, 0] / 10,
        np.arange(len(lengths), dtype=np.float32)[:, None],
    )


@given(lengths_of, st.integers(1, 5), st.integers(1, 9), st.integers(1, 30), st.integers(0, 3))
def test_every_value_is_scored_once_a_pass(
    lengths: list[int], rows: int, window: int, longest: int, seed: int
) -> None:
    arrays = arrays_of(lengths)
    stream = ValueStream(arrays, batch_size=rows, window=window, longest=longest, seed=seed)
    seen: dict[int, int] = {}
    step = 0
    while len(seen) < sum(lengths):
        batch = stream.batch(step)
        step += 1
        assert step < 2000
        known = batch.weights_BT > 0
        for number in batch.targets[..., 0][known].astype(int).tolist():
            seen[number] = seen.get(number, 0) + 1
        assert np.isnan(batch.targets[~known]).all()
        assert (batch.inputs[known] == batch.targets[known]).all()
    # Passes follow one another: once the last stretch of the first has begun, the other rows take at most `rows` new
    # ones a step until it ends, and a value stands in one stretch a pass.
    steps_of_one = -(-max(longest, window) // window)
    assert max(seen.values()) <= 1 + -(-rows * steps_of_one // len(lengths))
    assert stream.scored(step) == sum(seen.values())


@given(lengths_of, st.integers(1, 4), st.integers(1, 9), st.integers(1, 30))
def test_a_row_goes_on_or_begins_afresh_at_a_window(
    lengths: list[int], rows: int, window: int, longest: int
) -> None:
    stream = ValueStream(arrays_of(lengths), batch_size=rows, window=window, longest=longest)
    last = np.full(rows, -1)
    for step in range(12):
        batch = stream.batch(step)
        assert batch.reset_BT is not None
        assert batch.log_scale_BK is not None
        assert not batch.reset_BT[:, 1:].any()
        for row in range(rows):
            known = batch.weights_BT[row] > 0
            numbers = batch.targets[row, known, 0].astype(int)
            assert (np.diff(numbers) == 1).all()
            owner = np.searchsorted(np.cumsum(lengths), numbers, side="right")
            assert (owner == batch.log_scale_BK[row, 0]).all()
            if not batch.reset_BT[row, 0]:
                assert numbers[0] == last[row] + 1
            last[row] = numbers[-1]


def test_a_step_depends_on_nothing_but_the_step() -> None:
    made = [
        ValueStream(arrays_of([30, 7, 19]), batch_size=2, window=4, longest=12) for _ in range(2)
    ]
    far = made[0].batch(17)
    for step in range(17):
        made[1].batch(step)
    near = made[1].batch(17)
    np.testing.assert_array_equal(far.targets, near.targets)
    np.testing.assert_array_equal(far.reset_BT, near.reset_BT)


def test_parts_of_a_long_series_begin_elsewhere_at_every_pass() -> None:
    stream = ValueStream(arrays_of([60]), batch_size=1, window=10, longest=20)
    begins = {
        int(batch.targets[0, 0, 0])
        for batch in map(stream.batch, range(40))
        if batch.reset_BT is not None and batch.reset_BT[0, 0]
    }
    assert len(begins) > 8


def test_missing_values_are_not_scored() -> None:
    arrays = arrays_of([5, 5], missing=(1, 7))
    stream = ValueStream(arrays, batch_size=2, window=5, longest=5)
    assert stream.elements_per_epoch == 8
    assert stream.batch(0).weights_BT.sum() == 8


def test_nothing_to_learn_from() -> None:
    with pytest.raises(DataError, match="no known value"):
        ValueStream(arrays_of([2], missing=(0, 1)), batch_size=1, window=2, longest=2)


@given(lengths_of, st.integers(1, 4), st.integers(1, 9), st.data())
def test_a_sweep_reads_each_stretch_once(
    lengths: list[int], rows: int, window: int, data: st.DataObject
) -> None:
    arrays = arrays_of(lengths)
    starts = arrays.offsets[:-1] + [data.draw(st.integers(0, n)) for n in lengths]
    found: list[int] = []
    for _, batch in sweep_values(arrays, starts, arrays.offsets[1:], rows=rows, window=window):
        assert batch.positions_BT is not None
        found += batch.positions_BT[batch.positions_BT >= 0].tolist()
        assert (batch.weights_BT[batch.positions_BT < 0] == 0).all()
    wanted = [
        row
        for start, stop in zip(starts, arrays.offsets[1:], strict=True)
        for row in range(start, stop)
    ]
    assert sorted(found) == wanted

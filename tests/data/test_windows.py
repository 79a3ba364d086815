"""Fixed windows: whole stretches of the corpus, laid as asked, each pass complete and each element scored once."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rhapsode.data import WindowStream, sweep_windows
from rhapsode.errors import DataError

PROVE = settings(derandomize=True, deadline=None, max_examples=120)


def numbered(total: int) -> np.ndarray:
    """Elements that tell their place: 1, 2, 3, ..."""
    return np.arange(1, total + 1, dtype=np.uint32)


@st.composite
def asked(draw: st.DrawFn) -> tuple[int, dict]:
    """A number of elements, and how windows are laid over them."""
    size = draw(st.integers(1, 8))
    total = draw(st.integers(size + 1, 50))
    return total, {
        "size": size,
        "batch_size": draw(st.integers(1, 7)),
        "stride": draw(st.none() | st.integers(1, 12)),
        "shuffle": draw(st.booleans()),
        "drop_last": draw(st.booleans()),
        "loss": draw(st.sampled_from(["all", "last"])),
        "seed": draw(st.integers(0, 3)),
    }


def stream_of(total: int, how: dict) -> WindowStream:
    try:
        return WindowStream(numbered(total), **how)
    except DataError:
        assert how["drop_last"]
        assume(False)
        raise


@PROVE
@given(asked(), st.integers(0, 3))
def test_a_pass_lays_the_windows_as_asked(both: tuple[int, dict], epoch: int):
    total, how = both
    size, stride = how["size"], how["stride"] or how["size"]
    stream = stream_of(total, how)
    steps = stream.steps(1)
    begins: list[int] = []
    for step in range(epoch * steps, (epoch + 1) * steps):
        batch = stream.batch(step)
        np.testing.assert_array_equal(batch.targets, batch.inputs + 1)
        np.testing.assert_array_equal(np.diff(batch.inputs, axis=1), 1)
        assert batch.inputs.shape[1] == size
        assert batch.rows <= how["batch_size"]
        assert batch.targets.max() <= total
        assert batch.reset_BT is None
        if how["loss"] == "last":
            assert not batch.weights_BT[:, :-1].any()
        assert (batch.weights_BT[:, -1] == 1).all()
        assert how["loss"] == "last" or batch.weights_BT.all()
        begins += (batch.inputs[:, 0] - 1).tolist()
        full = step < (epoch + 1) * steps - 1 or how["drop_last"]
        assert not full or batch.rows == how["batch_size"]
    assert len(set(begins)) == len(begins)
    assert how["shuffle"] or begins == sorted(begins)
    offsets = {begin % stride for begin in begins}
    assert len(offsets) == 1
    if how["stride"] is not None:
        assert offsets == {0}
        possible = range(0, total - size, stride)
        missing = set(possible) - set(begins)
        assert len(missing) == (len(possible) % how["batch_size"] if how["drop_last"] else 0)


@PROVE
@given(asked(), st.integers(0, 30))
def test_what_was_scored_is_counted(both: tuple[int, dict], steps: int):
    stream = stream_of(*both)
    weights = [stream.batch(step).weights_BT.sum() for step in range(steps)]
    assert stream.scored(steps) == sum(weights)
    passes = [stream.batch(step).weights_BT.sum() for step in range(stream.steps(1))]
    assert stream.elements_per_epoch == sum(passes)


@PROVE
@given(asked(), st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_a_step_depends_on_nothing_but_its_number(both: tuple[int, dict], steps: list[int]):
    wandering, fresh = stream_of(*both), stream_of(*both)
    expected = [wandering.batch(step).inputs for step in steps]
    for step, inputs in reversed(list(zip(steps, expected, strict=True))):
        np.testing.assert_array_equal(fresh.batch(step).inputs, inputs)


def test_windows_end_to_end_begin_elsewhere_at_every_pass():
    stream = WindowStream(numbered(1005), size=10, batch_size=200, shuffle=False)
    offsets = {int(stream.batch(epoch).inputs[0, 0]) for epoch in range(60)}
    assert offsets == set(range(1, 11))


def test_the_order_follows_the_seed_and_the_pass():
    def order(seed: int, epoch: int) -> list[int]:
        stream = WindowStream(numbered(300), size=5, batch_size=300, stride=1, seed=seed)
        return stream.batch(epoch).inputs[:, 0].tolist()

    assert order(0, 0) == order(0, 0)
    orders = [order(seed, epoch) for seed in range(2) for epoch in range(2)]
    assert all(sorted(each) == list(range(1, 296)) for each in orders)
    assert len({tuple(each) for each in orders}) == 4


def test_the_classic_overlapping_windows_by_hand():
    stream = WindowStream(numbered(6), size=3, batch_size=2, stride=1, shuffle=False, loss="last")
    assert stream.batch(0).inputs.tolist() == [[1, 2, 3], [2, 3, 4]]
    assert stream.batch(0).targets[:, -1].tolist() == [4, 5]
    assert stream.batch(0).weights_BT.tolist() == [[0, 0, 1], [0, 0, 1]]
    assert stream.batch(1).inputs.tolist() == [[3, 4, 5]]
    assert stream.batch(2).inputs.tolist() == [[1, 2, 3], [2, 3, 4]]
    assert (stream.steps(1), stream.steps(2.5), stream.steps(0.01)) == (2, 5, 1)


def test_too_little_for_a_window_or_a_batch_is_refused():
    WindowStream(numbered(4), size=3, batch_size=1)
    for total in (0, 3):
        with pytest.raises(DataError, match=f"has {total} elements, fewer than one window of 3"):
            WindowStream(numbered(total), size=3, batch_size=1)
    with pytest.raises(DataError, match="1 windows do not fill a batch of 2"):
        WindowStream(numbered(4), size=3, batch_size=2, drop_last=True)


@PROVE
@given(
    total=st.integers(0, 40),
    size=st.integers(1, 12),
    rows=st.integers(1, 9),
    every=st.integers(1, 4),
)
def test_a_sweep_scores_each_element_once_behind_its_window(
    total: int, size: int, rows: int, every: int
):
    scored: list[int] = []
    for index, batch in enumerate(
        sweep_windows(numbered(total), size=size, rows=rows, every=every)
    ):
        np.testing.assert_array_equal(batch.targets, batch.inputs + 1)
        assert batch.rows <= (rows if index else 1)
        counted = batch.weights_BT > 0
        scored += batch.targets[counted].tolist()
        if index:
            assert counted[:, -1].all()
            assert counted.sum() == batch.rows
            assert batch.inputs.shape[1] == size
            assert batch.inputs.min() >= 1
        else:
            assert batch.inputs[0, 0] == 0
    behind = range(size + 1, total + 1)
    expected = list(range(1, min(size, total) + 1)) + list(behind[::every])
    assert scored == expected

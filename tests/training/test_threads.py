"""Threads of an update: the fastest way is found, quiet or busy, and found again when that changes."""

from collections.abc import Callable

import pytest
import torch

from rhapsode.training.thread_choice import (
    SleepingThreads,
    ThreadChooser,
    ThreadMode,
    TrainingThreads,
    cores_are_free,
    thread_modes,
)

ELEMENTS = 2_000
SLEEP, SPIN, ONE = ThreadMode(2), ThreadMode(2, spin=True), ThreadMode(1)
# Elements a second, as measured for an LSTM of 512 units on two cores.
QUIET = {SPIN: 18_700.0, SLEEP: 16_600.0, ONE: 11_700.0}
BUSY = {SPIN: 2_000.0, SLEEP: 8_000.0, ONE: 7_000.0}
BUSY_FOR_TWO = {SPIN: 2_000.0, SLEEP: 6_500.0, ONE: 7_200.0}


def share_of_the_best(
    rates: Callable[[float], dict[ThreadMode, float]], seconds: float
) -> tuple[float, ThreadMode]:
    """Elements read, of those that the best way at every moment would read; and the last way."""
    time = read = best = 0.0
    chooser = ThreadChooser(
        thread_modes(2, counts=True), lambda: rates(time) is QUIET, lambda: time
    )
    while time < seconds:
        now = rates(time)
        taken = ELEMENTS / now[chooser.mode]
        best += taken * max(now.values())
        time, read = time + taken, read + ELEMENTS
        chooser.took(ELEMENTS, taken)
    return read / best, chooser.mode


@pytest.mark.parametrize(
    ("rates", "wanted"),
    [(QUIET, SPIN), (BUSY, SLEEP), (BUSY_FOR_TWO, ONE)],
    ids=["quiet", "busy", "one"],
)
@pytest.mark.parametrize("seconds", [20, 180])
def test_the_fastest_way_is_found(
    rates: dict[ThreadMode, float], wanted: ThreadMode, seconds: int
) -> None:
    share, last = share_of_the_best(lambda _: rates, seconds)
    assert share > 0.97
    assert last == wanted


def test_another_program_that_comes_and_goes_is_followed() -> None:
    share, last = share_of_the_best(lambda time: BUSY if 30 < time < 60 else QUIET, 120)
    assert share > 0.94
    assert last == SPIN


def test_bursts_do_not_cost_more_than_sleeping_threads_would() -> None:
    share, _ = share_of_the_best(lambda time: BUSY if time % 10 > 7 else QUIET, 120)
    assert share > 0.8


def test_fewer_threads_are_tried_only_where_bits_may_change() -> None:
    assert {mode.threads for mode in thread_modes(16, counts=False)} == {16}
    assert {mode.threads for mode in thread_modes(16, counts=True)} == {16, 15, 8, 1}
    assert thread_modes(1, counts=True) == [ThreadMode(1)]
    assert not thread_modes(8, counts=True)[0].spin


def test_recorded_numbers_of_threads_are_taken_again() -> None:
    most = torch.get_num_threads()
    threads = TrainingThreads(thread_modes(most, counts=False), {3: 1, 5: most})
    try:
        assert [threads.before(step) for step in range(7)] == [most, most, most, 1, 1, most, most]
    finally:
        threads.end()


def test_the_process_is_left_as_it_was() -> None:
    most = torch.get_num_threads()
    threads = TrainingThreads(thread_modes(most, counts=True))
    threads.before(0)
    threads.took(1, 1.0)
    threads.end()
    assert torch.get_num_threads() == most
    waiting = SleepingThreads()
    waiting.sleep()
    waiting.sleep()
    waiting.spin()
    waiting.spin()


def test_the_probe_answers() -> None:
    assert cores_are_free() in {True, False}

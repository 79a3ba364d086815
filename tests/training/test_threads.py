"""Threads of an update: the fastest way is found, quiet or busy, and found again when that changes."""

from collections import Counter
from collections.abc import Callable
from math import exp
from pathlib import Path
from random import Random

import pytest
import torch

from rhapsode.training.threads import other_programs
from rhapsode.training.threads.other_programs import CoreUse
from rhapsode.training.threads.thread_choice import (
    SleepingThreads,
    ThreadChooser,
    ThreadMode,
    TrainingThreads,
    thread_modes,
)

ELEMENTS = 2_000
SLEEP, SPIN, ONE = ThreadMode(2), ThreadMode(2, spin=True), ThreadMode(1)
# Elements a second, as measured for an LSTM of 512 units on two cores.
QUIET = {SPIN: 18_700.0, SLEEP: 16_600.0, ONE: 11_700.0}
BUSY = {SPIN: 2_000.0, SLEEP: 8_000.0, ONE: 7_000.0}
BUSY_FOR_TWO = {SPIN: 2_000.0, SLEEP: 6_500.0, ONE: 7_200.0}


def course(
    rates: Callable[[float], dict[ThreadMode, float]],
    seconds: float,
    free: object = QUIET,
    scatter: float = 0.03,
) -> tuple[int, ThreadMode, dict[ThreadMode, float]]:
    """Elements read with ways chosen, the way used most at the end, and what fixed ways read."""

    def read_in(way: Callable[[], ThreadMode], took: Callable[[int, float], None]) -> int:
        nonlocal time
        noise, until, factor = Random(0), 0.0, 1.0
        time, read = 0.0, 0
        while time < seconds:
            if time >= until:
                until, factor = until + 0.7, exp(noise.gauss(0, scatter))
            taken = ELEMENTS / rates(time)[way()] * factor
            used[way()] += taken * (time > seconds / 2)
            time, read = time + taken, read + ELEMENTS
            took(ELEMENTS, taken)
        return read

    time = 0.0
    used: Counter[ThreadMode] = Counter()
    modes = thread_modes(2, counts=True)
    last, others = 0.0, 0.0

    def cores() -> CoreUse:
        nonlocal last, others
        taken = others / (time - last)
        last, others = time, 0.0
        return CoreUse(2 - taken, busy=taken > 0.5)

    def took(elements: int, seconds: float) -> None:
        nonlocal others
        others += seconds * (rates(time) is not free)
        chooser.took(elements, seconds)

    chooser = ThreadChooser(modes, cores)
    read = read_in(lambda: chooser.mode, took)
    most = max(used, key=lambda mode: used[mode])
    fixed = {mode: float(read_in(lambda: mode, lambda *_: None)) for mode in modes}  # noqa: B023
    return read, most, fixed


@pytest.mark.parametrize(
    ("rates", "wanted"),
    [(QUIET, SPIN), (BUSY, SLEEP), (BUSY_FOR_TWO, ONE)],
    ids=["quiet", "busy", "one"],
)
@pytest.mark.parametrize("seconds", [20, 180])
def test_the_fastest_way_is_found(
    rates: dict[ThreadMode, float], wanted: ThreadMode, seconds: int
) -> None:
    read, most, fixed = course(lambda _: rates, seconds)
    assert read > 0.96 * max(fixed.values())
    assert most == wanted


def test_the_fastest_way_is_found_where_times_scatter_widely() -> None:
    """Stretches that differ by a quarter, as beside two busy programs."""
    read, most, fixed = course(lambda _: BUSY_FOR_TWO, 180, scatter=0.25)
    assert read > 0.95 * max(fixed.values())
    assert most == ONE


def test_another_program_that_comes_and_goes_is_followed() -> None:
    read, most, fixed = course(lambda time: BUSY if 30 < time < 60 else QUIET, 120)
    assert read > 1.02 * max(fixed.values())
    assert most == SPIN


def test_the_best_fixed_way_is_nearly_reached_beside_short_bursts() -> None:
    """A program that works 0.3 s of each second; rates measured beside it and without it."""
    quiet = {SPIN: 25_000.0, SLEEP: 20_000.0, ONE: 20_400.0}
    busy = {SPIN: 8_700.0, SLEEP: 16_200.0, ONE: 19_400.0}
    read, _, fixed = course(lambda time: busy if time % 1 < 0.3 else quiet, 120, quiet)
    assert read > 0.95 * max(fixed.values())


def test_a_program_that_comes_every_ten_seconds_costs_little() -> None:
    read, _, fixed = course(lambda time: BUSY if time % 10 > 7 else QUIET, 120)
    assert read > 0.93 * max(fixed.values())


def test_fewer_threads_are_tried_only_where_bits_may_change() -> None:
    assert {mode.threads for mode in thread_modes(16, counts=False)} == {16}
    assert {mode.threads for mode in thread_modes(16, counts=True)} == {16, 15, 8, 1}
    assert thread_modes(1, counts=True) == [ThreadMode(1)]
    assert not thread_modes(8, counts=True)[0].spin


def test_a_single_way_is_kept_beside_busy_programs() -> None:
    chooser = ThreadChooser([SPIN], lambda: CoreUse(1.0, busy=True))
    chooser.took(1, 2.0)
    assert chooser.mode == SPIN
    assert chooser.busy


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


@pytest.mark.parametrize(
    ("others", "idle", "busy"),
    [(100, 100, False), (100, 0, True), (20, 0, False), (900, 100, False)],
)
def test_busy_programs_are_noticed(
    others: int, idle: int, busy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks of a hundredth of a second within one second; the process itself used none."""
    file, now = tmp_path / "stat", [0.0]
    monkeypatch.setattr(other_programs, "_STATISTICS", file)
    monkeypatch.setattr(other_programs.os, "sysconf", lambda _: 100, raising=False)
    monkeypatch.setattr(other_programs.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(other_programs.time, "process_time", lambda: 3.0)
    file.write_text("cpu  500 0 100 7000 0 0 0 0 0 0\ncpu0 1 1 1 1\n")
    programs = other_programs.OtherPrograms()
    assert programs.since() is None
    file.write_text(f"cpu  {500 + others} 0 100 {7000 + idle} 0 0 0 0 0 0\n")
    now[0] = 1.0
    use = programs.since()
    assert use is not None
    assert use.busy is busy
    assert use.free == pytest.approx(idle / 100)
    file.unlink()
    now[0] = 2.0
    assert programs.since() is None

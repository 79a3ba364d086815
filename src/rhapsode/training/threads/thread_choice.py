"""Threads of an update: their number, and how they wait.

Threads that spin meet fastest on a quiet machine. Beside another busy program the one that waits
keeps a core from the one that works, and training runs at a quarter of its speed or less. So the
ways are timed while a run goes, and the fastest is taken.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from rhapsode.training.threads.other_programs import CoreUse, OtherPrograms

# Seconds of a stretch after which a way is judged: longer than the bursts in which other programs
# tend to work. A way that is this much slower than the best one is given up sooner.
STRETCH, SHORT, HOPELESS = 1.0, 0.25, 1.3
# Seconds of updates after which a measurement counts for 1 / e; and what is left of all of them
# once the best way changes its speed by more than this logarithm.
MEMORY, CHANGED, FORGET = 12.0, 0.25, 0.2
# Standard deviation of the logarithm of a stretch's speed: at first, and at least.
NOISE, LEAST_NOISE = 0.05, 0.01
# Seconds between two looks at the other programs.
LOOK = 0.25
# Cores that may be taken by others while spinning threads count as undisturbed.
SLACK = 0.2


@dataclass(frozen=True)
class ThreadMode:
    """A way to use the cores.

    Arguments:
        threads: of an operation.
        spin: whether they spin at barriers; else they sleep.
    """

    threads: int
    spin: bool = False


class SleepingThreads:
    """A switch between OpenMP threads that spin at barriers and that sleep.

    GNU's OpenMP spins unless more threads are managed than there are cores. A second team, which
    belongs to a thread of ours and does nothing, makes it so; when that thread ends, the threads of
    the first team spin again. Other libraries of OpenMP are left as they are.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._end = threading.Event()

    def sleep(self) -> None:
        """Let threads sleep at barriers."""
        if self._thread is None and torch.get_num_threads() > 1:
            ready = threading.Event()
            self._end.clear()
            self._thread = threading.Thread(target=self._hold, args=(ready,), daemon=True)
            self._thread.start()
            ready.wait()

    def spin(self) -> None:
        """Let threads spin at barriers, the default of OpenMP."""
        if self._thread is not None:
            self._end.set()
            self._thread.join()
            self._thread = None

    def _hold(self, ready: threading.Event) -> None:
        numbers = torch.ones(1 << 17)
        numbers.add_(numbers)  # large enough for a team
        ready.set()
        self._end.wait()


@contextmanager
def sharing_cores() -> Iterator[None]:
    """Let threads spin while other programs leave them cores.

    Otherwise they sleep at barriers.
    Numbers of threads and results stay the same. A thread watches the other programs.
    """
    waiting, end, others = SleepingThreads(), threading.Event(), OtherPrograms()
    most = torch.get_num_threads()

    def watch() -> None:
        while not end.wait(LOOK):
            use = others.since()
            if use is not None and use.free < most - SLACK:
                waiting.sleep()
            else:
                waiting.spin()

    waiting.sleep()
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        end.set()
        watcher.join()
        waiting.spin()


@dataclass
class _Record:
    """Seconds and elements of the stretches of a way, older ones counting less."""

    seconds: float = 0.0
    elements: float = 0.0

    @property
    def cost(self) -> float:
        return self.seconds / self.elements if self.elements else math.inf

    def fade(self, factor: float) -> None:
        self.seconds *= factor
        self.elements *= factor


class ThreadChooser:
    """The fastest way to use the cores, found by trials.

    Each stretch goes to the way with the lowest confidence bound of its cost (Agrawal 1995). A
    bound falls as measurements fade, so that every way is tried again, and sooner where times
    scatter. Measurements beside busy programs and without them are kept apart, so that a change is
    followed at once. Threads that spin are not tried where others need their cores.

    Arguments:
        modes: ways, the safest first.
        used: measures the use of cores since the last call; None where that is not known.
    """

    def __init__(self, modes: Sequence[ThreadMode], used: Callable[[], CoreUse | None]) -> None:
        self._used = used
        self._most = max(mode.threads for mode in modes)
        self._known = {crowded: {mode: _Record() for mode in modes} for crowded in (False, True)}
        self._records = self._known[True]
        self._noise = NOISE
        self.busy = False
        self.mode = modes[0]
        self._begin(modes[0])

    def _begin(self, mode: ThreadMode) -> None:
        self._waking = mode != self.mode
        self.mode = mode
        self._seconds, self._elements = 0.0, 0

    def took(self, elements: int, seconds: float) -> None:
        """Record the time of an update, and set `mode` for the next."""
        if self._waking and seconds < SHORT:
            self._waking = False  # threads wake up in the first
            return
        self._waking = False
        self._seconds += seconds
        self._elements += elements
        best, own = self._best(), self._records[self.mode]
        hopeless = own is not best and self._seconds > HOPELESS * best.cost * self._elements
        if self._seconds < (SHORT if hopeless else STRETCH):
            return
        use = self._used()
        free = float(self._most) if use is None else use.free
        self.busy = use is not None and use.busy
        self._records = self._known[free < self._most - SLACK]
        allowed = [
            mode
            for mode in self._records
            if mode.threads == 1 or not mode.spin or mode.threads <= free + SLACK
        ]
        if self.mode in allowed:
            self._record()
        self._begin(min(allowed or self._records, key=self._bound))

    def _record(self) -> None:
        """Add the stretch to the measurements of its way."""
        own = self._records[self.mode]
        if own is self._best() and own.elements:
            self._watch(self._seconds / (max(1, self._elements) * own.cost))
        for record in self._records.values():
            record.fade(math.exp(-self._seconds / MEMORY))
        own.seconds += self._seconds
        own.elements += max(1, self._elements)

    def _best(self) -> _Record:
        return min(self._records.values(), key=lambda record: record.cost)

    def _watch(self, ratio: float) -> None:
        """Note how far a stretch of the best way was from what it usually takes."""
        deviation = min(0.5, abs(math.log(ratio)))
        if deviation > max(CHANGED, 3 * self._noise):
            for record in self._records.values():
                record.fade(FORGET)
        self._noise = math.sqrt(0.8 * self._noise**2 + 0.2 * deviation**2)

    def _bound(self, mode: ThreadMode) -> float:
        record = self._records[mode]
        if not record.elements:
            return -math.inf
        noise = max(self._noise, LEAST_NOISE)
        return record.cost * (1 - noise / math.sqrt(record.seconds / STRETCH))


def thread_modes(threads: int, *, counts: bool) -> list[ThreadMode]:
    """Ways to use so many cores, the safest first.

    Arguments:
        threads: at most.
        counts: whether fewer threads may be taken; that changes the last bits of results.
    """
    if threads < 2:
        return [ThreadMode(1)]
    modes = [ThreadMode(threads), ThreadMode(threads, spin=True)]
    if counts:
        fewer = sorted({threads - 1, threads // 2, 1} - {threads}, reverse=True)
        modes += [ThreadMode(count, spin=count > 1) for count in fewer]
    return modes


class TrainingThreads:
    """Threads of the updates of a run.

    Arguments:
        modes: ways to choose from, the safest first.
        recorded: numbers of threads by the step from which on they hold, instead of a choice.
    """

    def __init__(
        self, modes: Sequence[ThreadMode], recorded: Mapping[int, int] | None = None
    ) -> None:
        self._most = torch.get_num_threads()
        self._recorded = recorded
        self._waiting = SleepingThreads()
        self._chooser = ThreadChooser(modes, OtherPrograms().since)

    def before(self, step: int) -> int:
        """Set the threads of the next update, and return their number."""
        mode = self._chooser.mode
        if self._recorded is not None:
            earlier = [at for at in self._recorded if at <= step]
            mode = ThreadMode(self._recorded[max(earlier)] if earlier else self._most, mode.spin)
        self._apply(mode)
        return mode.threads

    def took(self, elements: int, seconds: float) -> None:
        """Record the time of an update."""
        self._chooser.took(elements, seconds)

    def others_are_busy(self) -> bool:
        """True if other programs left no core free in the last stretch."""
        return self._chooser.busy

    def rest(self) -> None:
        """Use all threads, asleep at barriers, for everything that is no update."""
        self._apply(ThreadMode(self._most))

    def end(self) -> None:
        """Use all threads as before the run, spinning at barriers."""
        self._apply(ThreadMode(self._most, spin=True))

    def _apply(self, mode: ThreadMode) -> None:
        if torch.get_num_threads() != mode.threads:
            torch.set_num_threads(mode.threads)
        if mode.spin or mode.threads < 2:
            self._waiting.spin()
        else:
            self._waiting.sleep()  # its team is as large as the one set above

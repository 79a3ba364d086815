"""Threads of an update: their number, and how they wait.

Threads that spin meet fastest on a quiet machine. Beside another busy program the one that waits
keeps a core from the one that works, and training runs at a quarter of its speed or less. So the
ways are timed while a run goes, and the fastest is taken.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

# Seconds of a trial, and of a stretch after which the way in use is judged: longer than the bursts
# in which other programs tend to work. A way that is much slower is given up sooner.
STRETCH, SHORT = 1.0, 0.25
# Times the cost of the best way at which a trial ends early, and at which something on the machine
# has changed; and at which the best way itself is given up before its stretch is over.
HOPELESS, CHANGED, CRAWLING = 1.3, 1.25, 4.0
# A way must be cheaper by this factor to be preferred.
GAIN = 1.03
# Seconds until a way is tried again, from the first to the last pair of each: if it was nearly as
# fast as the best, and if it was much slower. Each trial that fails doubles them.
SOON, NEAR = 4.0, 12.0
FAR, LATE = 16.0, 64.0
# A product that spinning threads take much longer for than at their best shows that a core is busy.
PROBE_SIZE, PROBE_REPEATS, PROBE_SECONDS = 256, 40, 0.04


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
def sleeping_threads() -> Iterator[None]:
    """Let threads sleep at barriers within the context."""
    waiting = SleepingThreads()
    waiting.sleep()
    try:
        yield
    finally:
        waiting.spin()


def cores_are_free() -> bool:
    """True if spinning threads would meet without delay at present."""
    a = torch.ones(PROBE_SIZE, PROBE_SIZE)
    times: list[float] = []
    deadline = time.perf_counter() + PROBE_SECONDS
    while len(times) < PROBE_REPEATS:
        began = time.perf_counter()
        if began > deadline:
            return False
        a @ a
        times.append(time.perf_counter() - began)
    return sum(times) < 2 * PROBE_REPEATS * min(times)


@dataclass
class _Record:
    cost: float = 0.0
    tried: float = 0.0
    due: float = 0.0
    wait: float = SOON


class ThreadChooser:
    """The fastest way to use the cores, found by trials.

    Arguments:
        modes: ways, the safest first.
        free: whether cores are free just now; a way that spins is tried only then.
        now: the time, in seconds.
    """

    def __init__(
        self,
        modes: Sequence[ThreadMode],
        free: Callable[[], bool],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._free, self._now = free, now
        self._records = {mode: _Record() for mode in modes}
        self._best = modes[0]
        self._begin(modes[0])

    def _begin(self, mode: ThreadMode) -> None:
        self.mode = mode
        self._updates, self._seconds, self._elements = 0, 0.0, 0

    def took(self, elements: int, seconds: float) -> None:
        """Record the time of an update, and set `mode` for the next."""
        best = self._records[self._best]
        settled = self.mode is self._best and best.cost > 0
        self._updates += 1
        if self._updates == 2 and not settled and self._seconds < SHORT:
            self._seconds, self._elements = 0.0, 0  # threads wake up in the first
        self._seconds += seconds
        self._elements += elements
        limit = best.cost * self._elements * (CRAWLING if settled else HOPELESS)
        if self._seconds < (SHORT if 0 < limit < self._seconds else STRETCH):
            return
        cost = self._seconds / max(1, self._elements)
        if settled:
            self._watch(best, cost)
        else:
            self._judge(best, cost)
        self._choose()

    def _watch(self, best: _Record, cost: float) -> None:
        """Try the other ways sooner where the best one has become dearer or cheaper."""
        if not best.cost / CHANGED < cost < best.cost * CHANGED:
            for record in self._records.values():
                record.wait = max(SOON, record.wait / 2)
                record.due = min(record.due, record.tried + SOON)
            best.cost = cost
        best.cost += (cost - best.cost) / 4

    def _judge(self, best: _Record, cost: float) -> None:
        record = self._records[self.mode]
        record.cost = cost
        if self.mode is self._best:
            return
        loser = record
        if cost * GAIN < best.cost:
            loser, self._best = best, self.mode
        self._postpone(loser)

    def _postpone(self, record: _Record) -> None:
        if record.cost > HOPELESS * self._records[self._best].cost:
            record.wait = max(record.wait, FAR)
        record.tried = self._now()
        record.due = record.tried + record.wait
        record.wait = min(NEAR if record.wait <= NEAR else LATE, 2 * record.wait)

    def _choose(self) -> None:
        now = self._now()
        due = [mode for mode, own in self._records.items() if mode != self._best and own.due <= now]
        if any(mode.spin for mode in due) and not self._free():
            for mode in due:
                if mode.spin:
                    self._postpone(self._records[mode])
            due = [mode for mode in due if not mode.spin]
        self._begin(due[0] if due else self._best)


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
        self._chooser = ThreadChooser(modes, self._probe)

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

    def _probe(self) -> bool:
        self._apply(ThreadMode(self._most, spin=True))
        return cores_are_free()

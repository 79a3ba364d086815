"""Threads that read prompts and write continuations."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from rhapsode.bundle import Predictor
from rhapsode.log import log
from rhapsode.serving.states.prefix_cache import PrefixCache
from rhapsode.serving.states.snapshots import CHUNK, PromptReader, Snapshot, read_together
from rhapsode.serving.writing.slots import Slots
from rhapsode.serving.writing.table_slots import TableSlots
from rhapsode.serving.writing.work import Begun, Failed, Report, Work
from rhapsode.serving.writing.work_queue import WorkQueue

Deliver = Callable[[list[tuple[Work, Report]]], None]

# Seconds of writing between two looks at the queue, and at least while prompts wait to be read.
TURN, SHORT_TURN = 0.02, 0.005
EVERYTHING = 1 << 62
# Steps of priority that workers stand below the event loop.
LOWER = 3


@dataclass(eq=False)
class _Reading:
    work: Work
    predictor: Predictor
    waited: float
    reader: PromptReader | None = None


class Worker(threading.Thread):
    """A thread with continuations of its own.

    Arguments:
        queue: gives works.
        predictor_of: the predictor of a work.
        cache: states after recent prompts.
        deliver: takes reports; called about every `TURN` seconds.
        all_busy: tells how many continuations all workers have.
        slots: number of continuations at the same time.
        all_slots: of all workers.
    """

    def __init__(
        self,
        queue: WorkQueue,
        predictor_of: Callable[[Work], Predictor],
        cache: PrefixCache,
        deliver: Deliver,
        *,
        all_busy: Callable[[], int],
        slots: int,
        all_slots: int,
    ) -> None:
        super().__init__(name="rhapsode-writer", daemon=True)
        self._queue, self._predictor_of, self._cache = queue, predictor_of, cache
        self._deliver, self._all_busy = deliver, all_busy
        self._most, self._all = slots, all_slots
        self._reading: list[_Reading] = []
        self._slots: dict[int, tuple[TableSlots, Slots]] = {}
        self._reports: list[tuple[Work, Report]] = []
        self._joined = False
        self._ready: list[tuple[Predictor, Work, Snapshot]] = []

    @property
    def busy(self) -> int:
        """Number of continuations, those whose prompts are read among them."""
        reading = sum(one.work.count for one in tuple(self._reading))
        return reading + sum(len(fast) + len(slow) for fast, slow in tuple(self._slots.values()))

    def run(self) -> None:
        """Work until the queue is closed and empty."""
        _give_way()
        while True:
            self._admit()
            if not self.busy and self._queue.closed:
                return
            try:
                self._turn()
            except Exception as problem:  # the thread goes on with other works
                log.exception("a worker failed")
                self._fail(problem)
            self._flush()

    def _turn(self) -> None:
        """Remove what has ended, read a part of prompts, and write for a while."""
        for fast, slow in self._slots.values():
            fast.drop_ended()
            slow.drop_ended()
        began = time.monotonic()
        self._read()
        # While prompts wait, writing takes as long as reading has taken.
        spent = time.monotonic() - began
        self._write(min(TURN, max(SHORT_TURN, spent)) if self._reading else TURN)

    def _fail(self, problem: Exception) -> None:
        """End all works."""
        works = [one.work for one in self._reading]
        for fast, slow in self._slots.values():
            works += [*fast.works(), *slow.works()]
        self._reading, self._slots = [], {}
        self._reports += [(work, Failed(problem)) for work in works]

    def _flush(self) -> None:
        if self._reports:
            reports, self._reports = self._reports, []
            self._deliver(reports)

    def _room(self) -> int:
        """Number of further continuations that may begin here."""
        own, all_busy = self.busy, self._all_busy()
        if all_busy == 0:
            return EVERYTHING  # an idle server takes a request of any size
        free = self._all - all_busy
        return free if own == 0 else min(free, self._most - own)

    def _admit(self) -> None:
        while True:
            work = self._queue.take(self._room, wait=self.busy == 0)
            if work is None:
                return
            try:
                predictor = self._predictor_of(work)
            except Exception as problem:  # the thread goes on with other works
                self._deliver([(work, Failed(problem))])
                continue
            self._reading.append(_Reading(work, predictor, time.monotonic() - work.arrived))

    def _read(self) -> None:
        """Read at most one part of prompts, the oldest first, equal lengths together."""
        left = CHUNK
        groups: dict[tuple[int, int], list[_Reading]] = {}
        for one in tuple(self._reading):
            if one.work.cancelled:
                self._reading.remove(one)
                continue
            if left <= 0:
                break
            try:
                length = min(self._reader_of(one).left, CHUNK)
            except Exception as problem:
                self._reading.remove(one)
                self._reports.append((one.work, Failed(problem)))
                continue
            if length > left:
                break
            left -= max(1, length)
            groups.setdefault((id(one.predictor), length), []).append(one)
        for (_, length), several in groups.items():
            try:
                readers = [self._reader_of(one) for one in several]
                read_together(several[0].predictor, readers, length)
                for one in several:
                    self._begin(one)
                self._join_ready()
            except Exception as problem:
                self._ready = []
                for one in several:
                    if one in self._reading:
                        self._reading.remove(one)
                    self._reports.append((one.work, Failed(problem)))
        # The oldest prompt does not keep the others waiting: the next part is of another one.
        if len(self._reading) > 1:
            self._reading.append(self._reading.pop(0))

    def _reader_of(self, one: _Reading) -> PromptReader:
        if one.reader is None:
            work = one.work
            begin = work.begin or self._cache.find(work)
            one.reader = PromptReader(one.predictor, work.prompt, work.elements, begin)
        return one.reader

    def _begin(self, one: _Reading) -> None:
        """Begin the continuations of a work whose prompt has been read."""
        assert one.reader is not None
        snapshot, work = one.reader.snapshot, one.work
        if snapshot is None:
            return
        self._reading.remove(one)
        self._cache.keep(work, snapshot)
        if work.keep:
            work.snapshot = snapshot
        self._reports.append((work, Begun(one.reader.cached, one.waited)))
        if work.settings.length:
            self._ready.append((one.predictor, work, snapshot))

    def _join_ready(self) -> None:
        """Let works whose prompts have been read take their slots, all at once."""
        ready, self._ready = self._ready, []
        fast_works: dict[int, list[tuple[Work, Snapshot]]] = {}
        for predictor, work, snapshot in ready:
            if id(predictor) not in self._slots:
                self._slots[id(predictor)] = TableSlots(predictor), Slots(predictor)
            fast, slow = self._slots[id(predictor)]
            self._joined = True
            if fast.admits(work):
                fast_works.setdefault(id(predictor), []).append((work, snapshot))
            else:
                slow.join(work, snapshot)
        for key, several in fast_works.items():
            self._reports += self._slots[key][0].join(several)

    def _write(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        busy = [pair for pair in self._slots.values() if len(pair[0]) + len(pair[1])]
        if self._joined and not any(len(slow) for _, slow in busy):
            self._flush()  # first elements are there: nobody waits until the turn is over
            self._joined = False
        alone = self._all_busy() == self.busy
        for fast, slow in busy:
            share = seconds / len(busy) / (2 if len(slow) else 1)
            self._reports += fast.write(share, alone=alone)
        while any(len(slow) for _, slow in busy):
            for _, slow in busy:
                self._reports += slow.write()
            if self._joined:
                self._flush()
                self._joined = False
            if time.monotonic() >= end:
                return


def _give_way() -> None:
    """Let the event loop go before this thread.

    The loop needs little time, but at once. Only Linux has priorities of threads.
    """
    if sys.platform == "linux":
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + LOWER)

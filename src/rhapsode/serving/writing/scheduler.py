"""The writer of a model: its queue and its workers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from rhapsode.bundle import Predictor
from rhapsode.serving.states.prefix_cache import PrefixCache
from rhapsode.serving.wire.api_errors import ApiError
from rhapsode.serving.writing.work import Report, Work
from rhapsode.serving.writing.work_queue import WorkQueue
from rhapsode.serving.writing.worker import Worker

# Reports that the answers take before the event loop does something else.
AT_ONCE = 16


class Scheduler:
    """Workers that write for one model.

    Arguments:
        predictor_of: the predictor of a work.
        cache: states after recent prompts.
        workers: number of threads.
        slots: continuations at the same time.
        queue: works that may wait.
    """

    def __init__(
        self,
        predictor_of: Callable[[Work], Predictor],
        cache: PrefixCache,
        *,
        workers: int,
        slots: int,
        queue: int,
    ) -> None:
        self.slots = slots
        self.cache = cache
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue = WorkQueue(queue)
        self._reports: deque[tuple[Work, Report]] = deque()
        workers = min(workers, slots)
        self._workers = [
            Worker(
                self._queue,
                predictor_of,
                cache,
                self._deliver,
                all_busy=lambda: self.busy,
                slots=(slots + number) // workers,
                all_slots=slots,
            )
            for number in range(workers)
        ]

    @property
    def waiting(self) -> int:
        """Number of works in the queue."""
        return len(self._queue)

    @property
    def busy(self) -> int:
        """Number of continuations that are read or written."""
        return sum(worker.busy for worker in self._workers)

    def start(self) -> None:
        """Start the threads, in the event loop that takes reports."""
        self._loop = asyncio.get_running_loop()
        for worker in self._workers:
            worker.start()

    def full(self, works: int = 1) -> ApiError | None:
        """The error of works without room; None with room."""
        busy, waiting = self.busy, self.waiting
        idle = busy == 0 and waiting == 0
        if idle or self._queue.has_room(works, max(0, self.slots - busy)):
            return None
        return ApiError(429, "queue_full", f"{waiting:,} requests are waiting", retry_after=1)

    def check_room(self, works: int) -> None:
        """Refuse works that cannot wait.

        Raises:
            ApiError: the queue is full.
        """
        error = self.full(works)
        if error is not None:
            raise error

    def submit(self, works: list[Work]) -> None:
        """Add the works of a request.

        Raises:
            ApiError: the queue is full.
        """
        self.check_room(len(works))
        self._queue.put(works)

    def release(self, works: list[Work]) -> None:
        """End works that have not finished, and free their places and slots."""
        for work in works:
            work.cancelled = True
        self._queue.drop_cancelled()

    def close(self) -> None:
        """Let the threads end."""
        self._queue.close()

    def _deliver(self, reports: list[tuple[Work, Report]]) -> None:
        """Hand reports to the event loop, all of a turn at once."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._receive, reports)
        except RuntimeError:  # the loop has ended, and nobody waits
            for work, _ in reports:
                work.cancelled = True

    def _receive(self, reports: list[tuple[Work, Report]]) -> None:
        waiting = bool(self._reports)
        self._reports.extend(reports)
        if not waiting:
            self._distribute()

    def _distribute(self) -> None:
        """Hand some reports to the answers, and the others after whatever else has come.

        Sixty answers that end at once take a tenth of a second, for which nothing is refused.
        """
        for _ in range(min(AT_ONCE, len(self._reports))):
            work, report = self._reports.popleft()
            if not work.cancelled:
                work.inbox.put(work, report)
        if self._reports:
            assert self._loop is not None
            self._loop.call_soon(self._distribute)

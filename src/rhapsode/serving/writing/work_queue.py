"""Works that wait for a worker, in order of arrival."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from rhapsode.serving.writing.work import Work

# Seconds after which a worker looks again whether a large work fits.
AGAIN = 0.01


class WorkQueue:
    """Works that wait, shared by the workers of a model.

    Arguments:
        most: works that may wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._works: deque[Work] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        """Number of works that wait."""
        return len(self._works)

    def has_room(self, works: int, free: int) -> bool:
        """True if some more works may wait.

        Arguments:
            works: number of works.
            free: number of continuations that could begin now.
        """
        return len(self._works) + works <= self._most + free

    def put(self, works: list[Work]) -> None:
        """Add works."""
        now = time.monotonic()
        with self._changed:
            for work in works:
                work.arrived = now
                self._works.append(work)
            self._changed.notify_all()

    def take(self, room: Callable[[], int], *, wait: bool) -> Work | None:
        """The next work that fits a worker, or None.

        Arguments:
            room: gives the number of continuations that the worker has room for.
            wait: True to wait until there is a work, or the queue is closed.
        """
        with self._changed:
            while True:
                if self._works and self._works[0].count <= room():
                    return self._works.popleft()
                if not wait or self._closed:
                    return None
                # Other workers tell nobody when they have ended something.
                self._changed.wait(AGAIN if self._works else None)

    def drop_cancelled(self) -> None:
        """Remove cancelled works, and let waiting workers look again."""
        with self._changed:
            self._works = deque(work for work in self._works if not work.cancelled)
            self._changed.notify_all()

    def close(self) -> None:
        """Let workers end when nothing waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """True once it is closed."""
        return self._closed

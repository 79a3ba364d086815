"""Objects that the handlers of a server share."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from rhapsode.serving.http.element_rate import ElementRate
from rhapsode.serving.serve_settings import ServeSettings
from rhapsode.serving.served_model import ModelTable
from rhapsode.serving.server_metrics import ServerMetrics
from rhapsode.serving.states.state_store import StateStore
from rhapsode.serving.wire.api_errors import ApiError

T = TypeVar("T")

# Prompts that are scored, searches, forecasts and drawings at the same time.
SCORING = 2


class Stoppable(Protocol):
    """An answer in progress."""

    def cancel(self) -> None:
        """End the continuations where they are."""

    def stop(self) -> None:
        """End with an error, because the server ends."""


class ServerState:
    """Models, limits, metrics and stored states of a server.

    Arguments:
        models: by name.
        settings: of the server.
        keys: that clients must have; empty for none.
    """

    def __init__(
        self, models: ModelTable, settings: ServeSettings, keys: Sequence[str] = ()
    ) -> None:
        self.models, self.settings, self.keys = models, settings, tuple(keys)
        folder = Path("runs/states") if settings.states is None else Path(settings.states)
        self.states = StateStore(folder, int(settings.states_mb * 1e6))
        self.metrics = ServerMetrics(self._gauges)
        self.running: dict[str, Stoppable] = {}
        self.scoring = asyncio.Semaphore(SCORING)
        self.compiling = asyncio.Semaphore(1)
        """Automata of regular expressions, which may take seconds, are built one at a time."""
        self.token = secrets.token_urlsafe(24)
        """Opens what writes, from the page that was printed at the start."""
        self.rate = ElementRate(settings.elements_per_minute)
        self.stopping = False
        self.loaded: Callable[[], object] = lambda: None
        """Called when all models are loaded."""
        self._apart = 0

    def check_apart(self) -> None:
        """Refuse a request outside the slots that cannot wait.

        Raises:
            ApiError: too many of them wait.
        """
        waiting = self._apart - SCORING
        if waiting >= self.settings.queue:
            message = f"{max(0, waiting):,} requests are waiting"
            raise ApiError(429, "queue_full", message, retry_after=1)

    @contextmanager
    def waiting_apart(self) -> Iterator[None]:
        """Count a request outside the slots.

        Raises:
            ApiError: too many of them wait.
        """
        self.check_apart()
        self._apart += 1
        try:
            yield
        finally:
            self._apart -= 1

    async def start_apart(self, work: Callable[[], T]) -> asyncio.Task[T]:
        """Start work in a thread when one outside the slots is free.

        The thread keeps its place until it ends, even if nobody waits for it any more.
        """
        await self.scoring.acquire()
        task = asyncio.create_task(asyncio.to_thread(work))
        task.add_done_callback(lambda _: self.scoring.release())
        return task

    def refusal(self) -> ApiError | None:
        """Count a request that is refused unread, and return its error.

        None if a model has room.
        """
        error, names = None, []
        for served in self.models:
            error = served.scheduler.full()
            if error is None:
                return None
            names.append(served.name)
        if error is not None:
            self.metrics.requests.labels(names[0] if len(names) == 1 else "", "refused").inc()
        return error

    def _gauges(self) -> dict[str, tuple[str, float]]:
        schedulers = [served.scheduler for served in self.models]
        hits = sum(each.cache.hits for each in schedulers)
        return {
            "rhapsode_requests_running": ("Requests in progress", len(self.running)),
            "rhapsode_requests_waiting": (
                "Prompts in the queue",
                sum(each.waiting for each in schedulers),
            ),
            "rhapsode_slots_busy": (
                "Continuations in progress",
                sum(each.busy for each in schedulers),
            ),
            "rhapsode_prefix_cache_hits": ("Prompts found in the cache of prefixes", hits),
            "rhapsode_stored_states": ("Stored states", self.states.count),
            "rhapsode_stored_state_bytes": ("Bytes of stored states", self.states.bytes),
        }

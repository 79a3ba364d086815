"""The common part of answers to requests for continuations."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rhapsode.serving.http.exchange import Exchange
from rhapsode.serving.server_state import ServerState
from rhapsode.serving.wire.api_errors import ApiError
from rhapsode.serving.wire.shapes import Shape, Usage
from rhapsode.serving.writing.request_works import RequestWorks


class Unfinished(ABC):
    """The answer to one request for continuations, while it is written.

    Arguments:
        server: what the handlers share.
        exchange: the request.
        request: its works.
        shape: of the answer.
    """

    def __init__(
        self, server: ServerState, exchange: Exchange, request: RequestWorks, shape: Shape
    ) -> None:
        self._server, self._exchange = server, exchange
        self._request, self._shape = request, shape
        self._usage = Usage(prompt=request.prompt_elements)
        self._began = time.monotonic()
        self._first: float | None = None

    @abstractmethod
    def cancel(self) -> None:
        """End the continuations where they are."""

    @abstractmethod
    def stop(self) -> None:
        """End with an error, because the server ends."""

    @abstractmethod
    def _written(self) -> int:
        """Number of elements of all continuations so far."""

    @asynccontextmanager
    async def _time_limit(self) -> AsyncIterator[None]:
        """End what takes longer than a request may.

        Raises:
            ApiError: it did.
        """
        limit = self._server.settings.seconds
        try:
            async with asyncio.timeout(limit):
                yield
        except TimeoutError:
            raise ApiError(
                400, "time_limit_exceeded", f"the request took more than {limit:g} seconds"
            ) from None

    def _note_element(self) -> None:
        """Remember when the first element came."""
        if self._first is None:
            self._first = time.monotonic()

    async def _end_stream(self) -> None:
        """Send what follows the last element."""
        exchange, shape = self._exchange, self._shape
        self._usage.completion = self._written()
        if self._request.asked.include_usage:
            await exchange.send_part(shape.usage_event(self._usage))
        if shape.done:
            await exchange.send_part(shape.done)
        await exchange.end()

    def _observe(self) -> None:
        """Count the request in the metrics."""
        self._server.metrics.of_request(
            seconds=time.monotonic() - self._began,
            first=None if self._first is None else self._first - self._began,
            prompt=self._usage.prompt,
            written=self._written(),
            cached=self._usage.cached,
        )

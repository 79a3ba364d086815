"""The number of elements of a client in a minute."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from rhapsode.serving.http.exchange import Exchange
from rhapsode.serving.wire.api_errors import ApiError

if TYPE_CHECKING:
    from rhapsode.serving.writing.request_works import RequestWorks

CLIENT = "rhapsode.client"
"""Entry of the scope: a name of the client, for limits."""
# Clients that are remembered.
CLIENTS = 4096


class ElementRate:
    """A token bucket for each client, filled with elements.

    Arguments:
        per_minute: elements; None without a limit.
    """

    def __init__(self, per_minute: int | None) -> None:
        self._per_minute = per_minute
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, exchange: Exchange, request: RequestWorks) -> None:
        """Take the elements of a request from the bucket of its client.

        Raises:
            ApiError: there are not enough, or never will be.
        """
        if self._per_minute is None:
            return
        length = request.settings.length or 0
        needed = request.prompt_elements + length * request.asked.n * len(request.works)
        full = self._per_minute
        if needed > full:
            raise ApiError(
                400,
                "rate_limited",
                f"the request asks for {needed:,} elements, and one minute has {full:,}",
                param="max_tokens",
            )
        client = str(exchange.scope.get(CLIENT, ""))
        now = time.monotonic()
        level, then = self._buckets.get(client, (float(full), now))
        level = min(full, level + (now - then) * full / 60)
        if needed > level:
            wait = math.ceil((needed - level) * 60 / full)
            self._buckets[client] = level, now
            raise ApiError(
                429,
                "rate_limited",
                f"more than {full:,} elements in a minute; wait {wait} s",
                retry_after=wait,
            )
        if len(self._buckets) >= CLIENTS:
            self._buckets.clear()
        self._buckets[client] = level - needed, now

"""The socket on which the server listens."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any

from rhapsode.serving.http.early_refusal import EarlyRefusal

# Connections that are refused, and let through, before the event loop does something else. Few are
# let through at once: the next ones are to see what the requests of these have filled.
REFUSED_AT_ONCE, PASSED_AT_ONCE = 64, 4


class ListeningSocket(socket.socket):
    """A socket that refuses connections of a full server by itself.

    A connection of the event loop costs several times what the refusal does, so that none is made
    for a request that has already arrived and finds no room.
    """

    refusal: EarlyRefusal | None = None
    """Recognises requests that need not be parsed."""
    headers: Callable[[], Iterable[tuple[bytes, bytes]]] = tuple
    """Gives further headers of a refusal."""
    _passed: int = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection that is not refused.

        Raises:
            BlockingIOError: there is none now, or the event loop has other things to do first.
        """
        if self._passed >= PASSED_AT_ONCE:
            self._passed = 0
            raise BlockingIOError
        try:
            for _ in range(REFUSED_AT_ONCE):
                connection, address = super().accept()
                if self.refusal is None or not self.refusal.refuses(connection, self.headers()):
                    self._passed += 1
                    return connection, address
        except OSError:
            self._passed = 0
            raise
        self._passed = 0
        raise BlockingIOError

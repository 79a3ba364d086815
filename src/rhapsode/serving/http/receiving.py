"""The HTTP protocol of the server, with deadlines."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from rhapsode.serving.http.early_refusal import EarlyRefusal
from rhapsode.serving.serve_settings import BODY_BYTES

# Seconds for the head of a request, and for its body in addition to its bytes at this rate.
HEAD_SECONDS, BODY_RATE = 10.0, 64_000
# Connections from one address.
CONNECTIONS = 1024

_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%s"
)
_LATE_BODY = (
    b'{"error":{"message":"the request did not arrive in time","type":"invalid_request_error",'
    b'"param":null,"code":"time_limit_exceeded"}}'
)


class TimedProtocol(H11Protocol):
    """A connection whose requests must arrive in time.

    The deadline of a request begins with the connection, or with its first byte on one that is
    kept, and ends with the last byte of its body. Neither silence nor single bytes move it.
    """

    addresses: ClassVar[Counter[str]] = Counter()
    """Open connections by address."""
    refusal: ClassVar[EarlyRefusal | None] = None
    """Recognises requests that need not be parsed."""
    _unread: int = 0
    _refused: bytes | None = None
    _closes: bool = False
    _deadline: asyncio.TimerHandle | None = None
    _began: float = 0.0
    _in_body: bool = False
    _address: str | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if self.addresses[address] >= CONNECTIONS:
            transport.abort()
            return
        self._address = address
        self.addresses[address] += 1
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._address is not None:
            self.addresses[self._address] -= 1
            if not self.addresses[self._address]:
                del self.addresses[self._address]
            self._address = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._unread:
            self._skip(data)
            return
        if self.conn.their_state is h11.IDLE:
            if self._is_refused(data):
                return
            if self._deadline is None:
                self._begin()
        super().data_received(data)
        state = self.conn.their_state
        if state is h11.SEND_BODY and not self._in_body:
            self._in_body = True
            self._arm(HEAD_SECONDS + self._body_bytes() / BODY_RATE)
        elif state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED, h11.ERROR):
            self._disarm()

    def _is_refused(self, data: bytes) -> bool:
        """True if a request is refused unread."""
        if self.refusal is None or self.conn.trailing_data[0]:
            return False
        announced = self.refusal.announced(data)
        if announced is None:
            return False
        defaults = self.server_state.default_headers
        answer = self.refusal.answer(defaults, closes=announced.closes)
        if answer is None:
            return False
        self._unset_keepalive_if_required()
        self._refused, self._closes, self._unread = answer, announced.closes, announced.left
        if self._unread:
            self._began, self._in_body = self.loop.time(), True
            self._arm(HEAD_SECONDS + self._unread / BODY_RATE)
        else:
            self._send_refusal()
        return True

    def _skip(self, data: bytes) -> None:
        """Let the body of a refused request pass."""
        self._unread -= len(data)
        if self._unread < 0:  # a further request already
            self._unread, self._closes = 0, True
        if not self._unread:
            self._send_refusal()

    def _send_refusal(self) -> None:
        assert self._refused is not None
        self._disarm()
        self.transport.write(self._refused)
        self._refused = None
        if self._closes:
            self.transport.close()
            return
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _begin(self) -> None:
        self._began, self._in_body = self.loop.time(), False
        self._arm(HEAD_SECONDS)

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_at(self._began + seconds, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _body_bytes(self) -> int:
        for name, value in self.headers:
            if name == b"content-length" and value.isdigit():
                return min(int(value), BODY_BYTES)
        return BODY_BYTES

    def _late(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        cycle: Any = self.cycle  # None before the first request
        begun = cycle is not None and cycle.response_started
        if self._unread or (self.conn.their_state is h11.SEND_BODY and not begun):
            self.transport.write(_LATE % (len(_LATE_BODY), _LATE_BODY))
        self.transport.close()

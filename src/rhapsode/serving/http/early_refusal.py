"""Refusal of requests by a full server, before they are parsed.

An overloaded server has to answer many times more requests than it admits, and every one that it
parses takes time from those. A request to write is therefore recognised by its first bytes, and
refused while all slots and the queue are full. So is a search, although it takes no slot. Whatever
is unusual is left to the parser.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rhapsode.serving.serve_settings import BODY_BYTES
from rhapsode.serving.wire.api_errors import ApiError
from rhapsode.serving.wire.json_text import encode_json

Refuse = Callable[[], ApiError | None]
"""Gives the error by which requests for continuations are refused now; None while they are not."""

# Bytes of a request that are looked at before it has a connection of the event loop.
PEEKED = 1 << 16
# Windows has no such flag, and its event loop accepts connections by itself.
_AT_ONCE = getattr(socket, "MSG_DONTWAIT", 0)
_UNUSUAL = (b"transfer-encoding", b"expect", b"upgrade", b"origin", b"connection")


@dataclass(frozen=True)
class Announced:
    """A request whose head has arrived.

    Arguments:
        left: bytes of its body that have not.
        closes: True if the client wants no further exchange on the connection.
    """

    left: int
    closes: bool


class EarlyRefusal:
    """Requests that a full server refuses unread.

    Arguments:
        refuse: gives the error of the moment, and counts it.
        paths: of requests for continuations.
        headers: of every answer.
    """

    def __init__(
        self, refuse: Refuse, paths: Iterable[str], headers: Iterable[tuple[bytes, bytes]]
    ) -> None:
        self._refuse = refuse
        self._beginnings = tuple(f"POST {path} HTTP/1.1\r\n".encode() for path in paths)
        self._headers = b"".join(b"%s: %s\r\n" % pair for pair in headers)

    def refuses(self, connection: socket.socket, more: Iterable[tuple[bytes, bytes]]) -> bool:
        """Refuse and close a new connection, if there is no room.

        False for what the parser must see, whose bytes stay unread.

        Arguments:
            connection: as it was accepted.
            more: further headers.
        """
        if not _AT_ONCE:
            return False
        try:
            data = connection.recv(PEEKED, socket.MSG_PEEK | _AT_ONCE)
            announced = self.announced(data)
            if announced is None or announced.left:
                return False
            answer = self.answer(more, closes=True)
            if answer is None:
                return False
            # A socket that is closed with unread bytes resets the connection.
            connection.recv(len(data), _AT_ONCE)
            connection.send(answer, _AT_ONCE)
        except BlockingIOError:
            return False
        except OSError:  # the client has left
            pass
        connection.close()
        return True

    def announced(self, data: bytes) -> Announced | None:
        """The request that some bytes announce.

        None for what the parser must see.
        """
        if not data.startswith(self._beginnings):
            return None
        head, end, body = data.partition(b"\r\n\r\n")
        if not end or b"\n " in head or b"\n\t" in head or b"\n" in head.replace(b"\r\n", b""):
            return None
        length, closes = -1, False
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name != name.strip():
                return None
            name, value = name.lower(), value.strip()
            if name == b"content-length":
                if length >= 0 or not value.isdigit() or len(value) > 9:
                    return None
                length = int(value)
            elif name in _UNUSUAL:
                value = value.lower()
                if name != b"connection" or value not in (b"close", b"keep-alive"):
                    return None
                closes = value == b"close"
        if not len(body) <= length <= BODY_BYTES:
            return None
        return Announced(length - len(body), closes)

    def answer(self, more: Iterable[tuple[bytes, bytes]], *, closes: bool) -> bytes | None:
        """The refusal of the moment; None if there is room.

        Arguments:
            more: further headers.
            closes: True to announce the end of the connection.
        """
        error = self._refuse()
        if error is None:
            return None
        content = encode_json(error.to_mapping())
        own = [(name.encode(), value.encode()) for name, value in error.headers]
        lines = b"".join(b"%s: %s\r\n" % pair for pair in (*more, *own))
        status = b"HTTP/1.1 %d \r\n" % error.status
        kind = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(content)
        end = b"connection: close\r\n" if closes else b""
        return b"".join((status, self._headers, lines, end, kind, content))

"""Requests and answers, and the watch for clients that leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send

from rhapsode.errors import RhapsodeError
from rhapsode.log import log
from rhapsode.serving.serve_settings import BODY_BYTES
from rhapsode.serving.wire.api_errors import ApiError, of_problem
from rhapsode.serving.wire.json_text import decode_object, encode_json, event

Headers = list[tuple[str, str]]
MAY_WRITE = "rhapsode.may_write"
"""Entry of the scope: True if the client may change something. Without a guard anybody may."""


class ClientLeft(Exception):  # noqa: N818  # not an error of ours
    """The client has closed the connection."""


@dataclass
class Exchange:
    """A request and its answer.

    Arguments:
        scope: of ASGI.
        receive: of ASGI.
        send: of ASGI.
    """

    scope: Scope
    receive: Receive
    send: Send
    begun: bool = False
    """True once the head of the answer is sent."""
    streaming: bool = False
    """True if the answer is a stream of events."""
    path: Mapping[str, Any] = field(default_factory=dict)
    """Parts of the path that have a name."""
    model: str = ""
    """Name of the model that answers."""
    outcome: str = "ok"
    """For metrics: "ok", "refused", "failed" or "left"."""

    def header(self, name: str) -> str | None:
        """The first header of a name, in lower case; None without one."""
        wanted = name.encode()
        for key, value in self.scope["headers"]:
            if key == wanted:
                text: str = value.decode("latin-1")
                return text
        return None

    def check_may_write(self) -> None:
        """Refuse a client that may not change anything on the server.

        Raises:
            ApiError: it has neither a key nor the start-up token.
        """
        if not self.scope.get(MAY_WRITE, True):
            raise ApiError(
                403,
                "token_required",
                "this changes the server: send the token that it printed when it started, "
                "as a key or in the header x-rhapsode-token",
            )

    async def body(self, most: int = BODY_BYTES) -> bytes:
        """The whole body.

        Raises:
            ApiError: it is too large.
            ClientLeft: the client left before its end.
        """
        announced = self.header("content-length")
        if announced is not None and announced.isdecimal() and int(announced) > most:
            raise _too_large(most)
        parts, size = [], 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            part = message.get("body", b"")
            size += len(part)
            if size > most:
                raise _too_large(most)
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)

    async def json(self) -> dict[str, Any]:
        """The JSON object of the body.

        Raises:
            ApiError: it is none, or too large.
        """
        return decode_object(await self.body())

    async def left(self) -> None:
        """Wait until the client leaves, after the body has been read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def answer(self, value: Any, status: int = 200, headers: Headers | None = None) -> None:
        """Send a JSON answer."""
        await self.send_bytes(encode_json(value), "application/json", status, headers)

    async def send_bytes(
        self, content: bytes, kind: str, status: int = 200, headers: Headers | None = None
    ) -> None:
        """Send a whole answer of some media type."""
        self.begun = True
        await self.send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", kind.encode()),
                    (b"content-length", str(len(content)).encode()),
                    *_raw(headers),
                ],
            }
        )
        await self.send({"type": "http.response.body", "body": content})

    async def begin_events(self) -> None:
        """Begin a stream of events."""
        self.begun = self.streaming = True
        await self.send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", b"text/event-stream; charset=utf-8"),
                    (b"cache-control", b"no-cache"),
                    (b"x-accel-buffering", b"no"),
                ],
            }
        )

    async def send_part(self, part: bytes) -> None:
        """Send a part of a stream."""
        await self.send({"type": "http.response.body", "body": part, "more_body": True})

    async def end(self) -> None:
        """End a stream."""
        await self.send({"type": "http.response.body", "body": b""})


Handler = Callable[[Exchange], Awaitable[None]]


class Endpoint:
    """An ASGI application over one handler, which turns problems into answers.

    Arguments:
        handler: reads the request and answers.
        observe: takes every exchange when it is over.
    """

    def __init__(self, handler: Handler, observe: Callable[[Exchange], None] | None = None) -> None:
        self._handler, self._observe = handler, observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, path=scope.get("path_params", {}))
        try:
            await self._handler(exchange)
        except ClientLeft:
            exchange.outcome = "left"
        except ApiError as error:
            exchange.outcome = "failed" if error.status >= 500 else "refused"
            await _send_error(exchange, error)
        except RhapsodeError as problem:
            known = of_problem(problem)
            exchange.outcome = "failed" if known.status >= 500 else "refused"
            await _send_error(exchange, known)
        except asyncio.CancelledError:
            exchange.outcome = "left"
            raise
        except Exception:
            exchange.outcome = "failed"
            log.exception("a request failed")
            await _send_error(exchange, ApiError(500, "internal_error", "the request failed"))
        finally:
            if self._observe is not None:
                self._observe(exchange)


async def while_there(exchange: Exchange, work: Awaitable[None]) -> None:
    """Run work until it ends or the client leaves.

    The body has been read before.

    Raises:
        ClientLeft: the client left first; the work has been cancelled.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(exchange.left())
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
            return
        raise ClientLeft
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _send_error(exchange: Exchange, error: ApiError) -> None:
    if not exchange.begun:
        await exchange.answer(error.to_mapping(), error.status, error.headers)
    elif exchange.streaming:
        await exchange.send_part(event(error.to_mapping()))
        await exchange.end()


def _too_large(most: int) -> ApiError:
    return ApiError(413, "body_too_large", f"the body has more than {most:,} bytes")


def _raw(headers: Headers | None) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers or ()]

"""Answers outside the slots.

Searches, and models whose elements have no ids, are written by the model itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rhapsode.errors import RhapsodeError
from rhapsode.modalities.opened import Piece
from rhapsode.serving.http.exchange import Exchange, while_there
from rhapsode.serving.routes.unfinished import Unfinished
from rhapsode.serving.server_state import ServerState
from rhapsode.serving.wire.api_errors import ApiError, of_problem
from rhapsode.serving.wire.documents import document_of
from rhapsode.serving.wire.fields import sampling_fields
from rhapsode.serving.wire.json_text import KEEP_ALIVE
from rhapsode.serving.wire.shapes import Choice, Shape
from rhapsode.serving.writing.choice_text import Delta
from rhapsode.serving.writing.request_works import RequestWorks

# Seconds between two events of a stream, and after which an idle one shows that it lives.
FLUSH, ALIVE = 0.02, 15.0


@dataclass
class _Growing:
    """A continuation as it grows."""

    text: str = ""
    chosen: list[Any] = field(default_factory=list)
    elements: int = 0
    end: str | None = None
    began: bool = False
    closed: bool = False
    document: dict[str, Any] | None = None
    sent: int = 0

    def add(self, piece: Piece) -> None:
        self.text += piece.text
        self.chosen += piece.chosen
        self.elements, self.end = piece.elements, piece.end


class AnsweringApart(Unfinished):
    """The answer to a request whose continuations the model writes by itself.

    Arguments:
        server: what the handlers share.
        exchange: the request.
        request: its works, which are not submitted.
        shape: of the answer.
    """

    def __init__(
        self, server: ServerState, exchange: Exchange, request: RequestWorks, shape: Shape
    ) -> None:
        super().__init__(server, exchange, request, shape)
        self._growing: dict[int, _Growing] = {}
        self._pieces: asyncio.Queue[Piece | Exception | None] = asyncio.Queue()
        self._ended = threading.Event()

    async def run(self) -> None:
        """Write and answer while the client is there.

        Raises:
            ApiError: settings that do not fit, too many requests, or too much time.
            ClientLeft: the client left.
        """
        server = self._server
        with server.waiting_apart():
            server.running[self._shape.id] = self
            try:
                await while_there(self._exchange, self._answer())
            finally:
                server.running.pop(self._shape.id, None)
                self._ended.set()
                self._observe()

    def cancel(self) -> None:
        """End the continuations where they are."""
        self._ended.set()

    def stop(self) -> None:
        """End with an error, because the server ends."""
        self._ended.set()
        error = ApiError(503, "shutting_down", "the server is stopping", retry_after=5)
        self._pieces.put_nowait(error)

    async def _answer(self) -> None:
        async with self._time_limit():
            await self._server.start_apart(partial(self._write, self._put()))
            try:
                await (self._stream() if self._request.asked.stream else self._whole())
            finally:
                self._ended.set()

    def _put(self) -> Callable[[Piece | Exception | None], None]:
        """Hands something from another thread to the event loop."""
        loop = asyncio.get_running_loop()

        def put(one: Piece | Exception | None) -> None:
            try:
                loop.call_soon_threadsafe(self._pieces.put_nowait, one)
            except RuntimeError:  # the loop has ended, and nobody waits
                self._ended.set()

        return put

    def _write(self, put: Callable[[Piece | Exception | None], None]) -> None:
        """Write all continuations; None after the last piece."""
        request = self._request
        prompts = [work.prompt for work in request.works]
        try:
            for piece in request.served.model.write(prompts, request.settings):
                if self._ended.is_set():
                    break
                put(piece)
        except Exception as problem:  # told by the event loop
            put(problem)
        put(None)

    async def _take(self, seconds: float | None) -> bool | None:
        """Add pieces; False after the last one, None if none came in some seconds.

        Raises:
            ApiError: the model refuses the request.
        """
        try:
            async with asyncio.timeout(seconds):
                one = await self._pieces.get()
        except TimeoutError:
            return None
        while True:
            if one is None:
                self._end_cancelled()
                return False
            if isinstance(one, RhapsodeError):
                names = sampling_fields(self._request.served.model.generation)
                raise of_problem(one, names=names) from None
            if isinstance(one, Exception):
                raise one
            self._note_element()
            number = one.prompt * self._request.asked.n + one.index
            self._growing.setdefault(number, _Growing()).add(one)
            if self._pieces.empty():
                return True
            one = self._pieces.get_nowait()

    def _end_cancelled(self) -> None:
        """End what a cancelled request has not finished."""
        if not self._ended.is_set():
            return
        for number in range(len(self._request.works) * self._request.asked.n):
            one = self._growing.setdefault(number, _Growing())
            one.end = one.end or "stop"

    def _echo(self, number: int) -> str:
        work = self._request.works[number // self._request.asked.n]
        return work.prompt.text if self._request.asked.echo else ""

    async def _render(self) -> None:
        """Make the documents of finished continuations, in a thread."""
        suffix = self._request.asked.document
        if suffix is None:
            return
        for number, one in self._growing.items():
            if one.end is None or one.document is not None:
                continue
            work = self._request.works[number // self._request.asked.n]
            one.document = await asyncio.to_thread(
                document_of, work, tuple(one.chosen), one.text, one.end, suffix
            )

    def _own(self, number: int) -> dict[str, Any]:
        """Further values of a finished continuation: its document."""
        document = self._growing[number].document
        return {} if document is None else {"document": document}

    async def _whole(self) -> None:
        while await self._take(None):
            pass
        await self._render()
        choices = [
            Choice(
                number, self._echo(number) + one.text, None, one.end or "stop", self._own(number)
            )
            for number, one in sorted(self._growing.items())
        ]
        self._usage.completion = self._written()
        await self._exchange.answer(self._shape.answer(choices, self._usage))

    async def _stream(self) -> None:
        exchange = self._exchange
        going: bool | None = True
        while going is not False:
            going = await self._take(ALIVE)
            if going is None:
                if not exchange.begun:
                    await exchange.begin_events()
                await exchange.send_part(KEEP_ALIVE)
                continue
            if not exchange.begun:  # a request that is refused at once is no stream
                await exchange.begin_events()
            await self._render()
            events = [event for number in sorted(self._growing) for event in self._events(number)]
            if events:
                await exchange.send_part(b"".join(events))
            if going and not any(one.end for one in self._growing.values()):
                await asyncio.sleep(FLUSH)
        await self._end_stream()

    def _events(self, number: int) -> list[bytes]:
        """Events of what a continuation has grown by."""
        one, shape = self._growing[number], self._shape
        events: list[bytes] = []
        if one.closed:
            return events
        if not one.began:
            one.began = True
            events.append(shape.opening(number))
            if echo := self._echo(number):
                events.append(shape.delta(number, Delta(echo), None))
        text, one.sent = one.text[one.sent :], len(one.text)
        if one.end is not None:
            one.closed = True
            own = {**shape.own, **self._own(number)}
            events.append(shape.delta(number, Delta(text, end=one.end), own))
        elif text:
            events.append(shape.delta(number, Delta(text), None))
        return [event for event in events if event]

    def _written(self) -> int:
        return sum(one.elements for one in self._growing.values())

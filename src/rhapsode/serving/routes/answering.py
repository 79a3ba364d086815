"""Answers to requests for continuations, whole or as a stream of events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rhapsode.errors import RhapsodeError
from rhapsode.serving.http.exchange import Exchange, while_there
from rhapsode.serving.routes.unfinished import Unfinished
from rhapsode.serving.server_state import ServerState
from rhapsode.serving.states.snapshots import extend
from rhapsode.serving.states.state_store import StoredState
from rhapsode.serving.wire.api_errors import ApiError, of_problem, refused
from rhapsode.serving.wire.documents import document_of
from rhapsode.serving.wire.fields import sampling_fields
from rhapsode.serving.wire.json_text import KEEP_ALIVE
from rhapsode.serving.wire.shapes import Choice, Shape
from rhapsode.serving.writing.choice_text import ChoiceText, Delta, Entry
from rhapsode.serving.writing.prompt_scores import prompt_entries
from rhapsode.serving.writing.request_works import RequestWorks
from rhapsode.serving.writing.work import Begun, Failed, Report, Work, Written

# Seconds between two events of a choice, and elements after which one is sent all the same.
FLUSH, FLUSH_ELEMENTS = 0.02, 64
# Requests from which on events are rarer, so that sending them does not slow the writing down.
MANY, RAREST = 32, 0.1
# Seconds after which an idle stream shows that it lives.
ALIVE = 15.0


@dataclass
class _Growing:
    """A choice as it grows.

    Arguments:
        number: among all choices of the request.
        text: of the continuation.
        delta: what has not been sent.
        echo: text and entries of the prompt, if they are echoed.
    """

    number: int
    text: ChoiceText
    delta: Delta = field(default_factory=Delta)
    echo: Delta = field(default_factory=Delta)
    began: bool = False
    sent: float = 0.0
    document: dict[str, Any] | None = None

    def is_due(self, now: float, flush: float) -> bool:
        """True if the delta is to be sent, some seconds after the last one."""
        delta = self.delta
        if delta.end is not None:
            return True
        if not delta.text and not delta.entries:
            return False
        return not self.began or delta.elements >= FLUSH_ELEMENTS or now - self.sent >= flush


class Answering(Unfinished):
    """The answer to one request for continuations.

    Arguments:
        server: what the handlers share.
        exchange: the request.
        request: its works.
        shape: of the answer.
    """

    def __init__(
        self, server: ServerState, exchange: Exchange, request: RequestWorks, shape: Shape
    ) -> None:
        super().__init__(server, exchange, request, shape)
        self._choices: dict[tuple[Work, int], _Growing] = {}

    async def run(self) -> None:
        """Submit the works, and answer while the client is there.

        Raises:
            ApiError: the queue is full, or the request takes too long.
            ClientLeft: the client left.
        """
        request, server = self._request, self._server
        works = list(request.works)
        server.running[self._shape.id] = self
        try:
            await while_there(self._exchange, self._answer())
        finally:
            server.running.pop(self._shape.id, None)
            request.served.scheduler.release(works)
            self._observe()

    def cancel(self) -> None:
        """End the continuations where they are."""
        for (work, index), choice in self._choices.items():
            if choice.text.end is None:
                request_end = Written(index, (), "stop")
                work.inbox.put(work, request_end)
                work.dropped.add(index)

    def stop(self) -> None:
        """End with an error, because the server ends."""
        error = ApiError(503, "shutting_down", "the server is stopping", retry_after=5)
        self._request.inbox.put(self._request.works[0], Failed(error))

    async def _answer(self) -> None:
        request = self._request
        async with self._time_limit():
            await self._prepare()
            request.served.scheduler.submit(list(request.works))
            await (self._stream() if request.asked.stream else self._whole())

    async def _prepare(self) -> None:
        """Score echoed prompts, and lay out the choices."""
        request = self._request
        for number, work in enumerate(request.works):
            echo = Delta()
            if request.asked.echo:
                echo.text = work.prompt.text
                if work.top is not None:
                    predictor = request.served.predictor_of(work)
                    find = partial(prompt_entries, work, predictor)
                    echo.entries = await asyncio.shield(await self._server.start_apart(find))
            for index in range(work.count):
                place = number * work.count + index
                text = ChoiceText(work, index, len(echo.text))
                growing = _Growing(place, text)
                growing.echo = Delta(echo.text, list(echo.entries))
                if not work.settings.length:
                    growing.delta.end = text.end = "length"
                self._choices[work, index] = growing

    def _take(self, work: Work, report: Report) -> None:
        """Add a report to its choice.

        Raises:
            ApiError: the work failed.
        """
        if isinstance(report, Begun):
            self._usage.cached += report.cached
            self._server.metrics.of_queue(report.waited)
            return
        if isinstance(report, Failed):
            raise _failed(report.problem, work)
        self._note_element()
        growing = self._choices[work, report.index]
        growing.delta.add(growing.text.take(report))
        if growing.text.end is not None and report.last is None:
            work.dropped.add(report.index)  # a stop text; the worker does not know

    @property
    def _open(self) -> bool:
        return any(each.text.end is None for each in self._choices.values())

    async def _whole(self) -> None:
        while self._open:
            for work, report in await self._request.inbox.wait():
                self._take(work, report)
        choices = []
        for growing in self._choices.values():
            await self._render(growing)
            entries: list[Entry] | None = None
            if growing.text.work.top is not None:
                entries = [*growing.echo.entries, *growing.delta.entries]
            end = growing.text.end
            assert end is not None
            choices.append(
                Choice(
                    growing.number,
                    growing.echo.text + growing.text.text,
                    entries,
                    end,
                    self._own(growing),
                )
            )
        await self._store()
        self._usage.completion = self._written()
        await self._exchange.answer(self._shape.answer(choices, self._usage))

    async def _stream(self) -> None:
        exchange, shape = self._exchange, self._shape
        await exchange.begin_events()
        for growing in self._choices.values():
            opening = shape.opening(growing.number)
            if opening:
                await exchange.send_part(opening)
            if growing.echo.text or growing.echo.entries:
                await exchange.send_part(shape.delta(growing.number, growing.echo, None))
        while True:
            now = time.monotonic()
            flush = min(RAREST, FLUSH * max(1.0, len(self._server.running) / MANY))
            due = [each for each in self._choices.values() if each.is_due(now, flush)]
            last = not self._open
            if last:
                await self._store()
            for growing in due:
                await self._render(growing)
            if due:
                await exchange.send_part(b"".join(self._events(due, now)))
            if last:
                break
            pending = any(each.delta.text or each.delta.entries for each in self._choices.values())
            reports = await self._request.inbox.wait(flush if pending else ALIVE)
            for work, report in reports:
                self._take(work, report)
            if not reports and not pending:
                await exchange.send_part(KEEP_ALIVE)
        await self._end_stream()

    def _events(self, due: list[_Growing], now: float) -> Iterator[bytes]:
        for growing in due:
            delta = growing.delta
            if growing.began:
                self._server.metrics.of_event(now - growing.sent)
            ended = delta.end is not None
            own = {**self._shape.own, **self._own(growing)} if ended else None
            yield self._shape.delta(growing.number, delta, own)
            growing.delta, growing.sent, growing.began = Delta(), now, True

    async def _render(self, growing: _Growing) -> None:
        """Make the document of a finished choice, which may take seconds, in a thread."""
        suffix, text = self._request.asked.document, growing.text
        if suffix is None or growing.delta.end is None or growing.document is not None:
            return
        growing.document = await asyncio.to_thread(
            document_of, text.work, text.final_elements(), text.text, text.end, suffix
        )

    def _own(self, growing: _Growing) -> dict[str, Any]:
        """Further values of a finished choice: a document, traces."""
        own: dict[str, Any] = {}
        if growing.document is not None:
            own["document"] = growing.document
        if growing.text.work.settings.trace is not None:
            own["trace"] = [each.to_mapping() for each in growing.text.traces]
        return own

    def _written(self) -> int:
        return sum(each.text.count for each in self._choices.values())

    async def _store(self) -> None:
        """Store the state after the only continuation, if that is wanted."""
        name = self._request.asked.save_state
        if name is None:
            return
        (((work, _), growing),) = self._choices.items()
        await asyncio.to_thread(self._store_after, name, work, growing.text)
        self._shape.own["state"] = name

    def _store_after(self, name: str, work: Work, text: ChoiceText) -> None:
        served = self._request.served
        predictor = served.predictor_of(work)
        assert work.snapshot is not None
        elements = text.final_elements()
        snapshot = extend(predictor, work.prompt, work.snapshot, elements)
        before = 0 if work.resumption is None else work.resumption.written
        assert work.settings.seed is not None
        self._server.states.save(
            name,
            StoredState(
                snapshot,
                served.name,
                served.fingerprint,
                adapt=work.settings.adapt,
                seed=work.settings.seed,
                sequence=work.sequences[0],
                written=before + len(elements),
            ),
        )


def check_storing(exchange: Exchange, request: RequestWorks, server: ServerState) -> None:
    """Refuse a state that cannot be stored, before anything is written.

    Raises:
        ApiError: it cannot.
    """
    name = request.asked.save_state
    if name is None:
        return
    if len(request.works) != 1 or request.asked.n != 1:
        raise refused("save_state needs one prompt and n = 1", param="save_state")
    exchange.check_may_write()
    server.states.check_room(name)


def _failed(problem: Exception, work: Work) -> Exception:
    if isinstance(problem, RhapsodeError):
        return of_problem(problem, names=sampling_fields(type(work.settings)))
    return problem

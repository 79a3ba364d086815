"""Answers by a search for whole continuations, which nobody can see growing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

from rhapsode.errors import RhapsodeError
from rhapsode.modalities.opened import Continuation, collect
from rhapsode.serving.http.exchange import Exchange, while_there
from rhapsode.serving.server_state import ServerState
from rhapsode.serving.wire.api_errors import ApiError, of_problem
from rhapsode.serving.wire.fields import sampling_fields
from rhapsode.serving.wire.shapes import Choice, Shape, Usage
from rhapsode.serving.writing.choice_text import Delta
from rhapsode.serving.writing.request_works import RequestWorks


async def answer_search(
    server: ServerState, exchange: Exchange, request: RequestWorks, shape: Shape
) -> None:
    """Answer a request whose settings search for continuations.

    Raises:
        ApiError: settings that do not fit, or too much time.
        ClientLeft: the client left.
    """
    usage, ended = Usage(prompt=request.prompt_elements), threading.Event()
    began = time.monotonic()

    async def answer() -> None:
        try:
            async with asyncio.timeout(server.settings.seconds), server.scoring:
                found = await asyncio.to_thread(_search, request, ended)
        except TimeoutError:
            limit = server.settings.seconds
            raise ApiError(
                400, "time_limit_exceeded", f"the request took more than {limit:g} seconds"
            ) from None
        except RhapsodeError as problem:
            names = sampling_fields(request.served.model.generation)
            raise of_problem(problem, names=names) from None
        usage.completion = sum(each.elements for each in found)
        if request.asked.stream:
            await _stream(exchange, request, shape, found, usage)
            return
        choices = [
            Choice(number, each.text, None, each.finish_reason) for number, each in enumerate(found)
        ]
        await exchange.answer(shape.answer(choices, usage))

    try:
        await while_there(exchange, answer())
    finally:
        ended.set()
        server.metrics.of_request(
            seconds=time.monotonic() - began,
            first=None,
            prompt=usage.prompt,
            written=usage.completion,
            cached=0,
        )


def _search(request: RequestWorks, ended: threading.Event) -> Sequence[Continuation]:
    prompts = [work.prompt for work in request.works]
    texts = [prompt.text for prompt in prompts]
    pieces = request.served.model.write(prompts, request.settings)
    found: list[Continuation] = []
    for one in collect(pieces, texts, request.settings):
        if ended.is_set():
            break
        found.append(one)
    return found


async def _stream(
    exchange: Exchange,
    request: RequestWorks,
    shape: Shape,
    found: Sequence[Any],
    usage: Usage,
) -> None:
    await exchange.begin_events()
    for number, one in enumerate(found):
        opening = shape.opening(number)
        if opening:
            await exchange.send_part(opening)
        delta = Delta(one.text, elements=one.elements, end=one.finish_reason)
        await exchange.send_part(shape.delta(number, delta, shape.own))
    if request.asked.include_usage:
        await exchange.send_part(shape.usage_event(usage))
    if shape.done:
        await exchange.send_part(shape.done)
    await exchange.end()

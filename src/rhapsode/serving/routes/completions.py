"""`/v1/completions` and `/v1/chat/completions`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from rhapsode.log import log
from rhapsode.serving.http.exchange import Exchange
from rhapsode.serving.routes.answering import Answering, check_storing
from rhapsode.serving.routes.apart import AnsweringApart
from rhapsode.serving.served_model import ServedModel
from rhapsode.serving.server_state import ServerState
from rhapsode.serving.states.state_store import StoredState
from rhapsode.serving.wire.api_errors import ApiError, refused, unsupported
from rhapsode.serving.wire.chat_text import chat_text
from rhapsode.serving.wire.documents import check_suffix
from rhapsode.serving.wire.fields import Asked, read_fields
from rhapsode.serving.wire.shapes import ChatShape, Shape, TextShape
from rhapsode.serving.writing.request_works import (
    PromptValue,
    RequestWorks,
    prepare_works,
    prompt_values,
)

# Characters of prompts that are encoded in the event loop; longer ones go to a thread.
AT_ONCE = 20_000


class Completions:
    """Handlers of requests for continuations.

    Arguments:
        server: what the handlers share.
    """

    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def texts(self, exchange: Exchange) -> None:
        """Answer `/v1/completions`."""
        body = await exchange.json()
        if body.get("messages") is not None:
            raise refused("messages belong to /v1/chat/completions", param="messages")
        values = prompt_values(body.get("prompt"))
        if body.get("stream") is True and body.get("best_of") not in (None, body.get("n", 1)):
            raise refused("best_of does not go with stream", param="best_of")
        await self.answer(exchange, body, values, TextShape)

    async def chats(self, exchange: Exchange) -> None:
        """Answer `/v1/chat/completions`."""
        body = await exchange.json()
        if body.get("prompt") is not None:
            raise refused("prompt belongs to /v1/completions", param="prompt")
        messages: Any = body.get("messages")
        text, stops = chat_text(messages, self._server.settings.chat_template)
        if self._server.models.get(body.get("model")).answers_inputs:
            if len(messages) > 1:
                raise refused("this model answers one input: send one message", param="messages")
            text, stops = chat_text(messages, "plain")
            text = text.rstrip("\n")
        if stops:
            own = body.get("stop") or []
            body = {**body, "stop": [*([own] if isinstance(own, str) else own), *stops]}
        if body.get("echo") is not None:
            raise refused("echo belongs to /v1/completions", param="echo")
        await self.answer(exchange, body, [text], ChatShape)

    async def answer(
        self,
        exchange: Exchange,
        body: Mapping[str, Any],
        values: Sequence[PromptValue],
        shape: type[Shape],
    ) -> None:
        """Answer a request for continuations.

        Arguments:
            exchange: the request.
            body: its fields.
            values: the prompts.
            shape: of the answer.
        """
        server = self._server
        if server.stopping:
            raise ApiError(503, "shutting_down", "the server is stopping", retry_after=5)
        served = server.models.get(body.get("model"))
        exchange.model = served.name
        if not served.writes_text:
            raise refused(
                f"{served.name} predicts numbers: use /v1/forecasts",
                param="model",
                code="unsupported_parameter",
            )
        asked = read_fields(
            body,
            served.model.generation,
            most_tokens=server.settings.max_tokens,
            chat=shape is ChatShape,
        )
        if asked.echo and served.answers_inputs:
            raise unsupported("echo", "an answer does not begin with its input")
        if _is_apart(served, asked):
            _refuse_apart(served, asked)
            server.check_apart()
        else:
            served.scheduler.check_room(len(values))  # before the prompts are encoded
        state = None if asked.continue_from is None else await self._state(served, asked)
        large = sum(len(each) for each in values if isinstance(each, str | list)) > AT_ONCE
        prepare = partial(prepare_works, served, asked, values, server.settings, state)
        if asked.settings.regex is not None:
            async with server.compiling:
                request = await asyncio.to_thread(prepare)
        elif large or not all(isinstance(each, str | list) for each in values):
            request = await asyncio.to_thread(prepare)
        else:
            request = prepare()
        check_storing(exchange, request, server)
        if asked.document is not None:
            check_suffix(asked.document, served.model)
        server.rate.take(exchange, request)
        if server.settings.log_prompts:
            for work in request.works:
                log.info(f"prompt: {work.prompt.text!r}")
        await self._answer(exchange, request, shape)

    async def _answer(self, exchange: Exchange, request: RequestWorks, shape: type[Shape]) -> None:
        served, settings = request.served, request.settings
        own: dict[str, Any] = {"seed": settings.seed}
        if request.asked.unknown:
            own["unknown_fields"] = list(request.asked.unknown)
        made = shape(served.name, served.fingerprint, served.model.name_of, own)
        apart = _is_apart(served, request.asked)
        answering = AnsweringApart if apart else Answering
        await answering(self._server, exchange, request, made).run()

    async def _state(self, served: ServedModel, asked: Asked) -> StoredState:
        """The state that a request continues.

        Raises:
            ApiError: there is none, or it is of another model.
        """
        name = asked.continue_from
        assert name is not None
        states = self._server.states
        facts = states.facts_of(name)
        if facts.get("fingerprint") != served.fingerprint:
            raise ApiError(
                400,
                "state_mismatch",
                f"the state {name!r} was stored with another model or engine",
                param="continue_from",
            )

        def load() -> StoredState:
            predictor = served.predictor(adapt=bool(facts["adapt"]))
            beginning = served.model.prompt("", served.model.generation())
            return states.load(name, beginning.start(predictor)[0])

        return await asyncio.to_thread(load)


def _is_apart(served: ServedModel, asked: Asked) -> bool:
    """True if the model writes by itself, outside the slots."""
    settings = asked.settings
    return not served.has_ids or settings.searching or settings.best_of is not None


def _refuse_apart(served: ServedModel, asked: Asked) -> None:
    """Refuse fields that need the slots.

    Raises:
        ApiError: one of them is set.
    """
    if served.has_ids:
        return  # those of searches are refused with the fields
    for name in ("logprobs", "save_state", "continue_from"):
        if getattr(asked, name) is not None:
            raise unsupported(name, f"{served.name} writes numbers, and {name} needs ids")

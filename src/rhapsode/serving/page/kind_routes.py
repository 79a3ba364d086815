"""Routes of the page: models, forecasts, drawings, answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rhapsode.errors import RhapsodeError
from rhapsode.serving.http.exchange import Exchange, while_there
from rhapsode.serving.page.kinds import (
    answer_values,
    drawing_values,
    forecast_values,
    kind_of,
    writes_texts,
)
from rhapsode.serving.served_model import ServedModel
from rhapsode.serving.server_state import ServerState
from rhapsode.serving.wire.api_errors import ApiError, of_problem, refused

MOST_POINTS, MOST_DRAWINGS = 20_000, 24
TEXT_CHARACTERS = 500
MOST_INPUTS, INPUT_CHARACTERS, MOST_ANSWERS = 200, 5000, 20
MOST_STEPS, MOST_PATHS = 2000, 2000
_FIELDS = frozenset({"model", "history", "horizon", "seed", "temperature", "begun", "inputs"})


class KindRoutes:
    """Handlers of forecasts, drawings and answers.

    Arguments:
        server: what the handlers share.
    """

    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def models(self, exchange: Exchange) -> None:
        """List the models with the view that each needs."""
        listing = [
            {**one.card(), "kind": kind_of(one.model), "writes_texts": writes_texts(one.model)}
            for one in self._server.models
        ]
        await exchange.answer({"data": listing})

    async def forecast(self, exchange: Exchange) -> None:
        """Answer with a forecast and its history."""
        body = await exchange.json()
        served = self._served(body, "series")
        history = body.get("history")
        if history is not None and not isinstance(history, str):
            raise refused("history is a table in CSV", param="history")
        settings = {
            "horizon": _whole(body, "horizon", 1, MOST_STEPS, None),
            "samples": _whole(body, "samples", 1, MOST_PATHS, 200),
            "seed": _whole(body, "seed", 0, 2**53, 0),
            "temperature": _number(body, "temperature", 0.0, 10.0, 1.0),
        }
        await self._answer(
            exchange, served, lambda: forecast_values(served.model, history, **settings)
        )

    async def drawings(self, exchange: Exchange) -> None:
        """Answer with new drawings."""
        body = await exchange.json()
        served = self._served(body, "strokes")
        begun, count = _strokes(body.get("begun")), _whole(body, "count", 1, MOST_DRAWINGS, 6)
        text = _text(body, served, begun=bool(begun))
        settings = {
            "temperature": _number(body, "temperature", 0.0, 10.0, 1.0),
            "pen_bias": _number(body, "pen_bias", 0.0, 20.0, 0.0),
        }
        seed = _whole(body, "seed", 0, 2**53, None)
        if seed is not None:
            settings["seed"] = seed
        await self._answer(
            exchange, served, lambda: drawing_values(served.model, begun, text, count, **settings)
        )

    async def answers(self, exchange: Exchange) -> None:
        """Answer with the best outputs for inputs."""
        body = await exchange.json()
        served = self._served(body, "pairs")
        inputs = body.get("inputs")
        if (
            not isinstance(inputs, list)
            or len(inputs) > MOST_INPUTS
            or not all(isinstance(each, str) and len(each) <= INPUT_CHARACTERS for each in inputs)
        ):
            raise refused(
                f"inputs is a list of at most {MOST_INPUTS} texts of at most "
                f"{INPUT_CHARACTERS:,} characters",
                param="inputs",
            )
        n_best = _whole(body, "n_best", 1, MOST_ANSWERS, 5)
        beams = _whole(body, "beams", 1, MOST_ANSWERS, max(5, n_best))
        if beams < n_best:
            raise refused(f"{beams} beams cannot give {n_best} answers", param="beams")
        await self._answer(
            exchange,
            served,
            lambda: {"answers": answer_values(served.model, inputs, n_best, beams)},
        )

    def _served(self, body: dict[str, Any], kind: str) -> ServedModel:
        """The model of a request, which must be of a kind.

        Raises:
            ApiError: it is not.
        """
        served = self._server.models.get(body.get("model"))
        if kind_of(served.model) != kind:
            raise refused(
                f"{served.name} is not a model of {kind}",
                param="model",
                code="unsupported_parameter",
            )
        return served

    async def _answer(
        self, exchange: Exchange, served: ServedModel, find: Callable[[], dict[str, Any]]
    ) -> None:
        """Answer with values that a thread finds.

        Raises:
            ApiError: they cannot be found, or not in time, or too many requests wait.
            ClientLeft: the client left.
        """
        server, exchange.model = self._server, served.name

        async def answer() -> None:
            try:
                async with asyncio.timeout(server.settings.seconds):
                    found = await asyncio.shield(await server.start_apart(find))
            except TimeoutError:
                raise ApiError(400, "time_limit_exceeded", "the request took too long") from None
            except RhapsodeError as problem:
                raise of_problem(problem, names=_FIELDS) from None
            await exchange.answer({"model": served.name, **found})

        with server.waiting_apart():
            await while_there(exchange, answer())


def _whole(body: dict[str, Any], name: str, least: int, most: int, default: int | None) -> Any:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refused(f"{name} is a whole number from {least} to {most:,}", param=name)
    return value


def _number(body: dict[str, Any], name: str, least: float, most: float, default: float) -> float:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise refused(f"{name} is a number from {least:g} to {most:g}", param=name)
    return float(value)


def _text(body: dict[str, Any], served: ServedModel, *, begun: bool) -> str:
    """The text to write; empty for a model that writes none.

    Raises:
        ApiError: it is missing, too long or not for this model, or a drawing is begun.
    """
    text = body.get("text")
    if not writes_texts(served.model):
        if text is not None:
            raise refused(f"{served.name} draws, and writes no texts", param="text")
        return ""
    if begun:
        raise refused(f"{served.name} writes texts, and begins with no strokes", param="begun")
    if not isinstance(text, str) or not text.strip():
        raise refused("give a text to write", param="text")
    if len(text) > TEXT_CHARACTERS:
        raise refused(f"a text has at most {TEXT_CHARACTERS:,} characters", param="text")
    return text


def _strokes(value: Any) -> list[list[list[float]]]:
    """Strokes [[x, ...], [y, ...]] of a request.

    Raises:
        ApiError: they are none.
    """
    problem = refused("begun is a list of strokes [[x, ...], [y, ...]]", param="begun")
    if value is None:
        return []
    if not isinstance(value, list):
        raise problem
    points = 0
    for stroke in value:
        lists = isinstance(stroke, list) and all(isinstance(each, list) for each in stroke)
        if not lists or len(stroke) != 2 or len(stroke[0]) != len(stroke[1]) or not stroke[0]:
            raise problem
        numbers = [*stroke[0], *stroke[1]]
        if not all(isinstance(each, int | float) and abs(each) < 1e9 for each in numbers):
            raise problem
        points += len(stroke[0])
    if points > MOST_POINTS:
        raise refused(f"a beginning has at most {MOST_POINTS:,} points", param="begun")
    return value

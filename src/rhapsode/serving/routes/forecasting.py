"""`/v1/forecasts`: sample paths and quantiles of series."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
import uuid
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import rhapsode as rh
from rhapsode.config import from_mapping
from rhapsode.errors import RhapsodeError
from rhapsode.serving.http.exchange import Exchange, while_there
from rhapsode.serving.served_model import ServedModel
from rhapsode.serving.server_state import ServerState
from rhapsode.serving.wire.api_errors import ApiError, refused, unsupported
from rhapsode.serving.wire.fields import error_of_settings

# Fields of the route itself.
OURS = frozenset({"model", "history", "history_file", "user"})
# Settings that choose an output of the command line.
ELSEWHERE = frozenset({"paths", "format", "explain"})


def forecasts_series() -> bool:
    """True if this installation has the verb that forecasts."""
    return find_spec("rhapsode.verbs.forecast") is not None


class Forecasts:
    """Handler of forecasts.

    Arguments:
        server: what the handlers share.
    """

    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def answer(self, exchange: Exchange) -> None:
        """Answer `/v1/forecasts`."""
        body = await exchange.json()
        served = self._server.models.get(body.get("model"))
        if served.writes_text or not forecasts_series():
            raise refused(
                f"{served.name} does not forecast: use /v1/completions",
                param="model",
                code="unsupported_parameter",
            )
        content, suffix = _history(body)
        own = {name: value for name, value in body.items() if value is not None}
        settings, reading = _settings(own)
        steps, most = (settings.horizon or 1) * settings.samples, self._server.settings.max_tokens
        if steps > most:
            raise refused(
                f"horizon times samples is {steps:,}, and at most {most:,} is answered",
                param="horizon",
            )

        self._server.check_apart()

        async def answer() -> None:
            try:
                async with asyncio.timeout(self._server.settings.seconds):
                    find = partial(_forecast, served, content, suffix, settings, reading)
                    found = await asyncio.shield(await self._server.start_apart(find))
            except TimeoutError:
                raise ApiError(400, "time_limit_exceeded", "the forecast took too long") from None
            except RhapsodeError as problem:
                error = error_of_settings(problem, frozenset(own))
                if error.param == "prompt":
                    error.param = "history_file" if "history_file" in own else "history"
                raise error from None
            await exchange.answer(
                {
                    "id": f"fcst-{uuid.uuid4().hex}",
                    "object": "forecast",
                    "created": int(time.time()),
                    "model": served.name,
                    "system_fingerprint": served.fingerprint,
                    **found,
                }
            )

        with self._server.waiting_apart():
            await while_there(exchange, answer())


def _history(body: Mapping[str, Any]) -> tuple[bytes | None, str]:
    """The table of the history and its suffix; None for the training data."""
    text, file = body.get("history"), body.get("history_file")
    if text is not None and file is not None:
        raise refused("give history or history_file, not both", param="history")
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass"), ".csv"
    if text is not None:
        raise refused("history is a table in CSV", param="history")
    if file is None:
        return None, ""
    suffix = file.get("suffix") if isinstance(file, dict) else None
    if suffix not in (".csv", ".tsv", ".parquet", ".npy", ".json", ".jsonl"):
        raise refused('history_file is {"base64": ..., "suffix": ".csv"}', param="history_file")
    try:
        return base64.b64decode(file.get("base64"), validate=True), suffix
    except (binascii.Error, ValueError, TypeError):
        raise refused("the file is not base64", param="history_file") from None


def _settings(body: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Settings of the forecast, and of reading the table."""
    forecasting = set(rh.ForecastSettings.__dataclass_fields__)
    reading = set(rh.SeriesSettings.__dataclass_fields__)
    given: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, value in body.items():
        if name in ELSEWHERE:
            raise unsupported(name, f"{name} exists only on the command line")
        if name in forecasting:
            given[name] = value
        elif name in reading:
            own[name] = value
        elif name not in OURS:
            raise unsupported(name, f"{name} is not a field of a forecast")
    try:
        return from_mapping(rh.ForecastSettings, given, where="request"), own
    except RhapsodeError as problem:
        raise error_of_settings(problem, frozenset(forecasting)) from None


def _forecast(
    served: ServedModel,
    content: bytes | None,
    suffix: str,
    settings: Any,
    reading: dict[str, Any],
) -> dict[str, Any]:
    if content is None:
        found = rh.forecast(served.model, "", settings, reading=reading)
        return found.to_mapping()
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"history{suffix}"
        path.write_bytes(content)
        found = rh.forecast(served.model, str(path), settings, reading=reading)
        return found.to_mapping()

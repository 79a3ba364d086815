"""Routes about the server and its models: health, metrics, list, cancel."""

from __future__ import annotations

from typing import Any

from rhapsode import __version__
from rhapsode.serving.http.exchange import Exchange
from rhapsode.serving.http.guard import COOKIE
from rhapsode.serving.server_state import ServerState
from rhapsode.serving.wire.api_errors import ApiError


class ServerRoutes:
    """Handlers about the server.

    Arguments:
        server: what the handlers share.
    """

    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def live(self, exchange: Exchange) -> None:
        """Answer as soon as the server listens."""
        await exchange.answer({"status": "ok"})

    async def health(self, exchange: Exchange) -> None:
        """Answer 200 once every model has made a real step, else 503."""
        models = list(self._server.models)
        failed = [one.name for one in models if one.problem]
        loading = [one.name for one in models if not one.is_ready and not one.problem]
        status = "stopping" if self._server.stopping else "loading" if loading else "ok"
        answer: dict[str, Any] = {"status": status, "version": __version__}
        if loading:
            answer["loading"] = loading
        if failed:
            answer["failed"] = failed
        if status == "ok":
            await exchange.answer(answer)
        else:
            await exchange.answer(answer, 503, [("retry-after", "1")])

    async def metrics(self, exchange: Exchange) -> None:
        """Answer `/metrics`."""
        kind = "text/plain; version=0.0.4; charset=utf-8"
        await exchange.send_bytes(self._server.metrics.text(), kind)

    async def models(self, exchange: Exchange) -> None:
        """Answer `/v1/models`."""
        listing = [one.card() for one in self._server.models]
        await exchange.answer({"object": "list", "data": listing})

    async def model(self, exchange: Exchange) -> None:
        """Answer `/v1/models/NAME`."""
        name = exchange.path["name"]
        for one in self._server.models:
            if one.name == name:
                await exchange.answer(one.card())
                return
        raise ApiError(404, "model_not_found", f"there is no model {name[:64]!r}", param="model")

    async def session(self, exchange: Exchange) -> None:
        """Trade the start-up token for a cookie that scripts cannot read."""
        await exchange.body()
        exchange.check_may_write()
        path = self._server.settings.root_path or "/"
        cookie = f"{COOKIE}={self._server.token}; Path={path}; HttpOnly; SameSite=Strict"
        await exchange.answer({"may_write": True}, headers=[("set-cookie", cookie)])

    async def cancel(self, exchange: Exchange) -> None:
        """End a request by the id of its answer, which is sent."""
        await exchange.body()
        running = self._server.running.get(exchange.path["id"])
        if running is None:
            raise ApiError(404, "not_found", "there is no such request in progress", param="id")
        running.cancel()
        await exchange.answer({"id": exchange.path["id"], "cancelled": True})

"""Routes of stored states: list, fork, delete."""

from __future__ import annotations

import asyncio

from rhapsode.serving.http.exchange import Exchange
from rhapsode.serving.server_state import ServerState
from rhapsode.serving.wire.api_errors import refused


class StateRoutes:
    """Handlers of stored states.

    Arguments:
        server: what the handlers share.
    """

    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def listing(self, exchange: Exchange) -> None:
        """Answer with the facts of all states."""
        states = await asyncio.to_thread(self._server.states.listing)
        await exchange.answer({"object": "list", "data": states})

    async def fork(self, exchange: Exchange) -> None:
        """Store a state under a second name, `{"name": ...}`."""
        body = await exchange.json()
        exchange.check_may_write()
        copy = body.get("name")
        if not isinstance(copy, str):
            raise refused("name is a text", param="name")
        name = exchange.path["name"]
        await asyncio.to_thread(self._server.states.fork, name, copy)
        await exchange.answer({"id": copy, "object": "state", "forked_from": name})

    async def delete(self, exchange: Exchange) -> None:
        """Delete a state."""
        await exchange.body()
        exchange.check_may_write()
        name = exchange.path["name"]
        await asyncio.to_thread(self._server.states.delete, name)
        await exchange.answer({"id": name, "object": "state", "deleted": True})

"""Routes of the page: files, session, copies."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rhapsode import __version__
from rhapsode.serving.http.exchange import MAY_WRITE, Exchange
from rhapsode.serving.page.static_files import static_files
from rhapsode.serving.server_state import ServerState
from rhapsode.serving.wire.api_errors import ApiError, refused

HOME = "index.html"


LEAST = 20
"""Characters of the shortest copy that is shown."""
COPY_CHARACTERS = 50_000
"""Longest text that is searched for copies."""


class PageRoutes:
    """Handlers of the page.

    Arguments:
        server: what the handlers share.
    """

    def __init__(self, server: ServerState) -> None:
        self._server = server

    async def home(self, exchange: Exchange) -> None:
        """Answer with the page."""
        await _send_file(exchange, HOME)

    async def static(self, exchange: Exchange) -> None:
        """Answer with a file of the page."""
        await _send_file(exchange, exchange.path["name"])

    async def session(self, exchange: Exchange) -> None:
        """Tell the page what it may do."""
        may_write = bool(exchange.scope.get(MAY_WRITE, True))
        await exchange.answer({"may_write": may_write, "version": __version__})

    async def copies(self, exchange: Exchange) -> None:
        """Find stretches of a text in the training data of a model."""
        body = await exchange.json()
        served = self._server.models.get(body.get("model"))
        text = body.get("text")
        if not isinstance(text, str) or len(text) > COPY_CHARACTERS:
            raise refused(f"text has at most {COPY_CHARACTERS:,} characters", param="text")
        found = await asyncio.to_thread(served.model.copies, text, LEAST)
        if found is None:
            raise refused(
                f"there is no index of the training text of {served.name}",
                param="model",
                code="unsupported_parameter",
            )
        copies = [
            {
                "start": each["start"],
                "end": each["start"] + len(each["text"]),
                "count": each["count"],
                "document": Path(each["document"]).name,
                "line": each["line"],
                "before": each["before"],
                "after": each["after"],
            }
            for each in found
        ]
        inside = sum(each["end"] - each["start"] for each in copies)
        await exchange.answer({"copies": copies, "share": inside / max(1, len(text))})


async def _send_file(exchange: Exchange, name: str) -> None:
    file = static_files().get(name)
    if file is None:
        raise ApiError(404, "not_found", "there is no such file")
    headers = [("etag", file.tag), ("cache-control", "no-cache"), ("vary", "accept-encoding")]
    if exchange.header("if-none-match") == file.tag:
        await exchange.send_bytes(b"", file.kind, 304, headers)
    elif "gzip" in (exchange.header("accept-encoding") or ""):
        packed = [*headers, ("content-encoding", "gzip")]
        await exchange.send_bytes(file.packed, file.kind, 200, packed)
    else:
        await exchange.send_bytes(file.content, file.kind, 200, headers)

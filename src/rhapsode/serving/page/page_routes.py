"""Routes of the page: its files, and the session that its token opens."""

from __future__ import annotations

from rhapsode import __version__
from rhapsode.serving.http.exchange import MAY_WRITE, Exchange
from rhapsode.serving.page.static_files import static_files
from rhapsode.serving.wire.api_errors import ApiError

HOME = "index.html"


class PageRoutes:
    """Handlers of the page."""

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


async def _send_file(exchange: Exchange, name: str) -> None:
    file = static_files().get(name)
    if file is None:
        raise ApiError(404, "not_found", "there is no such file")
    headers = [("etag", file.tag), ("cache-control", "no-cache")]
    if exchange.header("if-none-match") == file.tag:
        await exchange.send_bytes(b"", file.kind, 304, headers)
    else:
        await exchange.send_bytes(file.content, file.kind, 200, headers)

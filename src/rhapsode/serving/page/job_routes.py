"""Routes of training from the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qs

import rhapsode as rh
from rhapsode.serving.http.exchange import ClientLeft, Exchange, while_there
from rhapsode.serving.page.training_jobs import MINUTES, TrainingJobs
from rhapsode.serving.page.uploads import FILE_BYTES, plain_name
from rhapsode.serving.wire.api_errors import ApiError, refused


class JobRoutes:
    """Handlers of training from the page.

    Arguments:
        jobs: the runs.
    """

    def __init__(self, jobs: TrainingJobs) -> None:
        self._jobs = jobs

    async def corpora(self, exchange: Exchange) -> None:
        """List the named corpora."""
        corpora = await asyncio.to_thread(rh.corpora)
        listing = [{"name": name, **entry} for name, entry in corpora.items()]
        await exchange.answer({"data": listing})

    async def upload(self, exchange: Exchange) -> None:
        """Store the file in the body; its name is in the query."""
        exchange.check_may_write()
        announced = exchange.header("content-length")
        if announced is not None and announced.isdecimal() and int(announced) > FILE_BYTES:
            raise ApiError(413, "body_too_large", f"a file has at most {FILE_BYTES >> 20} MB")
        name = _query(exchange, "name") or "file"
        upload = await self._jobs.uploads.save(name, _parts(exchange))
        await exchange.answer({"id": upload.id, "name": upload.name, "bytes": upload.size})

    async def survey(self, exchange: Exchange) -> None:
        """Tell what a source is taken for, as `rhapsode data info` does."""
        exchange.check_may_write()
        source = await self._source(await exchange.json())

        async def answer() -> None:
            await exchange.answer(await self._jobs.survey(source))

        await while_there(exchange, answer())

    async def start(self, exchange: Exchange) -> None:
        """Start a run."""
        exchange.check_may_write()
        body = await exchange.json()
        minutes = body.get("minutes")
        if isinstance(minutes, bool) or not isinstance(minutes, int | float):
            raise refused("minutes is a number", param="minutes")
        if not 0.05 <= minutes <= MINUTES:
            raise refused(f"minutes is from 0.05 to {MINUTES}", param="minutes")
        source = await self._source(body)
        wanted = body.get("name") or plain_name(source).partition(".")[0][:64]
        if not isinstance(wanted, str):
            raise refused("name is a text", param="name")
        name = await self._jobs.start(source, wanted, minutes)
        await exchange.answer(self._jobs.facts(name))

    async def listing(self, exchange: Exchange) -> None:
        """List the runs that the page has started."""
        await exchange.answer({"data": await asyncio.to_thread(self._jobs.listing)})

    async def course(self, exchange: Exchange) -> None:
        """Tell the state of a run, and its events after `since` lines."""
        since = _query(exchange, "since") or "0"
        if not since.isdecimal() or len(since) > 15:
            raise refused("since is a whole number", param="since")
        name = exchange.path["name"]
        await exchange.answer(await asyncio.to_thread(self._jobs.course, name, int(since)))

    async def stop(self, exchange: Exchange) -> None:
        """Stop a run; what was learnt is saved."""
        await exchange.body()
        exchange.check_may_write()
        self._jobs.stop(exchange.path["name"])
        await exchange.answer(self._jobs.facts(exchange.path["name"]))

    async def resume(self, exchange: Exchange) -> None:
        """Continue a run that was interrupted."""
        await exchange.body()
        exchange.check_may_write()
        await self._jobs.resume(exchange.path["name"])
        await exchange.answer(self._jobs.facts(exchange.path["name"]))

    async def _source(self, body: dict[str, object]) -> str:
        """The path of an uploaded file, or the name of a corpus.

        Raises:
            ApiError: neither is named.
        """
        if body.get("upload") is not None:
            return str(self._jobs.uploads.get(body["upload"]).path)
        corpora, name = await asyncio.to_thread(rh.corpora), body.get("corpus")
        if not isinstance(name, str) or name not in corpora:
            raise refused("there is no such corpus", param="corpus")
        return name


async def _parts(exchange: Exchange) -> AsyncIterator[bytes]:
    while True:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _query(exchange: Exchange, name: str) -> str | None:
    values = parse_qs(exchange.scope["query_string"].decode("latin-1")).get(name)
    return values[0] if values else None

"""The application: routes over the models of a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from rhapsode.serving.http.exchange import Endpoint, Exchange, Handler
from rhapsode.serving.page.attach import page_routes, training_jobs
from rhapsode.serving.page.training_jobs import TrainingJobs
from rhapsode.serving.routes.completions import Completions
from rhapsode.serving.routes.forecasting import Forecasts
from rhapsode.serving.routes.llama_routes import LlamaRoutes
from rhapsode.serving.routes.server_routes import ServerRoutes
from rhapsode.serving.routes.state_routes import StateRoutes
from rhapsode.serving.routes.tokens import Tokens
from rhapsode.serving.serve_settings import ServeSettings
from rhapsode.serving.served_model import ModelTable
from rhapsode.serving.server_state import ServerState
from rhapsode.serving.wire.api_errors import ApiError
from rhapsode.serving.wire.json_text import encode_json

WRITING = ("/v1/completions", "/v1/chat/completions", "/completion")
"""Paths of requests that need a slot."""


def build_app(
    models: ModelTable, settings: ServeSettings, keys: Sequence[str] = ()
) -> tuple[ASGIApp, ServerState]:
    """The application of a server, and what its handlers share.

    Arguments:
        models: by name; they are loaded when the application starts.
        settings: of the server.
        keys: that clients must have; empty for none.
    """
    server = ServerState(models, settings, keys)
    jobs = training_jobs(server)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        for served in models:
            served.scheduler.start()
        loading = asyncio.create_task(_load(models, server))
        try:
            yield
        finally:
            loading.cancel()
            jobs.close()
            for served in models:
                served.scheduler.close()

    handlers = {404: _not_found, 405: _wrong_method}
    app = Starlette(routes=_routes(server, jobs), lifespan=lifespan, exception_handlers=handlers)
    return app, server


def _not_found(request: Request, problem: Exception) -> Response:
    return _error(ApiError(404, "not_found", "there is no such route"))


def _wrong_method(request: Request, problem: Exception) -> Response:
    return _error(ApiError(405, "method_not_allowed", "this route has other methods"))


def _error(error: ApiError) -> Response:
    content = encode_json(error.to_mapping())
    return Response(content, error.status, dict(error.headers), "application/json")


async def _load(models: ModelTable, server: ServerState) -> None:
    for served in models:
        await asyncio.to_thread(served.warm)
    server.loaded()


def _routes(server: ServerState, jobs: TrainingJobs) -> list[Route]:
    completions, about = Completions(server), ServerRoutes(server)
    states, tokens = StateRoutes(server), Tokens(server)
    llama = LlamaRoutes(server, completions)
    # The first route that fits is taken: those that are called most stand first.
    table: list[tuple[str, str, Handler]] = [
        ("POST", "/v1/completions", completions.texts),
        ("POST", "/v1/chat/completions", completions.chats),
        ("POST", "/completion", llama.completion),
        ("GET", "/health", about.health),
        ("GET", "/health/live", about.live),
        ("GET", "/metrics", about.metrics),
        ("GET", "/v1/models", about.models),
        ("GET", "/v1/models/{name:path}", about.model),
        ("POST", "/v1/session", about.session),
        ("POST", "/v1/cancel/{id}", about.cancel),
        ("GET", "/v1/states", states.listing),
        ("POST", "/v1/states/{name}/fork", states.fork),
        ("DELETE", "/v1/states/{name}", states.delete),
        ("POST", "/v1/forecasts", Forecasts(server).answer),
        ("GET", "/tokenizer_info", tokens.info),
        ("POST", "/tokenize", tokens.tokenize),
        ("POST", "/detokenize", tokens.detokenize),
        ("GET", "/props", llama.props),
        *page_routes(server, jobs),
    ]

    def observe(exchange: Exchange) -> None:
        server.metrics.requests.labels(exchange.model, exchange.outcome).inc()

    return [
        Route(path, Endpoint(handler, observe), methods=[method]) for method, path, handler in table
    ]

"""Routes of the page, and the models of its runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rhapsode.serving.http.exchange import Handler
from rhapsode.serving.page.job_routes import JobRoutes
from rhapsode.serving.page.kind_routes import KindRoutes
from rhapsode.serving.page.page_routes import PageRoutes
from rhapsode.serving.page.training_jobs import TrainingJobs
from rhapsode.serving.served_model import open_models
from rhapsode.serving.server_state import ServerState

RUNS = Path("runs")
"""Folder of runs from the page."""


def training_jobs(server: ServerState, runs: Path = RUNS) -> TrainingJobs:
    """The runs of the page, whose models the server offers.

    Arguments:
        server: what the handlers share.
        runs: folder of runs.
    """

    async def opened(run: Path) -> None:
        for served in await asyncio.to_thread(open_models, [run], server.settings):
            served.scheduler.start()
            server.models.add(served)
            await asyncio.to_thread(served.warm)

    return TrainingJobs(runs, opened)


def page_routes(server: ServerState, jobs: TrainingJobs) -> list[tuple[str, str, Handler]]:
    """Method, path and handler of every route of the page."""
    page, training, kinds = PageRoutes(server), JobRoutes(jobs), KindRoutes(server)
    return [
        ("GET", "/", page.home),
        ("GET", "/static/{name}", page.static),
        ("GET", "/api/session", page.session),
        ("POST", "/api/copies", page.copies),
        ("GET", "/api/models", kinds.models),
        ("POST", "/api/forecast", kinds.forecast),
        ("POST", "/api/drawings", kinds.drawings),
        ("POST", "/api/answers", kinds.answers),
        ("GET", "/api/corpora", training.corpora),
        ("POST", "/api/uploads", training.upload),
        ("POST", "/api/survey", training.survey),
        ("GET", "/api/jobs", training.listing),
        ("POST", "/api/jobs", training.start),
        ("GET", "/api/jobs/{name}", training.course),
        ("POST", "/api/jobs/{name}/stop", training.stop),
        ("POST", "/api/jobs/{name}/resume", training.resume),
    ]

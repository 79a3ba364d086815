"""Training from the page, one process at a time."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

from rhapsode.errors import RhapsodeError, RunError
from rhapsode.files import write_atomically
from rhapsode.log import log
from rhapsode.serving.page.run_course import RunCourse
from rhapsode.serving.page.training_process import STAGE
from rhapsode.serving.page.uploads import Uploads
from rhapsode.serving.wire.api_errors import ApiError, refused

_PROCESS = "rhapsode.serving.page.training_process"
_SURVEY = "rhapsode.serving.page.survey_process"
_JOB = "job.json"
_NAME = re.compile(r"\w[\w-]{0,63}")
_NAME_BYTES = 200
_OVER = ("done", "interrupted", "failed")
SURVEY_SECONDS = 300.0
MINUTES = 24 * 60
"""Longest run from the page."""


class TrainingJobs:
    """The runs that the page has started.

    Arguments:
        runs: folder of runs; jobs and uploads are kept in it.
        opened: takes the folder of a run that has a model.
    """

    def __init__(self, runs: Path, opened: Callable[[Path], Awaitable[None]]) -> None:
        self.uploads = Uploads(runs / ".page" / "uploads")
        self._runs, self._opened = runs, opened
        self._folder = runs / ".page" / "jobs"
        self._process: asyncio.subprocess.Process | None = None
        self._running: str | None = None
        self._watch: asyncio.Task[None] | None = None
        self._surveying = asyncio.Lock()

    async def survey(self, source: str) -> dict[str, Any]:
        """The facts of `rhapsode data info` about a source, or its error.

        Raises:
            ApiError: the source cannot be read.
        """
        async with self._surveying:
            return await self._survey(source)

    async def _survey(self, source: str) -> dict[str, Any]:
        words = ["-m", _SURVEY, source]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            stdin=DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(SURVEY_SECONDS):
                answer, told = await process.communicate()
        except TimeoutError:
            raise ApiError(
                400, "time_limit_exceeded", "the file could not be read in five minutes"
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            lines = told.decode("utf-8", "replace").strip().splitlines()
            message = " ".join(lines).replace(source, Path(source).name)
            raise refused(message or "the source cannot be read", param="source")
        facts: dict[str, Any] = json.loads(answer)
        return facts

    async def start(self, source: str, name: str, minutes: float) -> str:
        """Start a run.

        Arguments:
            source: path or corpus.
            name: wanted for the run; a number is added if it is taken.
            minutes: of training.

        Returns:
            The name of the run.

        Raises:
            ApiError: a run is in progress, or the name is no name.
        """
        if not _is_name(name):
            raise refused("name has letters, digits, - and _, at most 64", param="name")
        free, number = name, 2
        while (self._runs / free).exists() or (self._folder / free).exists():
            free, number = f"{name}-{number}", number + 1
        self._take(free)
        seconds = max(1, round(minutes * 60))
        job = {
            "sources": [source],
            "settings": {"budget": f"{seconds}s" if seconds % 60 else f"{seconds // 60}m"},
            "output": str(self._runs / free),
            "resume": False,
            "started": time.time(),
        }
        await self._launch(free, job)
        return free

    async def resume(self, name: str) -> None:
        """Continue a run that was interrupted.

        Raises:
            ApiError: a run is in progress, or this one cannot be continued.
        """
        job = self._job(name)
        if self._stage(name)["stage"] != "interrupted":
            raise refused("only an interrupted run can be continued", param="name")
        self._take(name)
        await self._launch(name, {**job, "settings": {}, "resume": True})

    def _take(self, name: str) -> None:
        """Make a run the one in progress."""
        if self._running is not None:
            raise ApiError(
                400, "queue_full", f"{self._running} is being trained; one run at a time"
            )
        self._running = name

    async def _launch(self, name: str, job: dict[str, Any]) -> None:
        folder = self._folder / name
        process = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / _JOB, json.dumps(job).encode())
            write_atomically(folder / STAGE, b'{"stage": "preparing"}')
            with (folder / "log.txt").open("ab") as told:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    _PROCESS,
                    str(folder / _JOB),
                    stdin=PIPE,
                    stdout=told,
                    stderr=told,
                    start_new_session=True,
                )
        except OSError as problem:
            raise RunError(f"the run cannot be started: {problem.strerror}") from None
        finally:
            self._process = process
            if process is None:
                self._running = None
        self._watch = asyncio.create_task(self._wait(name, process))

    async def _wait(self, name: str, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        self._running = self._process = None
        run = self._runs / name
        if (run / "model.safetensors").is_file():
            try:
                await self._opened(run)
            except RhapsodeError as problem:
                log.warning(f"{name}: {problem}")

    def stop(self, name: str) -> None:
        """Stop a run; what was learnt is saved.

        Raises:
            ApiError: it is not in progress.
        """
        if name != self._running or self._process is None:
            raise refused("this run is not in progress", param="name")
        self._end_input()

    def _end_input(self) -> None:
        """Close the standard input of the run in progress, which stops it."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def listing(self) -> list[dict[str, Any]]:
        """All jobs, the newest first."""
        if not self._folder.is_dir():
            return []
        names = [path.name for path in self._folder.iterdir() if (path / _JOB).is_file()]
        return sorted(map(self.facts, names), key=lambda facts: -facts["started"])

    def facts(self, name: str) -> dict[str, Any]:
        """The state of a job.

        Raises:
            ApiError: there is none of this name.
        """
        job, stage = self._job(name), self._stage(name)
        source, budget = job["sources"][0], job.get("settings", {}).get("budget", "")
        return {
            "name": name,
            "source": Path(source).name,
            "started": job["started"],
            "command": command_line(Path(source).name, job["output"], budget),
            "has_model": (self._runs / name / "model.safetensors").is_file(),
            **stage,
        }

    def course(self, name: str, since: int) -> dict[str, Any]:
        """The state of a job, and the latest events of its run.

        Arguments:
            name: of the job.
            since: lines of the record that the client has.

        Raises:
            ApiError: there is none of this name.
        """
        facts = self.facts(name)
        return {**facts, **RunCourse(self._runs / name).after(since)}

    def close(self) -> None:
        """Stop the run in progress, because the server ends."""
        self._end_input()

    def _job(self, name: str) -> dict[str, Any]:
        path = self._folder / name / _JOB
        if not _is_name(name) or not path.is_file():
            raise ApiError(404, "not_found", "there is no such run", param="name")
        job: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return job

    def _stage(self, name: str) -> dict[str, Any]:
        """The stage of a job; one of a damaged record has been interrupted."""
        stage: dict[str, Any]
        try:
            stage = json.loads((self._folder / name / STAGE).read_bytes())
        except (OSError, ValueError):
            stage = {"stage": "interrupted"}
        if name != self._running and stage["stage"] not in _OVER:
            stage["stage"] = "interrupted"  # with the server that started it
        return stage


def _is_name(name: str) -> bool:
    """True for the name of a run, which every file system takes."""
    return _NAME.fullmatch(name) is not None and len(name.encode()) <= _NAME_BYTES


def command_line(source: str, output: str, budget: str) -> str:
    """The command that trains the same run."""
    words: Sequence[str] = ["rhapsode", "train", source, "-o", output, "--budget", budget]
    return " ".join(word if re.fullmatch(r"[\w./:-]+", word) else f"'{word}'" for word in words)

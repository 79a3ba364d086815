"""Continuations of one prompt as workers see them, and their reports."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rhapsode.bundle import Distribution, log_softmax
from rhapsode.config import GenerateSettings
from rhapsode.generation import Chain, Trace
from rhapsode.generation.filters.contract import largest
from rhapsode.modalities.opened import Prompt
from rhapsode.serving.states.snapshots import Snapshot


@dataclass(frozen=True)
class Scored:
    """Log-probabilities at one element, natural logarithms.

    Arguments:
        log_prob: of the element.
        top: the likeliest ids and theirs, the element among them or not.
    """

    log_prob: float
    top: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, log_prob_V: Any, element: int, top: int) -> Scored:
        """Describe one element of a distribution.

        Arguments:
            log_prob_V: log-probabilities of all ids.
            element: the chosen one.
            top: number of likeliest ids.
        """
        likeliest = largest(log_prob_V, top) if top else ()
        return cls(
            float(log_prob_V[element]),
            tuple((int(each), float(log_prob_V[each])) for each in likeliest),
        )


@dataclass(frozen=True)
class Begun:
    """The prompt has been read.

    Arguments:
        cached: number of elements that were not read again.
        waited: seconds in the queue.
    """

    cached: int
    waited: float = 0.0


@dataclass(frozen=True)
class Written:
    """Elements of one continuation.

    Arguments:
        index: which continuation.
        elements: the new ones; the last may be the one that ends a document.
        last: "stop" or "length" if the continuation is over.
        scored: of each element, if log-probabilities are wanted.
        traces: of each element, if wanted.
    """

    index: int
    elements: Sequence[Any]
    last: str | None
    scored: Sequence[Scored] = ()
    traces: Sequence[Trace] = ()


@dataclass(frozen=True)
class Failed:
    """The work cannot go on.

    Arguments:
        problem: the reason.
    """

    problem: Exception


Report = Begun | Written | Failed


@dataclass(frozen=True)
class Resumption:
    """A continuation that goes on after a pause.

    Arguments:
        written: elements at the end of the snapshot that it had written.
        sequence: its index.
    """

    written: int
    sequence: int


class Inbox:
    """Reports for the handler of a request. For the event loop only."""

    def __init__(self) -> None:
        self._reports: deque[tuple[Work, Report]] = deque()
        self._waiting: asyncio.Future[None] | None = None

    def put(self, work: Work, report: Report) -> None:
        """Add a report of a work."""
        self._reports.append((work, report))
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def wait(self, seconds: float | None = None) -> list[tuple[Work, Report]]:
        """All reports that are there, at least one; none after some seconds."""
        if not self._reports:
            # A future and a timer: this is done for every event, and `asyncio.timeout` costs more.
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            timer = None if seconds is None else loop.call_later(seconds, self._wake)
            try:
                await self._waiting
            finally:
                self._waiting = None
                if timer is not None:
                    timer.cancel()
        reports = list(self._reports)
        self._reports.clear()
        return reports


@dataclass(eq=False)
class Work:
    """Continuations of one prompt.

    Arguments:
        prompt: the beginning.
        elements: of the prompt, after those of `begin` where there is one.
        settings: with a seed and a length.
        chain: filters before the draw.
        count: number of continuations.
        top: likeliest ids to score at each element; None scores nothing.
        mode: of the scores: "raw", "processed" or "network".
        begin: the state that the prompt continues.
        resumption: how the text goes on that `begin` has paused; None for a new one.
        keep: True if the snapshot after the prompt is needed.
        after_end: True if the prompt was sent with the end of a text before it, which every text
            begins after anyway.
    """

    prompt: Prompt
    elements: tuple[Any, ...]
    settings: GenerateSettings
    chain: Chain
    count: int
    top: int | None = None
    mode: str = "raw"
    begin: Snapshot | None = None
    resumption: Resumption | None = None
    keep: bool = False
    after_end: bool = False
    inbox: Inbox = field(default_factory=Inbox)
    snapshot: Snapshot | None = None
    """After the prompt, if it is kept."""
    cancelled: bool = False
    dropped: set[int] = field(default_factory=set)
    """Continuations that the handler has ended."""
    arrived: float = 0.0
    """Moment of the monotonic clock."""

    @property
    def sequences(self) -> range:
        """Indices that decide the draws."""
        first = 0 if self.resumption is None else self.resumption.sequence
        return range(first, first + self.count)

    @property
    def needs_distributions(self) -> bool:
        """True if every element needs its distribution."""
        return self.top is not None or self.settings.trace is not None


def scored_at(
    work: Work, following: Distribution, filtered_V: Any, row: int, element: int
) -> Scored:
    """Score an element before it is read.

    Arguments:
        work: says which log-probabilities are wanted.
        following: distribution of the rows.
        filtered_V: logits after the filters.
        row: of the element.
        element: the id.
    """
    assert work.top is not None
    if work.mode == "processed":
        return Scored.of(log_softmax(filtered_V), element, work.top)
    logits_BV = following.alone_BV if work.mode == "network" else following.logits_BV
    return Scored.of(log_softmax(logits_BV[row]), element, work.top)

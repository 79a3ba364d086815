"""What the loop that writes many elements at a time gives. Light: nothing is compiled here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rhapsode.generation.chain import Chain
from rhapsode.generation.loop import Job

__all__ = ["Stretch", "StretchPredictor"]


@dataclass(frozen=True)
class Stretch:
    """Some elements that were chosen for one job, one after the other.

    Arguments:
        job: index into the jobs.
        elements: ids; the last one is end-of-sequence where the text ended by itself.
        last: why the job ended, "stop" or "length"; None while it goes on.
    """

    job: int
    elements: list[int]
    last: str | None


@runtime_checkable
class StretchPredictor(Protocol):
    """What a predictor has besides that chooses elements itself."""

    def stretches(
        self, jobs: Sequence[Job], chain: Chain, *, seed: int, dropped: set[int] | None = None
    ) -> Iterator[Stretch] | None:
        """Write all jobs side by side, a stretch of each in turn; None where it cannot do a step of the chain.

        Arguments:
            jobs: what to continue; their prompts have the same number of elements.
            chain: filters before the draw.
            seed: of the draw.
            dropped: indices of jobs that the caller has ended.
        """
        ...

"""Jobs of a request, written side by side.

A predictor that writes whole stretches (the compiled engine) is asked for them first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rhapsode.bundle import Job, Predictor, Stretch, StretchRequest
from rhapsode.encoding import END_ID
from rhapsode.generation.chain import Chain
from rhapsode.generation.loop import Rows, run
from rhapsode.generation.trace import Trace, trace_of


@dataclass(frozen=True)
class Continued(Stretch):
    """Elements that were chosen for one job, one after the other.

    Arguments:
        trace: how a single element came about, where that was asked for.
    """

    trace: Trace | None = None

    @property
    def element(self) -> int:
        """The last of them; end-of-sequence when the text ended by itself."""
        return self.elements[-1]


def generate_elements(
    predictor: Predictor,
    jobs: Sequence[Job],
    chain: Chain,
    *,
    seed: int,
    dropped: set[int] | None = None,
    trace: int | None = None,
) -> Iterator[Continued]:
    """Write all jobs side by side, an element of each in turn.

    A job ends at end-of-sequence, at its length, or when the caller adds its index to `dropped`.
    Jobs without a condition are written before those that have one.

    Arguments:
        predictor: the model.
        jobs: what to continue.
        chain: filters between the model's logits and the draw.
        seed: seed of the draw.
        dropped: indices of jobs that the caller has ended.
        trace: explain every choice, with this many of the likeliest elements; None explains
            nothing.

    Raises:
        SettingsError: a job has a condition and the predictor cannot use it.
    """
    groups = [
        [i for i, job in enumerate(jobs) if job.length > 0 and (job.condition is None) is free]
        for free in (True, False)
    ]
    begun = [
        (live, Rows.of_jobs(predictor, [jobs[index] for index in live], chain, seed))
        for live in groups
        if live
    ]
    for live, rows in begun:
        yield from _written(rows, live, jobs, set() if dropped is None else dropped, trace)


def _written(
    rows: Rows, live: list[int], jobs: Sequence[Job], dropped: set[int], trace: int | None
) -> Iterator[Continued]:
    """Choices of rows that go on together.

    Arguments:
        rows: after their prompts.
        live: index of the job of each row.
        jobs: as for `generate_elements`.
        dropped: likewise.
        trace: likewise.
    """
    for step in run(rows, lambda rows: rows.draw(count=trace is not None)):
        going: list[int] = []
        for row, index in enumerate(live):
            element = int(step.elements[row])
            ends = rows.position + 1 >= jobs[index].length
            last = "stop" if element == END_ID else "length" if ends else None
            told = None
            if trace is not None:
                assert step.filtered_RKV is not None
                assert step.removed is not None
                told = trace_of(
                    rows.chain,
                    rows.following().logits_BV,
                    step.filtered_RKV[:, 0],
                    step.removed,
                    row=row,
                    element=element,
                    top=trace,
                    parts=rows.following().contributions(row),
                )
            yield Continued(index, (element,), last, told)
            if last is None and index not in dropped:
                going.append(row)
        if len(going) < len(live):
            live = [live[row] for row in going]
            step.keep(going)


def continue_jobs(
    predictor: Predictor,
    jobs: Sequence[Job],
    chain: Chain,
    *,
    seed: int,
    dropped: set[int] | None = None,
    trace: int | None = None,
) -> Iterator[Continued]:
    """Write all jobs as `generate_elements` does, faster where possible.

    A predictor with a fast path writes many elements at a time.
    """
    dropped = dropped if dropped is not None else set()
    stretches = None
    if trace is None:
        stretches = predictor.stretches(StretchRequest(jobs, chain, seed, dropped))
    if stretches is not None:
        yield from (Continued(one.job, one.elements, one.last) for one in stretches)
    else:
        yield from generate_elements(
            predictor, jobs, chain, seed=seed, dropped=dropped, trace=trace
        )

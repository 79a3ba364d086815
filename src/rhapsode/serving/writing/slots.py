"""Works that a worker writes side by side, element by element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rhapsode.bundle import Predictor
from rhapsode.generation import Rows
from rhapsode.generation.loop import DrawKey
from rhapsode.generation.shared_rows import SharedRows
from rhapsode.generation.trace import Trace, trace_of
from rhapsode.serving.states.snapshots import Snapshot
from rhapsode.serving.writing.work import Failed, Report, Scored, Work, Written, scored_at


@dataclass
class _Seated:
    """A work, its rows, and which continuation each row is."""

    work: Work
    rows: Rows
    live: list[int]
    first: int


class Slots:
    """Works of one predictor that go on together, with any filters.

    Arguments:
        predictor: the model.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._shared = SharedRows(predictor)
        self._seated: list[_Seated] = []

    def __len__(self) -> int:
        """Number of continuations."""
        return sum(len(one.live) for one in self._seated)

    def join(self, work: Work, snapshot: Snapshot) -> None:
        """Begin the continuations of a work after its prompt."""
        count, prompt = work.count, work.prompt
        state, following = snapshot.rows(self._predictor, count)
        keys = [prompt.keys(_seed(work), sequence) for sequence in work.sequences]
        written = 0 if work.resumption is None else work.resumption.written
        before = snapshot.elements[: len(snapshot.elements) - written]
        resumed = snapshot.elements[len(before) :]
        rows = Rows(
            self._predictor,
            state,
            work.chain,
            DrawKey.join([own for own, _ in keys]),
            following=following,
            prompts=(prompt.seen(before),) * count,
            filter_key=DrawKey.join([own for _, own in keys]),
            written_RT=np.tile(prompt.seen(resumed), (count, 1)) if written else None,
        )
        self._shared.join(rows)
        self._seated.append(_Seated(work, rows, list(range(count)), rows.position))

    def drop_ended(self) -> None:
        """Remove continuations that their handlers have ended."""
        for one in tuple(self._seated):
            work = one.work
            if work.cancelled or work.dropped.issuperset(one.live):
                self._remove(one)

    def works(self) -> list[Work]:
        """The works that go on."""
        return [one.work for one in self._seated]

    def write(self) -> list[tuple[Work, Report]]:
        """Write one element of every continuation."""
        reports: list[tuple[Work, Report]] = []
        if self._seated:
            self._shared.advance()
        for one in tuple(self._seated):
            try:
                reports += self._step(one)
            except Exception as problem:  # one request must not end the others
                reports.append((one.work, Failed(problem)))
                self._remove(one)
        return reports

    def _step(self, one: _Seated) -> list[tuple[Work, Report]]:
        work, rows = one.work, one.rows
        length = work.settings.length
        assert length is not None
        tracing, scoring = work.settings.trace, work.top is not None
        step = rows.draw(work.settings.temperature, count=tracing is not None or scoring)
        following = rows.following()
        elements = [work.prompt.restored(each) for each in step.elements.tolist()]
        reports: list[tuple[Work, Report]] = []
        going: list[int] = []
        for row, (index, element) in enumerate(zip(one.live, elements, strict=True)):
            ends = rows.position + 1 >= one.first + length
            last = "stop" if element == work.prompt.end else "length" if ends else None
            scored: Sequence[Scored] = ()
            traces: Sequence[Trace] = ()
            if scoring:
                filtered: Any = step.filtered_RKV
                scored = (scored_at(work, following, filtered[row, 0], row, element),)
            if tracing is not None:
                assert step.filtered_RKV is not None
                assert step.removed is not None
                traces = (
                    trace_of(
                        rows.chain,
                        following.logits_BV,
                        step.filtered_RKV[:, 0],
                        step.removed,
                        row=row,
                        element=element,
                        top=tracing,
                        parts=following.contributions(row),
                    ),
                )
            reports.append((work, Written(index, (element,), last, scored, traces)))
            if last is None and index not in work.dropped:
                going.append(row)
        one.live = [one.live[row] for row in going]
        if going:
            if len(going) < len(elements):
                step.keep(going)
            rows.write(step)
        else:
            self._remove(one)
        return reports

    def _remove(self, one: _Seated) -> None:
        self._shared.leave(one.rows)
        self._seated.remove(one)


def _seed(work: Work) -> int:
    assert work.settings.seed is not None
    return work.settings.seed

"""Works that a worker writes many elements at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from rhapsode.bundle import Predictor, Stretch
from rhapsode.bundle.row_table import Entrant, TableRequest
from rhapsode.encoding import END_ID
from rhapsode.serving.states.snapshots import Snapshot
from rhapsode.serving.writing.work import Report, Work, Written


class TableSlots:
    """Works of one predictor in its fast table.

    Arguments:
        predictor: the model.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._table = predictor.table(TableRequest())
        self._predictor = predictor
        self._numbers = count()
        self._works: dict[int, tuple[Work, int]] = {}

    def __len__(self) -> int:
        """Number of continuations."""
        return len(self._works)

    def admits(self, work: Work) -> bool:
        """True if a work needs nothing that the table does not give."""
        if self._table is None or work.needs_distributions or work.prompt.end != END_ID:
            return False
        return self._table.admits(work.chain)

    def join(self, ready: Sequence[tuple[Work, Snapshot]]) -> list[tuple[Work, Report]]:
        """Begin the continuations of works with one element each."""
        if not ready:
            return []
        assert self._table is not None
        entrants = [
            entrant for work, snapshot in ready for entrant in self._entrants(work, snapshot)
        ]
        return self._reports(self._table.join(entrants))

    def _entrants(self, work: Work, snapshot: Snapshot) -> Iterator[Entrant]:
        assert work.settings.seed is not None
        assert work.settings.length is not None
        written = 0 if work.resumption is None else work.resumption.written
        all_N = work.prompt.seen(snapshot.elements)
        for index, sequence in enumerate(work.sequences):
            key = next(self._numbers)
            self._works[key] = work, index
            yield Entrant(
                key,
                snapshot.state,
                snapshot.following.alone_BV[0],
                all_N[: len(all_N) - written],
                all_N[len(all_N) - written :],
                work.chain,
                work.settings.seed,
                sequence,
                written + work.settings.length,
            )

    def drop_ended(self) -> None:
        """Remove continuations that their handlers have ended."""
        gone = {
            key
            for key, (work, index) in self._works.items()
            if work.cancelled or index in work.dropped
        }
        if gone:
            assert self._table is not None
            self._table.leave(gone)
            for key in gone:
                del self._works[key]

    def works(self) -> list[Work]:
        """The works that go on."""
        return list({id(work): work for work, _ in self._works.values()}.values())

    def write(self, seconds: float, *, alone: bool) -> list[tuple[Work, Report]]:
        """Write all continuations for about some seconds; see `WritingTable.write`."""
        if not self._works:
            return []
        assert self._table is not None
        return self._reports(self._table.write(seconds, alone=alone))

    def _reports(self, stretches: list[Stretch]) -> list[tuple[Work, Report]]:
        reports: list[tuple[Work, Report]] = []
        for stretch in stretches:
            work, index = self._works[stretch.job]
            reports.append((work, Written(index, stretch.elements, stretch.last)))
            if stretch.last is not None:
                del self._works[stretch.job]
        return reports

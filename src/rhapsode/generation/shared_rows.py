"""Rows of several requests that share the calls of a predictor.

Requests join and leave between steps. Each keeps its own filters, seed and position, so that its
elements do not depend on the company.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.generation.loop import Rows

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Seats:
    """Places of rows in the shared state.

    They are the state of `Rows` that share one.

    Arguments:
        seat_R: row of the shared state.
    """

    seat_R: Ids

    def select(self, rows_R: Ids) -> Seats:
        """The places of some rows."""
        return Seats(self.seat_R[rows_R])

    def fork(self) -> Seats:
        """The places themselves, which are never changed in place."""
        return self


class SharedRows:
    """Rows of several requests, advanced in one call.

    Arguments:
        predictor: of all rows.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._state: Any = None
        self._members: list[Rows] = []
        self._arrivals: list[Any] = []
        self._seats = 0

    def __len__(self) -> int:
        """Number of rows of all requests."""
        return sum(map(len, self._members))

    def join(self, rows: Rows) -> None:
        """Add the rows of a request, with the state after their prompts.

        Raises:
            ValueError: rows of another predictor.
        """
        if rows.predictor is not self._predictor:
            raise ValueError("rows of another predictor cannot join")
        self._arrivals.append(rows.state)
        rows.state = Seats(np.arange(self._seats, self._seats + len(rows)))
        self._seats += len(rows)
        self._members.append(rows)

    def leave(self, rows: Rows) -> None:
        """Remove a request; its rows cannot go on."""
        self._members.remove(rows)

    def advance(self) -> None:
        """Read the last elements of all rows.

        Every row then has its next distribution. The caller draws and writes the steps of each
        request, or lets it leave.
        """
        waiting = [rows for rows in self._members if rows.unread is not None]
        ready = [rows for rows in self._members if rows.unread is None]
        self._gather([*waiting, *ready])
        if not waiting:
            return
        count = sum(map(len, waiting))
        unread = np.concatenate([rows.unread for rows in waiting if rows.unread is not None])
        state, rest = self._state, None
        if ready:
            state = self._predictor.select(self._state, np.arange(count))
            rest = self._predictor.select(self._state, np.arange(count, self._seats))
        following, after = self._predictor.advance(unread, state)
        self._state = after if rest is None else self._predictor.join([after, rest])
        first = 0
        for rows in waiting:
            rows.follow(following.select(np.arange(first, first + len(rows))))
            first += len(rows)

    def _gather(self, members: Iterable[Rows]) -> None:
        """Put the rows of the shared state in the order of their requests."""
        if self._arrivals:
            before = [] if self._state is None else [self._state]
            self._state = self._predictor.join([*before, *self._arrivals])
            self._arrivals = []
        ordered = list(members)
        seats = [rows.state.seat_R for rows in ordered]
        seat_R = np.concatenate(seats) if seats else np.zeros(0, dtype=np.int64)
        if len(seat_R) != self._seats or (seat_R != np.arange(self._seats)).any():
            self._state = self._predictor.select(self._state, seat_R) if len(seat_R) else None
            self._seats, first = len(seat_R), 0
            for rows in ordered:
                rows.state = Seats(np.arange(first, first + len(rows)))
                first += len(rows)

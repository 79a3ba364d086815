"""Cores beside the first: helpers at one product, and parts of a batch that go on side by side.

The compiled loops hold no lock, so that a plain thread is enough. Nothing here changes a number, so that every loop may
find out for itself whether threads pay: on a machine that is busy elsewhere they do not.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.engine import offsets as at
from rhapsode.engine.compiled_steps import helper_for
from rhapsode.engine.kernels import team
from rhapsode.engine.packed_weights import Laid

T = TypeVar("T")

# Rows of a part are a multiple of it: so many are multiplied at once.
PART = 4
# Threads that are started at most.
MOST = 16
# Rounds after which the slower way is tried again.
AGAIN = 24
# Bytes of the matrices of the smallest network that helpers are asked for.
SHARED_BYTES = 1 << 20


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not everywhere
        return os.cpu_count() or 1


def parts_of(rows: int, threads: int) -> list[range]:
    """The rows of a batch, split for so many threads into parts of about one size; one part where they are few."""
    count = max(1, min(threads, MOST, rows // PART))
    fours = -(-rows // PART)
    ends = [min(rows, -(-fours * (part + 1) // count) * PART) for part in range(count)]
    return [
        range(begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True) if begin < end
    ]


def may_help(network: Laid, threads: int) -> bool:
    """Whether helpers are asked for at all."""
    return threads > 1 and network.matrices.nbytes >= SHARED_BYTES


class Pace:
    """Whether threads pay just now: both ways are timed, the faster one goes on, the other is tried again by and by."""

    def __init__(self) -> None:
        self._seconds: dict[bool, float] = {}
        self._rounds = 0

    def together(self) -> bool:
        """Whether the next round is for threads."""
        if len(self._seconds) < 2:
            return not self._seconds
        faster = self._seconds[True] < self._seconds[False]
        return faster if self._rounds % AGAIN else not faster

    def told(self, together: bool, seconds: float) -> None:
        """How long an element of a round took."""
        self._seconds[together] = seconds
        self._rounds += 1


class Helped:
    """Threads that share the large products of whatever runs with `spec`.

    Arguments:
        network: whose matrices they read.
        threads: all in all; 1 has no helpers.
    """

    def __init__(self, network: Laid, threads: int) -> None:
        self.spec: NDArray[np.int64] = network.spec.copy()
        self._helpers = min(threads, MOST) - 1 if may_help(network, threads) else 0
        if self._helpers < 1:
            return
        self._matrices = network.matrices
        self._help = helper_for(network.kind).help
        self._room = np.zeros(team.BOARD + 8, dtype=np.int64)
        self._first = -(self._room.ctypes.data // 8) % 8
        self._address = self._room.ctypes.data + 8 * self._first
        self._pace = Pace()

    def run(self, write: Callable[[], T], size: Callable[[T], int]) -> T:
        """What a call gives that writes elements, with help where that pays.

        Arguments:
            write: the call.
            size: how many elements it gave.
        """
        if self._helpers < 1:
            return write()
        together = self._pace.together()
        began = time.perf_counter()
        if together:
            found = self._helped(write)
        else:
            self.spec[at.BOARD] = 0
            found = write()
        self._pace.told(together, (time.perf_counter() - began) / max(1, size(found)))
        return found

    def _helped(self, write: Callable[[], T]) -> T:
        self.spec[at.BOARD] = self._address
        self._room[self._first + team.ENDED] = 0
        threads = [
            threading.Thread(target=self._help, args=(self._address, self._matrices), daemon=True)
            for _ in range(self._helpers)
        ]
        for thread in threads:
            thread.start()
        try:
            return write()
        finally:
            self._room[self._first + team.ENDED] = 1
            for thread in threads:
                thread.join()


def abreast(parts: Sequence[Iterator[T]], size: Callable[[T], int]) -> Iterator[T]:
    """What iterators give, the next of each made at the same time where that pays, told in their order.

    Arguments:
        parts: the iterators, of anything but None.
        size: how many elements one gave at a time.
    """
    pace, going = Pace(), list(parts)
    while going:
        asked = [partial(next, each, None) for each in going]
        together = len(going) > 1 and pace.together()
        began = time.perf_counter()
        found = _all_at_once(asked) if together else [ask() for ask in asked]
        given = [one for one in found if one is not None]
        if len(going) > 1:
            count = sum(map(size, given))
            pace.told(together, (time.perf_counter() - began) / max(1, count))
        yield from given
        going = [each for each, one in zip(going, found, strict=True) if one is not None]


def _all_at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Results of calls in order, the first made here and the others by threads; an error is raised here."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(calls)) as pool:
        others = [pool.submit(call) for call in calls[1:]]
        return [calls[0](), *(other.result() for other in others)]

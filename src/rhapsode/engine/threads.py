"""Threads of the compiled engine: helpers, and parts of a batch.

The compiled loops hold no lock, so that a plain thread is enough. Threads change no number, so that
every loop may measure for itself whether they are faster: on a busy machine they are not.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.engine import offsets as at
from rhapsode.engine.compiled_steps import help_write
from rhapsode.engine.kernels import team
from rhapsode.engine.packed_weights import Laid

T = TypeVar("T")

# Rows of a part are a multiple of it: so many are multiplied at once.
PART = 4
# Threads that are started at most.
MOST = 16
# Rounds after which the slower way is tried again.
AGAIN = 24
# Seconds of elements that threads write before both ways are compared.
ROUND = 0.05
# Bytes of the matrices of the smallest network that helpers are asked for.
SHARED_BYTES = 1 << 20


def parts_of(rows: int, threads: int) -> list[range]:
    """Split the rows of a batch into parts of similar size.

    One part for each thread; few rows are one part.
    """
    count = max(1, min(threads, MOST, rows // PART))
    fours = -(-rows // PART)
    ends = [min(rows, -(-fours * (part + 1) // count) * PART) for part in range(count)]
    return [
        range(begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True) if begin < end
    ]


def may_help(network: Laid, threads: int) -> bool:
    """True if helpers are asked for at all."""
    return threads > 1 and network.matrices.nbytes >= SHARED_BYTES


class Pace:
    """Choose threads or turns by timing both, and re-check now and then."""

    def __init__(self) -> None:
        self._seconds: dict[bool, float] = {}
        self._rounds = 0

    def together(self) -> bool:
        """True if the next round is for threads."""
        if len(self._seconds) < 2:
            return not self._seconds
        faster = self._seconds[True] < self._seconds[False]
        return faster if self._rounds % AGAIN else not faster

    def told(self, together: bool, seconds: float) -> None:
        """Note how long an element of a round took."""
        self._seconds[together] = seconds
        self._rounds += 1

    def run(self, write: Callable[[bool], T], size: Callable[[T], int]) -> T:
        """Time a round and return what it gives.

        Arguments:
            write: gives elements, by threads or not.
            size: how many elements it gave.
        """
        together = self.together()
        began = time.perf_counter()
        written = write(together)
        self.told(together, (time.perf_counter() - began) / max(1, size(written)))
        return written


class Helped:
    """Threads that share the large products of whatever runs with `specs_MS`.

    Arguments:
        networks: of a model, over the same vectors.
        threads: all in all; 1 has no helpers.
    """

    def __init__(self, networks: Sequence[Laid], threads: int) -> None:
        network = networks[0]
        self.specs_MS: NDArray[np.int64] = np.stack([each.spec for each in networks])
        self._helpers = min(threads, MOST) - 1 if may_help(network, threads) else 0
        self._matrices = network.matrices
        room = np.zeros(team.BOARD + 8, dtype=np.int64)
        self._board = room[-(room.ctypes.data // 8) % 8 :]
        self._pace = Pace()

    def run(self, write: Callable[[], T], size: Callable[[T], int]) -> T:
        """Run a call that writes elements, with help if that is faster.

        Arguments:
            write: the call.
            size: how many elements it gave.
        """
        if self._helpers < 1:
            return write()
        return self._pace.run(lambda helped: self._helped(write) if helped else write(), size)

    def _helped(self, write: Callable[[], T]) -> T:
        address = self._board.ctypes.data
        self.specs_MS[:, at.BOARD] = address
        self._board[team.ENDED] = 0
        threads = [
            threading.Thread(target=help_write, args=(address, self._matrices), daemon=True)
            for _ in range(self._helpers)
        ]
        for thread in threads:
            thread.start()
        try:
            return write()
        finally:
            self._board[team.ENDED] = 1
            for thread in threads:
                thread.join()
            self.specs_MS[:, at.BOARD] = 0


def abreast(parts: Sequence[Iterator[T]], size: Callable[[T], int]) -> Iterator[T]:
    """Merge iterators, prefetching in threads where that is faster.

    Beside other programs a thread may be slower than the others: none waits for it.

    Arguments:
        parts: the iterators, of anything but None.
        size: how many elements one gave at a time.
    """
    if len(parts) < 2:
        yield from (one for part in parts for one in part)
        return
    from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

    pace, idle = Pace(), list(parts)
    asked: dict[Future[T | None], Iterator[T]] = {}

    def collect(future: Future[T | None]) -> T | None:
        part, one = asked.pop(future), future.result()
        if one is not None:
            idle.append(part)
        return one

    def ask(together: bool) -> list[T]:
        if not together:
            found = [collect(future) for future in list(asked)]
            answers = {part: next(part, None) for part in idle}
            idle[:] = [part for part, one in answers.items() if one is not None]
            return [one for one in (*found, *answers.values()) if one is not None]
        found, end = [], time.monotonic() + ROUND
        while (asked or idle) and (not found or time.monotonic() < end):
            while idle:
                part = idle.pop()
                asked[pool.submit(next, part, None)] = part
            left = max(0.0, end - time.monotonic()) if found else None
            found += [collect(future) for future in wait(asked, left, FIRST_COMPLETED).done]
        return [one for one in found if one is not None]

    with ThreadPoolExecutor(len(parts)) as pool:
        while idle or asked:
            yield from pace.run(ask, lambda found: sum(map(size, found)))

"""Rows of a batch on a network: threads, and parts in memory."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rhapsode.bundle.device import RowLimit, numbers
from rhapsode.bundle.network import Network
from rhapsode.data import Batch
from rhapsode.models import State


@contextmanager
def torch_workers(calls: int) -> Iterator[Executor | None]:
    """Threads that each use one core in torch; None for one.

    There are as many as torch has threads. Most of a step is too small to be shared by threads, and
    much of it is NumPy's, which has only one. The number of torch's threads is that of the process:
    a thread that first uses torch meanwhile has one.

    Arguments:
        calls: number of calls that could run in parallel.
    """
    before = torch.get_num_threads()
    threads = min(before, calls)
    if threads < 2:
        yield None
        return
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        # After a failure or an interruption, calls that have not begun are cancelled.
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)


def in_rows(
    limit: RowLimit,
    rows: int,
    state: State | None,
    work: Callable[[slice, State | None], tuple[Sequence[Any], State]],
) -> tuple[list[Any], State]:
    """Read rows, in parts where memory is short.

    Arguments:
        limit: the number of rows that fit.
        rows: B.
        state: before reading; None for rows that begin.
        work: reads some rows with their state, and returns arrays or tensors of those rows and the
            state after them.

    Returns:
        The arrays or tensors of all rows, and their state.
    """

    def part(place: slice) -> tuple[Sequence[Any], State]:
        if state is None or place == slice(0, rows):
            return work(place, state)
        return work(place, state.select(np.arange(rows)[place]))

    done, states = zip(*limit.over(rows, part), strict=True)
    columns = zip(*done, strict=True)
    return [_concatenated(column) for column in columns], type(states[0]).join(states)


def _concatenated(parts: tuple[Any, ...]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return torch.cat(parts) if isinstance(parts[0], Tensor) else np.concatenate(parts)


def score_rows(
    network: Network, limit: RowLimit, batch: Batch, state: State | None
) -> tuple[NDArray[np.float32], State]:
    """Log-probability (nats) of every target, (B, T).

    The state after the batch is returned, too. Rows are read in parts where memory is short.
    """

    def read(rows: slice, own: State | None) -> tuple[Sequence[Any], State]:
        part = batch if rows == slice(0, batch.rows) else batch.select(rows)
        log_prob_BT, after = network.log_prob(part, own)
        return [numbers(log_prob_BT)], after

    (log_prob_BT,), after = in_rows(limit, batch.rows, state, read)
    return log_prob_BT, after

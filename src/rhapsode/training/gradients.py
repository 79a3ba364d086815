"""Gradients of a step.

Its batch is moved ahead of time, and read in parts where memory is short.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor

from rhapsode.bundle.device import (
    CPU,
    autocast,
    exact_float32,
    free_memory,
    is_out_of_memory,
    tensor_on,
)
from rhapsode.bundle.network import MovedBatch, Network
from rhapsode.data import Stream
from rhapsode.models import State
from rhapsode.training.distributed import Group

T = TypeVar("T")

_Key = tuple[int, int]
_Parts = list[MovedBatch]


class BatchFeed:
    """Batches of a stream on the device of a network.

    Beside the CPU, the next batch is made and moved while the device computes.

    Arguments:
        network: what reads them.
        stream: the batches.
        group: who shares the rows of a batch; None for one process.
    """

    def __init__(self, network: Network, stream: Stream, group: Group | None = None) -> None:
        self._network = network
        self._stream = stream
        self._group = Group() if group is None else group
        self._ahead: tuple[_Key, tuple[_Parts, Tensor]] | None = None

    def take(self, step: int, parts: int) -> tuple[_Parts, Tensor]:
        """The batch of a step.

        Arguments:
            step: which.
            parts: into how many parts its rows are divided.

        Returns:
            The parts of this process, and the scored elements of the whole batch.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == (step, parts):
            return ahead[1]
        whole = self._stream.batch(step)
        own = self._group.rows(whole.rows)
        cuts = [own.start + part * (own.stop - own.start) // parts for part in range(parts + 1)]
        moved = [
            self._network.moved(
                whole if (start, stop) == (0, whole.rows) else whole.select(slice(start, stop))
            )
            for start, stop in pairwise(cuts)
            if stop > start
        ]
        # Every process knows the whole batch, so none need be asked how much it scores.
        count = tensor_on(self._network.device, whole.weights_BT).sum().clamp(min=1.0)
        return moved, count

    def prepare(self, step: int, parts: int) -> None:
        """Make the batch of a step that will be taken next."""
        if self._network.device != CPU:
            self._ahead = ((step, parts), self.take(step, parts))


def add_gradients(
    network: Network,
    feed: BatchFeed,
    step: int,
    state: State | None,
    precision: str,
    *,
    parts: int = 1,
    share: float = 1.0,
) -> tuple[Tensor, State | None]:
    """Add the gradients of the loss of one step.

    Of several processes, each adds those of its own rows: losses and gradients add up to those of
    the whole batch.

    Arguments:
        network: what reads.
        feed: the batches.
        step: which.
        state: after the step before; None for nothing.
        precision: "float32" or "bfloat16".
        parts: into how many parts the rows are divided, which are read one after another.
        share: factor of the loss.

    Returns:
        Nats per scored element, and the state after the step; both detached.
    """
    batches, count = feed.take(step, parts)
    total = torch.zeros((), device=network.device)
    after: list[State] = []
    start = 0
    for batch in batches:
        before = state
        if state is not None and len(batches) > 1:
            before = state.select(torch.arange(start, start + batch.rows))
        start += batch.rows
        with exact_float32(network.device, precision):
            with autocast(network.device, precision):
                loss_BT, reached = network.loss(batch, before)
            loss = (loss_BT * batch.weights_BT).sum() / count
            torch.autograd.backward(loss * share if share != 1.0 else loss)
        total = total + loss.detach()
        # Parts that still shared a memory would each bring a copy of it.
        after.append(reached.detach() if len(batches) == 1 else reached.detach().unshared())
    return total, type(after[0]).join(after) if after else None


def halved_once(
    work: Callable[[int], T], parts: int, rows: int, device: torch.device
) -> tuple[T, int]:
    """Do work on a batch, in two parts if memory is short.

    Arguments:
        work: called with the number of parts, and again after a failure.
        parts: that are known to be necessary.
        rows: of the batch.
        device: where the work is done.

    Returns:
        What the work gave, and the number of parts.
    """
    if parts > 1 or rows < 2:
        return work(parts), parts
    try:
        return work(1), 1
    except (RuntimeError, MemoryError) as problem:
        if not is_out_of_memory(problem):
            raise
    # Outside the handler, which holds the tensors of the failed attempt.
    free_memory(device)
    return work(2), 2

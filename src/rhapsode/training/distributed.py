"""The processes that train one network together.

The loop uses a group and does not depend on the number of processes. Every process holds the whole
network and reads its own rows of every batch. Gradients are summed, so that all processes make the
same update. Only the first process reads the clock, evaluates and writes. `torchrun` starts the
processes.
"""

import atexit
import contextlib
import json
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, distributed
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from rhapsode.bundle.device import join_backend, scalar
from rhapsode.errors import RunError, SettingsError

T = TypeVar("T")

# How long a process may keep the others waiting between two updates: the first one evaluates and
# samples there.
TIMEOUT = timedelta(minutes=30)
_POLL = 0.02
_FAILED = "failed"
_LEAVING = "leaving"


class Group:
    """A process of a run and its place among the others.

    By default it is alone.

    Arguments:
        rank: the number of this process, from 0.
        size: how many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank = rank
        self.size = size

    @property
    def first(self) -> bool:
        """True if this process decides, evaluates and writes."""
        return self.rank == 0

    def rows(self, total: int) -> slice:
        """This process's part of `total` rows; parts are contiguous and in order."""
        return slice(self.rank * total // self.size, (self.rank + 1) * total // self.size)

    def divide(self, batch_size: int, *, asked: bool) -> int:
        """A batch size that all processes can share.

        Arguments:
            batch_size: rows of a batch.
            asked: whether somebody wants just this one; a planned one is rounded up.

        Raises:
            SettingsError: one that was asked for cannot be divided.
        """
        if batch_size % self.size == 0:
            return batch_size
        more = -(-batch_size // self.size) * self.size
        if asked:
            raise SettingsError(
                f"{batch_size} rows cannot be divided evenly among {self.size} processes",
                where="[training] batch_size",
                hint=f"use a multiple of {self.size}, such as {more}, "
                "or another number of processes",
            )
        return more

    def start_random(self) -> None:
        """Give each process its own random numbers.

        Those of the first process stay as they are.
        """

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors by those of the first process."""

    def sum_gradients(self, parameters: Sequence[Tensor], value: float) -> float:
        """Replace every gradient by its sum over all processes.

        The sum is the same everywhere to the last bit.

        Arguments:
            parameters: their gradients are summed; missing ones count as zero.
            value: this process's part of the loss.

        Returns:
            The sum of the values.
        """
        return value

    def decide(self, values: Sequence[float], flag: bool) -> tuple[tuple[float, ...], bool]:
        """The first process's values, and whether any process raised its flag.

        Arguments:
            values: only those of the first process count.
            flag: this process's.
        """
        return tuple(values), flag

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, in order; each has as many."""
        return rows

    def agree(self, make: Callable[[], T]) -> T:
        """The result of `make` in the first process.

        The others wait for it without a time limit.

        Arguments:
            make: gives what JSON can hold; called in the first process only.

        Raises:
            RunError: the first process failed, or is lost.
        """
        return make()

    def tells(self) -> bool:
        """True if this process reports an error.

        The first process of a machine that calls this does.
        """
        return True

    @contextmanager
    def copied(self, path: Path) -> Iterator[Path]:
        """A file of the first process, which other machines need not see.

        Arguments:
            path: the file, as the first process knows it.

        Yields:
            The file itself, or a copy that lasts as long as the context.

        Raises:
            RunError: it cannot be read, or the first process is lost.
        """
        yield path

    @contextmanager
    def first_goes(self) -> Iterator[None]:
        """Run the block in the first process, then in the others.

        Raises:
            RunError: the block failed in the first process, or it is lost.
        """
        if not self.first:
            self.agree(lambda: None)
        try:
            yield
        except BaseException:
            if self.first:
                self.give_up()
            raise
        if self.first:
            self.agree(lambda: None)

    def give_up(self) -> None:
        """Let the others, who wait in `agree`, know that this process failed."""


class ManyProcesses(Group):
    """Processes under `torchrun`, on one machine or several.

    The backend is gloo between processors and nccl between CUDA cards.

    Arguments:
        environment: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as `torchrun` sets them.

    Raises:
        RunError: the others cannot be reached.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(int(environment["RANK"]), int(environment["WORLD_SIZE"]))
        self._agreed = 0
        self._node = environment.get("GROUP_RANK", "0")
        backend = join_backend(int(environment.get("LOCAL_RANK", "0")))
        with _together():
            # Waiting for a corpus takes as long as it takes, so that goes through the store and not
            # through gloo.
            store, _, _ = next(rendezvous("env://"))
            self._store = PrefixStore("rhapsode", store)
            distributed.init_process_group(
                backend,
                store=store,
                rank=self.rank,
                world_size=self.size,
                timeout=TIMEOUT,
            )
        atexit.register(self._leave)

    def _leave(self) -> None:
        # A process that closes its connections while the first one finishes may abort, and torchrun
        # then ends the first one too. So all wait for it.
        with contextlib.suppress(RuntimeError):
            if self.first:
                self._store.set(_LEAVING, "")
            while not self._store.check([_LEAVING]):
                time.sleep(_POLL)
        with contextlib.suppress(Exception):
            distributed.destroy_process_group()

    def start_random(self) -> None:
        if self.rank:
            torch.manual_seed(torch.initial_seed() + self.rank)

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        with _together():
            for tensor in tensors:
                whole = tensor.detach().contiguous()
                distributed.broadcast(whole, 0)
                tensor.detach().copy_(whole)

    def sum_gradients(self, parameters: Sequence[Tensor], value: float) -> float:
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in parameters if p.grad is not None]
        # One message for all of it: a small network's many tensors would pay for each.
        last = gradients[0].new_tensor([value])
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), last])
        with _together():
            distributed.all_reduce(flat)
        parts = torch.split(flat, [*(gradient.numel() for gradient in gradients), 1])
        for gradient, part in zip(gradients, parts, strict=False):
            gradient.copy_(part.view_as(gradient))
        return scalar(parts[-1])

    def decide(self, values: Sequence[float], flag: bool) -> tuple[tuple[float, ...], bool]:
        said = values if self.first else [-torch.inf] * len(values)
        told = torch.tensor([*said, float(flag)], dtype=torch.float64)
        with _together():
            distributed.all_reduce(told, distributed.ReduceOp.MAX)
        *agreed, any_flag = told.tolist()
        return tuple(agreed), bool(any_flag)

    def gather(self, rows: Tensor) -> Tensor:
        own = rows.detach().contiguous()
        found = [torch.empty_like(own) for _ in range(self.size)]
        with _together():
            distributed.all_gather(found, own)
        return torch.cat(found)

    def agree(self, make: Callable[[], T]) -> T:
        if self.first:
            try:
                made = make()
            except BaseException:
                self.give_up()
                raise
            with _together():
                self._store.set(self._key(), json.dumps(made))
            return made
        key = self._key()
        with _together():
            # Looking again and again lets a signal through, which waiting inside the store would
            # not.
            while not self._store.check([key]):
                time.sleep(_POLL)
            told = self._store.get(key).decode()
        if told == _FAILED:
            raise _lost()
        return cast("T", json.loads(told))

    def give_up(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._store.set(self._key(), _FAILED)

    def _key(self) -> str:
        self._agreed += 1
        return f"agreed-{self._agreed}"

    @contextmanager
    def copied(self, path: Path) -> Iterator[Path]:
        content = torch.empty(0, dtype=torch.uint8)

        def read() -> int:
            nonlocal content
            try:
                content = torch.from_numpy(np.fromfile(path, dtype=np.uint8))
            except OSError as problem:
                raise RunError(f"cannot read: {problem.strerror}", where=str(path)) from None
            return len(content)

        size = self.agree(read)
        if not self.first:
            content = content.new_empty(size)
        self.copy_first([content])
        with contextlib.ExitStack() as closing:
            if not self.first:
                path = Path(closing.enter_context(tempfile.TemporaryDirectory())) / path.name
                content.numpy().tofile(path)
            yield path

    def tells(self) -> bool:
        try:
            return bool(self._store.add(f"told-{self._node}", 1) == 1)
        except RuntimeError:
            return True  # the process with the store is gone


_joined: list[Group] = []


def joined() -> Group | None:
    """The group that this process has joined, or None."""
    return _joined[0] if _joined else None


def join_group() -> Group:
    """The group of this process, the same at every call.

    It has several processes if `torchrun` started several.

    Raises:
        RunError: the others cannot be reached.
    """
    if _joined:
        return _joined[0]
    told = all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"))
    many = told and int(os.environ["WORLD_SIZE"]) > 1
    _joined.append(ManyProcesses(os.environ) if many else Group())
    return _joined[0]


def _lost() -> RunError:
    return RunError(
        "another process of this run has ended or cannot be reached",
        hint="the last checkpoint is complete: continue from it with --resume",
    )


@contextmanager
def _together() -> Iterator[Any]:
    """Report failures within as the loss of another process."""
    try:
        yield
    except RuntimeError as problem:
        # Frames of torch hold the group. As long as it lives its threads do, and a thread that
        # releases a tensor while the interpreter ends aborts the process.
        traceback.clear_frames(problem.__traceback__)
        raise _lost() from None

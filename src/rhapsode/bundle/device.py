"""Devices, their memory, and transfers of numbers. Loads torch."""

import gc
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from rhapsode.errors import RunError, SettingsError
from rhapsode.files import first_line
from rhapsode.log import log

T = TypeVar("T")

CPU = torch.device("cpu")
_FUSED = ("cpu", "cuda")
# The CPU's allocator, cuDNN and cuBLAS have no exception of their own for this.
_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|ALLOC_FAILED")


def choose_device(name: str) -> torch.device:
    """The device of a name.

    Processes of `torchrun` take one card each, in the order of LOCAL_RANK.

    Arguments:
        name: auto, cpu, cuda, cuda:N or mps; auto takes cuda, else mps, else cpu.

    Raises:
        SettingsError: this PyTorch has no such device, or not one for each process.
    """
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    has_mps = torch.backends.mps.is_available()
    present = ["cpu", *(f"cuda:{number}" for number in range(cards))]
    if has_mps:
        present.append("mps")
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    device = name
    if name == "auto":
        device = "cpu"
        if cards >= max(1, processes):
            device = "cuda"
        elif has_mps and processes == 1:
            device = "mps"
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    elif device != "cpu" and processes > 1:
        raise SettingsError(
            f"{processes} processes cannot share {name}",
            where="device",
            hint="cuda gives each process a card of its own, cpu a share of the cores",
        )
    if device not in present:
        raise SettingsError(
            f"this PyTorch has no device {device}, only {', '.join(present)}",
            where="device",
            hint="leave it at auto, or name one of these",
        )
    return torch.device(device)


def join_backend(local_rank: int) -> str:
    """The backend of a process group.

    The card of this process becomes the current one.

    Arguments:
        local_rank: of this process on its machine.
    """
    if not torch.cuda.is_available():
        return "gloo"
    if local_rank < torch.cuda.device_count():
        torch.cuda.set_device(local_rank)
    return "cpu:gloo,cuda:nccl"


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Compute in a precision within the context.

    Arguments:
        device: where the network lies.
        precision: "float32" or "bfloat16".
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def exact_float32(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Compute float32 products in full within the context.

    cuDNN shortens them to TF32 by default. Losses of a CPU and of a CUDA device would then differ
    in the third digit.

    Arguments:
        device: where the network lies.
        precision: "float32"; with "bfloat16" nothing is changed.
    """
    return float32_products(device, tf32=False) if precision == "float32" else nullcontext()


@contextmanager
def float32_products(device: torch.device, *, tf32: bool) -> Iterator[None]:
    """Set how a CUDA device computes products in float32 within the context.

    Arguments:
        device: where they are computed; on others nothing is changed.
        tf32: with 10 bits of the fraction, or in full.
    """
    if device.type != "cuda":
        yield
        return
    places: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    try:
        for place in places:
            place.allow_tf32 = tf32
        yield
    finally:
        for place, own in zip(places, before, strict=True):
            place.allow_tf32 = own


def check_compiler(device: torch.device) -> None:
    """Compile one small function.

    Raises:
        SettingsError: torch.compile cannot compile for this device.
    """
    try:
        torch.compile(torch.nn.functional.silu)(torch.ones(8, device=device))
    except (RuntimeError, ImportError, OSError) as problem:
        raise SettingsError(
            f"torch.compile cannot compile for {device} ({first_line(problem)})",
            where="[training] compile",
            hint="install a C++ compiler, for CUDA also triton, or leave it off",
        ) from None


def has_fused_update(device: torch.device) -> bool:
    """True if optimisers update all weights in one kernel there."""
    return device.type in _FUSED


def numbers(tensor: Tensor) -> NDArray[Any]:
    """The numbers of a tensor on any device, as an array."""
    return _fetched(tensor)


def scalar(tensor: Tensor) -> float:
    """The only number of a tensor on any device; waits for it."""
    return float(_fetched(tensor).item())


def _fetched(tensor: Tensor) -> NDArray[Any]:
    """The only place where numbers leave a device; tests without numbers replace it."""
    return tensor.detach().cpu().numpy()


def tensor_on(device: torch.device, array: NDArray[Any]) -> Tensor:
    """The numbers of an array as a tensor on a device.

    On the CPU they share memory. A CUDA device copies them from pinned memory while the program
    goes on.
    """
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def synchronise(device: torch.device) -> None:
    """Wait until a device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def random_state(device: torch.device) -> Tensor | None:
    """The random state of a device as a CPU tensor.

    None for the CPU, whose own state is apart.
    """
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else None


def set_random_state(device: torch.device, state: Tensor) -> None:
    """Restore a state given by `random_state`."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    elif device.type == "mps":
        torch.mps.set_rng_state(state)


@contextmanager
def forked_random(device: torch.device) -> Iterator[None]:
    """Restore the random states of CPU and device after the context."""
    own = random_state(device)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        if own is not None:
            set_random_state(device, own)


def most_memory(device: torch.device) -> int | None:
    """Peak memory of tensors on a CUDA device, bytes; otherwise None."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def free_bytes(device: torch.device) -> int:
    """Free memory of a GPU, bytes; 0 for a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(torch.mps.recommended_max_memory()) if device.type == "mps" else 0


def device_name(device: torch.device) -> str:
    """The name of a device for people."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def is_out_of_memory(problem: BaseException) -> bool:
    """True if an error means that a device has no memory left."""
    if isinstance(problem, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(problem, RuntimeError) and _NO_MEMORY.search(str(problem)) is not None


def free_memory(device: torch.device) -> None:
    """Return unused memory of tensors to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


@contextmanager
def memory_of(device: torch.device) -> Iterator[None]:
    """Report that a device has no memory left in one line.

    Raises:
        RunError: it has none left.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as problem:
        if not is_out_of_memory(problem):
            raise
        raise RunError(
            f"{device} has no memory left for this network and batch",
            hint="reduce training.batch_size, training.window or network.hidden_size",
        ) from None


class RowLimit:
    """Number of rows that fit into memory, found by halving.

    Arguments:
        device: where the work is done.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._most: int | None = None

    def over(self, rows: int, work: Callable[[slice], T]) -> list[T]:
        """Do work on all rows, in as few parts as fit.

        Arguments:
            rows: how many there are.
            work: called with a slice of them; it must not change anything if it fails.

        Returns:
            The results of the parts, in order.

        Raises:
            RunError: one row alone does not fit.
        """
        done: list[T] = []
        start = 0
        while start < rows:
            stop = rows if self._most is None else min(rows, start + self._most)
            try:
                done.append(work(slice(start, stop)))
                start = stop
                continue
            except (RuntimeError, MemoryError) as problem:
                if not is_out_of_memory(problem):
                    raise
                if stop - start < 2:
                    with memory_of(self._device):
                        raise
            # Outside the handler, which holds the tensors of the failed attempt.
            self._most = (stop - start) // 2
            free_memory(self._device)
            log.warning(
                f"{self._device} has no memory left for {stop - start} rows at once: "
                f"{self._most} are read at a time"
            )
        return done

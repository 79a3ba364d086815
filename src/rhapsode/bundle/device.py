"""Devices, and the way of numbers to and from them. Loads torch."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from rhapsode.errors import RunError, SettingsError

CPU = torch.device("cpu")
_FUSED = ("cpu", "cuda")


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


def has_fused_update(device: torch.device) -> bool:
    """True if optimisers update all weights in one kernel there."""
    return device.type in _FUSED


def numbers(tensor: Tensor) -> NDArray[Any]:
    """The numbers of a tensor on any device, as an array."""
    return tensor.detach().cpu().numpy()


def scalar(tensor: Tensor) -> float:
    """The only number of a tensor on any device; waits for it."""
    return float(tensor.item())


def tensor_on(device: torch.device, array: NDArray[Any]) -> Tensor:
    """The numbers of an array as a tensor on a device.

    On the CPU they share memory.
    """
    return torch.from_numpy(array).to(device)


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


@contextmanager
def memory_of(device: torch.device) -> Iterator[None]:
    """Report that a device has no memory left in one line.

    Raises:
        RunError: it has none left.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise RunError(
            f"{device} has no memory left for this network and batch",
            hint="reduce training.batch_size, training.window or network.hidden_size",
        ) from None

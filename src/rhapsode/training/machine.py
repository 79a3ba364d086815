"""Speed and precision of this machine, and process settings for training."""

import contextlib
import ctypes
import gc
import time
from collections.abc import Callable
from functools import partial
from timeit import repeat, timeit
from typing import Any, Literal

import torch

from rhapsode.bundle.device import device_name, float32_products, free_bytes, synchronise
from rhapsode.files import first_line
from rhapsode.log import log

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# Where to look first whether a precision is slow, and which share of float32's rate is slow.
_SMALL, _SLOW = 256, 0.25
# From this ratio of speeds on, bfloat16 is worth its rounding.
GAIN = 1.1


def prepare_process() -> None:
    """Flush denormals to zero, and keep large memory blocks for reuse.

    Denormals can cost a factor of ten; fresh pages cost a small model up to a third of its speed.
    """
    torch.set_flush_denormal(True)
    with contextlib.suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def give_back_memory() -> None:
    """Return freed memory, which `prepare_process` keeps, to the system.

    Call it after work that needed much memory once.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _best(work: Callable[[], Any], repeats: int) -> float:
    return min(repeat(work, repeat=repeats, number=1))


def matmul_rates(size: int = 1024) -> dict[str, float]:
    """Speed of a square matrix product, GFLOP/s.

    The rates are those of float32 and bfloat16 with all threads, and of float32 with one. On a
    machine without instructions for it, a product in bfloat16 takes a hundred times as long as one
    in float32: then it is measured on smaller matrices and with one thread.

    Arguments:
        size: of the matrices.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # nobody waits for a thread that others hold up
    try:
        alone = _rate(torch.float32, size)
        half = _rate(torch.bfloat16, _SMALL)
    finally:
        torch.set_num_threads(threads)
    if half > _SLOW * alone:
        half = _rate(torch.bfloat16, size)
    return {
        "float32": _rate(torch.float32, size),
        "bfloat16": half,
        "float32_one_thread": alone,
    }


def _rate(dtype: torch.dtype, size: int) -> float:
    a = torch.ones(size, size, dtype=dtype)
    a @ a  # threads and buffers are set up
    return round(2 * size**3 / _best(lambda: a @ a, 5) / 1e9, 1)


def measure_accelerator(device: torch.device, size: int = 4096) -> dict[str, Any] | None:
    """Measure what `planner.Accelerator` holds, in about a second.

    Arguments:
        device: a GPU.
        size: of the matrices.

    Returns:
        The arguments of an `Accelerator`; None if the device cannot be measured.
    """
    hidden, rows, window, kernels = size // 8, 16, 64, 100
    try:
        memory, rates = float(free_bytes(device)), {}
        for name in ("float32", "tf32", "bfloat16"):
            dtype = torch.bfloat16 if name == "bfloat16" else torch.float32
            a = torch.ones(size, size, dtype=dtype, device=device)
            with float32_products(device, tf32=name == "tf32"):
                rates[name] = 2.0 * size**3 / _seconds(device, partial(torch.mm, a, a))
        block = torch.ones(4 * size * size, device=device)
        copied = torch.empty_like(block)
        bandwidth = 2.0 * block.nbytes / _seconds(device, partial(copied.copy_, block))
        layer = torch.nn.LSTM(hidden, hidden, batch_first=True).to(device)
        x_BTD = torch.ones(rows, window, hidden, device=device)

        def read() -> None:
            layer(x_BTD)[0].sum().backward()

        small = torch.ones(8, device=device)
        started = _seconds(device, lambda: [small.add_(1.0) for _ in range(kernels)])
        return {
            "name": device_name(device),
            **rates,
            "bandwidth": bandwidth,
            "memory": memory,
            "position_seconds": _seconds(device, read) / window,
            "kernel_seconds": started / kernels,
        }
    except (RuntimeError, TypeError) as problem:
        log.info(f"{device} was not measured ({first_line(problem)}): planned as for a CPU")
        return None


def _seconds(device: torch.device, work: Callable[[], Any]) -> float:
    def timed() -> None:
        work()
        synchronise(device)

    timed()  # libraries and buffers are set up
    return max(_best(timed, 3), 1e-9)


def runs(step: Callable[[str], None], precision: str) -> bool:
    """True if this machine can take a step in a precision.

    Some kernels exist only where instructions for them do.

    Arguments:
        step: runs one forward and backward pass in the precision it is given.
        precision: "float32" or "bfloat16".
    """
    try:
        step(precision)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        if precision == "float32":
            raise
        return False
    return True


def faster_precision(
    step: Callable[[str], None], *, seconds: float = 2.0
) -> tuple[Literal["float32", "bfloat16"], float]:
    """The faster precision, measured.

    Arguments:
        step: runs one forward and backward pass in the precision it is given.
        seconds: how long to measure, about.

    Returns:
        "float32" or "bfloat16", and how many times faster bfloat16 was; 0 where it does not run at
        all.
    """
    if not runs(step, "bfloat16"):
        return "float32", 0.0
    began = time.perf_counter()
    taken = {name: [timeit(partial(step, name), number=1)] for name in ("float32", "bfloat16")}
    # A first step sets things up, which does not count beside steps that take long.
    if time.perf_counter() - began <= seconds / 2:
        taken = {name: [] for name in taken}
    while time.perf_counter() < began + seconds or not taken["bfloat16"]:
        for name, times in taken.items():
            times.append(timeit(partial(step, name), number=1))
    ratio = min(taken["float32"]) / min(taken["bfloat16"])
    return ("bfloat16" if ratio >= GAIN else "float32"), ratio

"""Trials of a training step: device and precision of a run."""

import copy
from collections.abc import Callable, Mapping
from typing import Literal

import torch

from rhapsode.bundle.device import CPU, forked_random, memory_of, synchronise
from rhapsode.bundle.network import Network
from rhapsode.config import TrainingSettings
from rhapsode.data import Stream
from rhapsode.errors import SettingsError
from rhapsode.files import first_line
from rhapsode.log import log
from rhapsode.training import faster_precision, runs
from rhapsode.training.gradients import BatchFeed, add_gradients, halved_once


def runs_on(device: torch.device, network: Network, stream: Stream) -> bool:
    """True if a device can take a training step of this network.

    Kernels may be missing there, or float64, in which densities and angles are computed.
    """
    try:
        with forked_random(device), memory_of(device):
            there = copy.deepcopy(network).to(device).train()
            there.tie()
            _trial(there, stream)("float32")
    except (RuntimeError, TypeError) as problem:
        log.info(f"cpu: {device} cannot run this network ({first_line(problem)})")
        return False
    return True


def _trial(network: Network, stream: Stream) -> Callable[[str], None]:
    """A forward and backward pass in a given precision, in parts where memory is short."""
    feed, parts = BatchFeed(network, stream), 1

    def step(precision: str) -> None:
        nonlocal parts

        def work(parts: int) -> None:
            add_gradients(network, feed, 0, None, precision, parts=parts)
            synchronise(network.device)

        _, parts = halved_once(work, parts, stream.batch_size, network.device)

    return step


def choose_precision(
    settings: TrainingSettings,
    network: Network,
    stream: Stream,
    machine: Mapping[str, float],
    *,
    again: bool,
) -> Literal["float32", "bfloat16"]:
    """The requested precision, or the faster one, measured on this network."""
    wanted, step = settings.training.precision, _trial(network, stream)
    if wanted == "float32":
        return wanted
    try:
        with forked_random(network.device), memory_of(network.device):
            if wanted == "bfloat16":
                if runs(step, wanted):
                    return wanted
                if not again:  # else the run may have begun on another machine
                    raise SettingsError(
                        "PyTorch has no bfloat16 kernel for this network on this machine",
                        where="[training] precision",
                        hint="leave it at auto, or set float32",
                    )
                log.info("float32: this machine cannot continue in bfloat16")
                return "float32"
            if network.device == CPU and machine["bfloat16"] < machine["float32"]:
                log.info("float32: this machine has no fast bfloat16")
                return "float32"
            seconds = min(2.0, (settings.budget_seconds() or 120.0) / 120)
            precision, ratio = faster_precision(step, seconds=seconds)
    finally:
        network.zero_grad(set_to_none=True)
    log.info(f"{precision}: bfloat16 is {ratio:.2f} x as fast on this machine")
    return precision

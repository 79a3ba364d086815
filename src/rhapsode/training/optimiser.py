"""Optimisers by name, the learning-rate schedule, and averaged weights."""

import inspect
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from rhapsode.bundle.device import has_fused_update
from rhapsode.bundle.network import Network
from rhapsode.config import OptimisationSettings


def make_optimiser(network: Network, settings: OptimisationSettings) -> torch.optim.Optimizer:
    """The optimiser that the settings name; biases and norms never decay.

    AdamW is that of Loshchilov and Hutter (2019), Adam of Kingma and Ba (2015), RMSprop of Hinton's
    lecture 6e (2012).
    """
    fitted = [p for p in network.parameters() if p.requires_grad]
    decay = settings.weight_decay if settings.optimiser in ("adamw", "sgd") else 0.0
    parts = (
        {"params": [p for p in fitted if p.dim() >= 2], "weight_decay": decay},
        {"params": [p for p in fitted if p.dim() < 2], "weight_decay": 0.0},
    )
    groups: list[dict[str, Any]] = [part for part in parts if part["params"]]
    _leave_compiler_out()
    rate = settings.learning_rate or 1e-3
    fused = has_fused_update(network.device)
    betas = (settings.beta1, settings.beta2)
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=betas, fused=fused)
    if settings.optimiser == "adam":
        return torch.optim.Adam(groups, lr=rate, betas=betas, fused=fused)
    if settings.optimiser == "rmsprop":
        # Keras' floor of 1e-7 inside the root's neighbourhood: 1e-8 there lets rare elements jump.
        return torch.optim.RMSprop(groups, lr=rate, alpha=settings.beta2, eps=1e-7)
    return torch.optim.SGD(groups, lr=rate, momentum=settings.beta1, nesterov=settings.beta1 > 0)


@torch.no_grad()
def update_weights(optimiser: torch.optim.Optimizer) -> None:
    """Make one update by torch's method without its wrapper.

    See `_leave_compiler_out`.
    """
    inspect.unwrap(type(optimiser).step)(optimiser)


def _leave_compiler_out() -> None:
    """Save the two seconds in which torch.optim imports torch's compiler.

    At its first call a method imports the compiler, only to disable compilation of itself, and
    stores on itself the function to call instead. Here that function is the method.
    """
    for function in vars(torch.optim.Optimizer).values():
        plain = getattr(function, "__wrapped__", None)
        if plain is not None and not hasattr(plain, "__dynamo_disable"):
            setattr(plain, "__dynamo_disable", plain)


def learning_rate_factor(fraction: float, settings: OptimisationSettings) -> float:
    """The learning rate as a fraction of its peak.

    It rises linearly and then falls by the schedule.

    The cosine is that of Loshchilov and Hutter (2017), without restarts.

    Arguments:
        fraction: of the run that is over, 0 to 1.
        settings: `warmup`, `schedule` and `final_rate`.
    """
    if fraction < settings.warmup:
        # Never nothing: the first step of a run may come at fraction 0.
        return max(fraction / settings.warmup, 0.02)
    if settings.schedule == "constant":
        return 1.0
    over = min(1.0, (fraction - settings.warmup) / (1.0 - settings.warmup))
    left = 1.0 - over if settings.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * over))
    return settings.final_rate + (1.0 - settings.final_rate) * left


class WeightAverage:
    """An exponential moving average of a network's parameters (Polyak and Juditsky 1992).

    It is evaluated, sampled from and kept, while the parameters themselves are fitted.

    Behind update t it takes in the weights with 1 - min(decay, (1 + t) / (10 + t)), so that the
    first weights, which know nothing, are soon forgotten.

    Arguments:
        network: whose parameters are averaged; buffers are left alone.
        decay: what stays of the average at an update, 0 to 1; 0 keeps no average and costs nothing.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self._decay = decay
        self._fitted = [p for p in network.parameters() if p.requires_grad] if decay else []
        self._mean = [p.detach().clone() for p in self._fitted]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after update `step` (1, 2, ...)."""
        if self._mean:
            share = 1.0 - min(self._decay, (1.0 + step) / (10.0 + step))
            torch._foreach_lerp_(self._mean, [p.detach() for p in self._fitted], share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Use the averaged weights within the block, then restore the original ones.

        They are restored bit for bit.
        """
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, mean in zip(self._fitted, self._mean, strict=True):
            own = parameter.detach().clone()
            parameter.copy_(mean)
            mean.copy_(own)

    def tensors(self) -> dict[str, Tensor]:
        """Tensors for a checkpoint."""
        return {str(number): mean for number, mean in enumerate(self._mean)}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the tensors of a checkpoint.

        Raises:
            KeyError: it kept no average.
            RuntimeError: the average is of another network.
        """
        for number, mean in enumerate(self._mean):
            mean.copy_(tensors[str(number)])

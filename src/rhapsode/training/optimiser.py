"""Optimisers by name, and the learning rate over a run."""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch

from rhapsode.bundle.network import Network
from rhapsode.config import OptimisationSettings


def make_optimiser(network: Network, settings: OptimisationSettings) -> torch.optim.Optimizer:
    """The optimiser that the settings name; biases and norms never decay.

    AdamW is that of Loshchilov and Hutter (2019), Adam of Kingma and Ba (2015), RMSprop of Hinton's lecture 6e (2012).
    """
    matrices = [p for p in network.parameters() if p.requires_grad and p.dim() >= 2]
    others = [p for p in network.parameters() if p.requires_grad and p.dim() < 2]
    decays = settings.optimiser in ("adamw", "sgd")
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": settings.weight_decay if decays else 0.0},
        {"params": others, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    _leave_compiler_out()
    rate = settings.learning_rate or 1e-3
    betas = (settings.beta1, settings.beta2)
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=betas, fused=True)
    if settings.optimiser == "adam":
        return torch.optim.Adam(groups, lr=rate, betas=betas, fused=True)
    if settings.optimiser == "rmsprop":
        # Keras' floor of 1e-7 inside the root's neighbourhood: 1e-8 there lets rare elements jump.
        return torch.optim.RMSprop(groups, lr=rate, alpha=settings.beta2, eps=1e-7)
    return torch.optim.SGD(groups, lr=rate, momentum=settings.beta1, nesterov=settings.beta1 > 0)


@torch.no_grad()
def update_weights(optimiser: torch.optim.Optimizer) -> None:
    """One update, by the method of torch that torch wraps, without the wrapping: see `_leave_compiler_out`."""
    inspect.unwrap(type(optimiser).step)(optimiser)


def _leave_compiler_out() -> None:
    """Save the two seconds in which torch.optim imports torch's compiler only to ask it not to compile.

    At its first call a method imports it and keeps on itself what may be called instead, which here is the method.
    """
    for function in vars(torch.optim.Optimizer).values():
        plain = getattr(function, "__wrapped__", None)
        if plain is not None and not hasattr(plain, "__dynamo_disable"):
            setattr(plain, "__dynamo_disable", plain)


def rate_share(fraction: float, settings: OptimisationSettings) -> float:
    """The learning rate as a share of its peak: a linear rise, then the fall that was asked for.

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

"""An average of the weights over the last updates: what is evaluated, sampled from and kept, while others are fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from rhapsode.bundle.network import Network


class WeightAverage:
    """An exponential moving average of a network's parameters (Polyak and Juditsky 1992).

    Behind update t it takes in the weights with 1 - min(decay, (1 + t) / (10 + t)), so that the first weights, which know
    nothing, are soon forgotten.

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
        """Take in the weights behind update `step` (1, 2, ...)."""
        if self._mean:
            share = 1.0 - min(self._decay, (1.0 + step) / (10.0 + step))
            torch._foreach_lerp_(self._mean, [p.detach() for p in self._fitted], share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network has the averaged weights while this lasts, and then its own again, bit for bit."""
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
        """What a checkpoint keeps."""
        return {str(number): mean for number, mean in enumerate(self._mean)}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up what a checkpoint kept.

        Raises:
            KeyError: it kept no average.
            RuntimeError: the average is of another network.
        """
        for number, mean in enumerate(self._mean):
            mean.copy_(tensors[str(number)])

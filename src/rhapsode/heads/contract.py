"""The contract of a head: features to a distribution over the next element."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from rhapsode.config import Registry

GREEDY_BELOW = 1e-5
"""Temperatures below it choose the likeliest element."""


class Head(nn.Module, ABC):
    """Owns the link from features to the parameters of a distribution, its density and its draw.

    A log-probability is always in the data's own units: heads over scaled values add `log_jacobian_BT`.
    """

    Config: ClassVar[type[Any]]
    width: int
    """Numbers that describe the distribution at one position."""

    @abstractmethod
    def forward(self, y_BTH: Tensor) -> Tensor:
        """Parameters of the distribution at every position, (B, T, ...)."""

    @abstractmethod
    def log_prob(
        self, parameters: Tensor, targets: Tensor, log_jacobian_BT: Tensor | None = None
    ) -> Tensor:
        """Log-probability (nats) of the targets, (B, T) float32."""

    def loss(
        self, parameters: Tensor, targets: Tensor, log_jacobian_BT: Tensor | None = None
    ) -> Tensor:
        """What training makes small, (B, T) float32: the negative log-probability, unless a head says otherwise."""
        return -self.log_prob(parameters, targets, log_jacobian_BT)

    @abstractmethod
    def sample(self, parameters: Tensor, uniforms_B: Tensor, temperature: float = 1.0) -> Tensor:
        """One element a row from parameters (B, ...), by inversion of uniforms in [0, 1)."""


HEADS: Registry[type[Head]] = Registry("head")

"""The head of strokes, biased towards likely moves. Loads torch."""

from __future__ import annotations

from torch import Tensor

from rhapsode.heads import DensityHead, Head, Strokes


class BiasedStrokes(DensityHead):
    """A head of strokes that prefers likely moves.

    It is for draws; its density is not that of the model.

    Arguments:
        head: of the model.
        bias: deviations are multiplied by exp(-bias), logits of the weights by 1 + bias.
    """

    def __init__(self, head: Head, bias: float) -> None:
        super().__init__()
        assert isinstance(head, Strokes)
        self.head, self.bias = head, bias
        self.target_size, self.width = head.target_size, head.width

    def forward(self, y_BTH: Tensor) -> Tensor:
        return self.head.biased(self.head(y_BTH), self.bias)

    def log_prob(
        self, parameters: Tensor, targets: Tensor, log_jacobian_BT: Tensor | None = None
    ) -> Tensor:
        return self.head.log_prob(parameters, targets, log_jacobian_BT)

    def sample(self, parameters: Tensor, uniforms_B: Tensor, temperature: float = 1.0) -> Tensor:
        return self.head.sample(parameters, uniforms_B, temperature)

    def quantile(self, parameters: Tensor, level: float | Tensor) -> Tensor:
        return self.head.quantile(parameters, level)

    def scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        return self.head.scaled(parameters, log_scale)

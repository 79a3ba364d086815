"""The weight-dropped LSTM: the network."""

import warnings

import torch
from torch import Tensor

from rhapsode.models.awd_lstm.config import AWDLSTMConfig
from rhapsode.models.lstm.network import LSTM
from rhapsode.models.recurrent import Memory

# Number of places where a stretch of dropped weights may begin.
PLACES = 1 << 20


class AWDLSTM(LSTM):
    """Weight-dropped LSTM (Merity, Keskar and Socher 2018).

    The paper is "Regularizing and optimizing LSTM language models". After training it is `lstm.v1`,
    with the same parameters. The paper's locked dropout is `dropout`, its embedding dropout
    `input_dropout`, its tied weights are `tied` and its averaging is `training.averaging`.
    """

    Config = AWDLSTMConfig
    config: AWDLSTMConfig
    _pool: Tensor | None = None

    def kernel(self, x_BTD: Tensor, memory: Memory, weights: list[Tensor]) -> tuple[Tensor, Memory]:
        if not x_BTD.is_cuda:
            return super().kernel(x_BTD, memory, weights)
        with warnings.catch_warnings():
            # Dropped weights are new at every call, so that cuDNN has to copy them together.
            warnings.filterwarnings("ignore", message="RNN module weights are not part")
            return super().kernel(x_BTD, memory, weights)

    def read_with(self) -> list[list[Tensor]]:
        weights = super().read_with()
        if self.training and self.config.weight_dropout:
            weights = [[own[0], own[1] * self._kept(own[1]), *own[2:]] for own in weights]
        return weights

    def _kept(self, weight_GH: Tensor) -> Tensor:
        """Scaled dropout mask of a weight.

        It is a random stretch of numbers that are drawn once: drawing a million numbers anew would
        take as long as a fifth of a training step.
        """
        size = weight_GH.numel()
        if self._pool is None or self._pool.device != weight_GH.device:
            keep = 1.0 - self.config.weight_dropout
            drawn = torch.rand(size + PLACES, generator=torch.Generator().manual_seed(0))
            self._pool = (drawn < keep).to(weight_GH.device, weight_GH.dtype) / keep
        place = int(torch.randint(PLACES, ()))
        return self._pool[place : place + size].view_as(weight_GH)

"""The plain recurrent layer: the network."""

import torch
from torch import Tensor

from rhapsode.models.recurrent import Gates, HiddenState, Memory, Recurrent
from rhapsode.models.rnn.config import RNNConfig


class RNN(Recurrent):
    """Elman network (1990), with tanh or relu.

    h = tanh(W x + U h + b). `load_state_dict` accepts the state of a `torch.nn.RNN`.
    """

    Config = RNNConfig
    Carried = HiddenState
    gates = 1
    config: RNNConfig

    def __init__(self, config: RNNConfig) -> None:
        super().__init__(config)
        is_tanh = config.nonlinearity == "tanh"
        self.fused = torch.rnn_tanh if is_tanh else torch.rnn_relu
        self._cell = torch.rnn_tanh_cell if is_tanh else torch.rnn_relu_cell

    def cell(self, x_BD: Tensor, memory: Memory, weights: list[Tensor]) -> Memory:
        return (self._cell(x_BD, memory[0], *weights),)

    def gates_of(self, new: Tensor, past: Tensor) -> Gates:
        return {"input": new, "past": past}

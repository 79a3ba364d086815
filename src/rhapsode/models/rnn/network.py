"""The plain recurrent layer. Parameters are those of `torch.nn.RNN`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rhapsode.models.contract import State, state_dataclass
from rhapsode.models.recurrent import Recurrent, shifted
from rhapsode.models.rnn.config import RNNConfig


@state_dataclass
class HiddenState(State):
    """Hidden values of every layer."""

    h_BLH: Tensor


class RNN(Recurrent):
    """h = tanh(W x + U h + b) (Elman 1990), or with relu. `load_state_dict` takes that of a `torch.nn.RNN`."""

    Config = RNNConfig
    Carried = HiddenState
    gates = 1
    config: RNNConfig

    def kernel(
        self, x_BTD: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        run = torch.rnn_tanh if self.config.nonlinearity == "tanh" else torch.rnn_relu
        y_BTH, h_1BH = run(x_BTD, memory[0], weights, True, 1, 0.0, self.training, False, True)
        return y_BTH, (h_1BH,)

    def cell(
        self, x_BD: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> tuple[Tensor, ...]:
        run = torch.rnn_tanh_cell if self.config.nonlinearity == "tanh" else torch.rnn_relu_cell
        return (run(x_BD, memory[0], *weights),)

    def probe_layer(
        self, x_BTD: Tensor, y_BTH: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> dict[str, Tensor]:
        past_BTH = functional.linear(shifted(y_BTH, memory[0]), weights[1], weights[3])
        return {"input": functional.linear(x_BTD, weights[0], weights[2]), "past": past_BTH}

    def reference_cell(
        self, x_BD: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        new, past = x_BD @ weight_ih.T + bias_ih, memory[0] @ weight_hh.T + bias_hh
        total = new + past
        h_BH = total.tanh() if self.config.nonlinearity == "tanh" else total.relu()
        return (h_BH,), {"input": new, "past": past}

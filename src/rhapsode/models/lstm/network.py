"""Long short-term memory. Parameters are those of `torch.nn.LSTM`: names, shapes, gate order."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rhapsode.models.contract import State, state_dataclass
from rhapsode.models.lstm.config import LSTMConfig
from rhapsode.models.recurrent import Recurrent, open_memory, shifted

# Rows from which on the buffers of `torch.lstm_cell` cost more than its products (2 to 2.5 times,
# on two cores).
MANY_ROWS = 256


@state_dataclass
class LSTMState(State):
    """Hidden and cell values of every layer."""

    h_BLH: Tensor
    c_BLH: Tensor


class LSTM(Recurrent):
    """LSTM (Hochreiter and Schmidhuber 1997; forget gates as in Gers et al. 2000).

    Gates are stacked input, forget, cell, output. `load_state_dict` takes that of a `torch.nn.LSTM`.
    """

    config: LSTMConfig
    Config = LSTMConfig
    Carried = LSTMState
    gates = 4

    # Opening all forget gates alike (a bias of 1), or all by `chrono`, learns prose more slowly: `chrono_share`.
    def reset_parameters(self) -> None:
        """Uniform weights, as in torch.nn; with `chrono`, forget gates that start open and input gates that start shut."""
        super().reset_parameters()
        size, some = self.config.hidden_size, self.config.remembering
        for layer in range(self.config.num_layers if some else 0):
            _, _, bias_ih, bias_hh = (weights.detach() for weights in self.weights_of(layer))
            bias_hh[:some] = bias_hh[size : size + some] = 0.0
            open_memory(bias_ih[size : size + some], bias_ih[:some], self.config.chrono)

    def kernel(
        self, x_BTD: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        y_BTH, h_1BH, c_1BH = torch.lstm(
            x_BTD, memory, weights, True, 1, 0.0, self.training, False, True
        )
        return y_BTH, (h_1BH, c_1BH)

    def cell(
        self, x_BD: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> tuple[Tensor, ...]:
        plain = not (torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"))
        if plain and len(x_BD) >= MANY_ROWS and x_BD.device.type == "cpu":
            return _cell_of_many(x_BD, memory, weights)
        return torch.lstm_cell(x_BD, memory, *weights)

    def probe_layer(
        self, x_BTD: Tensor, y_BTH: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> dict[str, Tensor]:
        h_BH, c_BH = memory
        gates_BTG = functional.linear(x_BTD, weights[0], weights[2])
        gates_BTG = gates_BTG + functional.linear(shifted(y_BTH, h_BH), weights[1], weights[3])
        raw_i, raw_f, raw_g, raw_o = gates_BTG.chunk(4, dim=-1)
        i_BTH, f_BTH, g_BTH = raw_i.sigmoid(), raw_f.sigmoid(), raw_g.tanh()
        cells: list[Tensor] = []
        for t in range(x_BTD.shape[1]):
            c_BH = f_BTH[:, t] * c_BH + i_BTH[:, t] * g_BTH[:, t]
            cells.append(c_BH)
        return {
            "input_gate": i_BTH,
            "forget_gate": f_BTH,
            "cell_gate": g_BTH,
            "output_gate": raw_o.sigmoid(),
            "cell": torch.stack(cells, dim=1),
        }

    def reference_cell(
        self, x_BD: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        h_BH, c_BH = memory
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        gates_BG = x_BD @ weight_ih.T + bias_ih + h_BH @ weight_hh.T + bias_hh
        raw_i, raw_f, raw_g, raw_o = gates_BG.chunk(4, dim=-1)
        i, f, g, o = raw_i.sigmoid(), raw_f.sigmoid(), raw_g.tanh(), raw_o.sigmoid()
        c_BH = f * c_BH + i * g
        gates = {"input_gate": i, "forget_gate": f, "cell_gate": g, "output_gate": o, "cell": c_BH}
        return (o * c_BH.tanh(), c_BH), gates


def _cell_of_many(
    x_BD: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """`torch.lstm_cell` without gradients: gates in place instead of in six tensors the size of them."""
    h_BH, c_BH = memory
    size = c_BH.shape[1]
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    gates_BG = torch.addmm(bias_ih + bias_hh, x_BD, weight_ih.t()).addmm_(h_BH, weight_hh.t())
    gates_BG[:, : 2 * size].sigmoid_()
    gates_BG[:, 2 * size : 3 * size].tanh_()
    gates_BG[:, 3 * size :].sigmoid_()
    i_BH, f_BH, g_BH, o_BH = gates_BG.chunk(4, dim=-1)
    c_BH = torch.addcmul(i_BH * g_BH, f_BH, c_BH)
    return c_BH.tanh().mul_(o_BH), c_BH

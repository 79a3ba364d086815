"""Long short-term memory: the network."""

import torch
from torch import Tensor

from rhapsode.models.contract import State, state_dataclass
from rhapsode.models.recurrent import Gated, Gates, Memory

# Number of rows from which the buffers of `torch.lstm_cell` cost more than its products (2 to 2.5
# times, on two cores).
MANY_ROWS = 256


@state_dataclass
class LSTMState(State):
    """Hidden and cell values of every layer."""

    h_BLH: Tensor
    c_BLH: Tensor


class LSTM(Gated):
    """LSTM (Hochreiter and Schmidhuber 1997) with forget gates (Gers et al. 2000).

    Gates are stacked input, forget, cell, output. `load_state_dict` accepts the state of a
    `torch.nn.LSTM`.
    """

    Carried = LSTMState
    gates = 4
    keeps = 1
    writes = 0
    fused = staticmethod(torch.lstm)

    def cell(self, x_BD: Tensor, memory: Memory, weights: list[Tensor]) -> Memory:
        plain = not (torch.is_grad_enabled() or torch.is_autocast_enabled(x_BD.device.type))
        if plain and len(x_BD) >= MANY_ROWS and x_BD.is_cpu:
            return _cell_of_many(x_BD, memory, weights)
        return torch.lstm_cell(x_BD, memory, *weights)

    def gates_of(self, new: Tensor, past: Tensor) -> Gates:
        raw_i, raw_f, raw_g, raw_o = (new + past).chunk(4, dim=-1)
        return {
            "input_gate": raw_i.sigmoid(),
            "forget_gate": raw_f.sigmoid(),
            "cell_gate": raw_g.tanh(),
            "output_gate": raw_o.sigmoid(),
        }

    def inner_values(self, gates: Gates, memory: Memory) -> dict[str, Tensor]:
        c_BH, cells = memory[1], []
        added_BTH = gates["input_gate"] * gates["cell_gate"]
        for t in range(added_BTH.shape[1]):
            c_BH = gates["forget_gate"][:, t] * c_BH + added_BTH[:, t]
            cells.append(c_BH)
        return {"cell": torch.stack(cells, dim=1)}


def _cell_of_many(x_BD: Tensor, memory: Memory, weights: list[Tensor]) -> Memory:
    """`torch.lstm_cell` without gradients, for many rows.

    Gates are computed in place instead of in six tensors of their size.
    """
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

"""The gated recurrent unit: the network."""

import torch
from torch import Tensor

from rhapsode.models.recurrent import Gated, Gates, HiddenState, Memory


class GRU(Gated):
    """GRU (Cho et al. 2014) with torch's placement of the reset gate.

    The reset gate is applied after the product with the past. Gates are stacked reset, update, new.
    `load_state_dict` accepts the state of a `torch.nn.GRU`.
    """

    Carried = HiddenState
    gates = 3
    keeps = 1
    fused = staticmethod(torch.gru)

    def cell(self, x_BD: Tensor, memory: Memory, weights: list[Tensor]) -> Memory:
        return (torch.gru_cell(x_BD, memory[0], *weights),)

    def gates_of(self, new: Tensor, past: Tensor) -> Gates:
        new_r, new_z, new_n = new.chunk(3, dim=-1)
        past_r, past_z, past_n = past.chunk(3, dim=-1)
        reset = (new_r + past_r).sigmoid()
        return {
            "reset_gate": reset,
            "update_gate": (new_z + past_z).sigmoid(),
            "new_gate": (new_n + reset * past_n).tanh(),
        }

"""The gated recurrent unit. Parameters are those of `torch.nn.GRU`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rhapsode.models.gru.config import GRUConfig
from rhapsode.models.recurrent import Recurrent, open_memory, shifted
from rhapsode.models.rnn.network import HiddenState


class GRU(Recurrent):
    """GRU (Cho et al. 2014), the reset gate behind the product with the past, as in torch.

    Gates are stacked reset, update, new. `load_state_dict` takes that of a `torch.nn.GRU`.
    """

    config: GRUConfig
    Config = GRUConfig
    Carried = HiddenState
    gates = 3

    def reset_parameters(self) -> None:
        """Uniform weights, as in torch.nn; with `chrono`, update gates that start by keeping."""
        super().reset_parameters()
        size, some = self.config.hidden_size, self.config.remembering
        for layer in range(self.config.num_layers if some else 0):
            _, _, bias_ih, bias_hh = (weights.detach() for weights in self.weights_of(layer))
            bias_hh[size : size + some] = 0.0
            open_memory(bias_ih[size : size + some], None, self.config.chrono)

    def kernel(
        self, x_BTD: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        y_BTH, h_1BH = torch.gru(
            x_BTD, memory[0], weights, True, 1, 0.0, self.training, False, True
        )
        return y_BTH, (h_1BH,)

    def cell(
        self, x_BD: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> tuple[Tensor, ...]:
        return (torch.gru_cell(x_BD, memory[0], *weights),)

    def probe_layer(
        self, x_BTD: Tensor, y_BTH: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> dict[str, Tensor]:
        new_BTG = functional.linear(x_BTD, weights[0], weights[2])
        past_BTG = functional.linear(shifted(y_BTH, memory[0]), weights[1], weights[3])
        return _gates(new_BTG, past_BTG)

    def reference_cell(
        self, x_BD: Tensor, memory: tuple[Tensor, ...], weights: list[Tensor]
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        gates = _gates(x_BD @ weight_ih.T + bias_ih, memory[0] @ weight_hh.T + bias_hh)
        update = gates["update_gate"]
        return ((1 - update) * gates["new_gate"] + update * memory[0],), gates


def _gates(new: Tensor, past: Tensor) -> dict[str, Tensor]:
    new_r, new_z, new_n = new.chunk(3, dim=-1)
    past_r, past_z, past_n = past.chunk(3, dim=-1)
    reset = (new_r + past_r).sigmoid()
    return {
        "reset_gate": reset,
        "update_gate": (new_z + past_z).sigmoid(),
        "new_gate": (new_n + reset * past_n).tanh(),
    }

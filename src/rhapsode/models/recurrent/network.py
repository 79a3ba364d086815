"""Recurrent networks. Parameters are those of `torch.nn.RNN`, `GRU` and `LSTM`: names, shapes, gate order."""

import torch
from torch import Tensor

from rhapsode.models.contract import State, state_dataclass
from rhapsode.models.recurrent.config import AWDLSTMConfig, GatedConfig, RNNConfig, SkipLSTMFamily
from rhapsode.models.recurrent.layers import Gated, Gates, Memory, Recurrent

# Rows from which on the buffers of `torch.lstm_cell` cost more than its products (2 to 2.5 times,
# on two cores).
MANY_ROWS = 256
# Where a stretch of dropped weights may begin.
PLACES = 1 << 20


@state_dataclass
class HiddenState(State):
    """Hidden values of every layer."""

    h_BLH: Tensor


@state_dataclass
class LSTMState(State):
    """Hidden and cell values of every layer."""

    h_BLH: Tensor
    c_BLH: Tensor


class RNN(Recurrent):
    """h = tanh(W x + U h + b) (Elman 1990), or with relu. `load_state_dict` takes that of a `torch.nn.RNN`."""

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


class GRU(Gated):
    """GRU (Cho et al. 2014), the reset gate behind the product with the past, as in torch.

    Gates are stacked reset, update, new. `load_state_dict` takes that of a `torch.nn.GRU`.
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


class LSTM(Gated):
    """LSTM (Hochreiter and Schmidhuber 1997; forget gates as in Gers et al. 2000).

    Gates are stacked input, forget, cell, output. `load_state_dict` takes that of a `torch.nn.LSTM`.
    """

    Carried = LSTMState
    gates = 4
    keeps = 1
    writes = 0
    fused = staticmethod(torch.lstm)

    def cell(self, x_BD: Tensor, memory: Memory, weights: list[Tensor]) -> Memory:
        plain = not (torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"))
        if plain and len(x_BD) >= MANY_ROWS and x_BD.device.type == "cpu":
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


class AWDLSTM(LSTM):
    """Weight-dropped LSTM (Merity, Keskar and Socher 2018, "Regularizing and optimizing LSTM language models").

    With training over it is `lstm.v1`, and so are its parameters. The paper's locked dropout is `dropout`, that of its
    embedding `input_dropout`, its tied weights are `tied` and its averaging is `training.averaging`.
    """

    Config = AWDLSTMConfig
    config: AWDLSTMConfig
    _pool: Tensor | None = None

    def read_with(self) -> list[list[Tensor]]:
        weights = super().read_with()
        if self.training and self.config.weight_dropout:
            weights = [[own[0], own[1] * self._kept(own[1]), *own[2:]] for own in weights]
        return weights

    def _kept(self, weight_GH: Tensor) -> Tensor:
        """0 where a weight is dropped, and what scales up the others: a random stretch of numbers drawn once.

        Drawing a million numbers anew would take as long as a fifth of a training step.
        """
        size = weight_GH.numel()
        if self._pool is None or self._pool.device != weight_GH.device:
            keep = 1.0 - self.config.weight_dropout
            drawn = torch.rand(size + PLACES, generator=torch.Generator().manual_seed(0))
            self._pool = (drawn < keep).to(weight_GH.device, weight_GH.dtype) / keep
        place = int(torch.randint(PLACES, ()))
        return self._pool[place : place + size].view_as(weight_GH)


class SkipLSTM(LSTM):
    """An LSTM whose outputs are followed by its inputs, so that a head over both is an autoregression that it corrects.

    On short series that is most of what there is to learn (the highway of LSTNet, Lai et al. 2018, section 3.6).
    """

    sees_inputs = SkipLSTMFamily.sees_inputs

    def __init__(self, config: GatedConfig) -> None:
        super().__init__(config)
        self.output_size = config.hidden_size + config.input_size

    def forward(
        self, x_BTD: Tensor, state: State | None = None, *, reset_BT: Tensor | None = None
    ) -> tuple[Tensor, State]:
        y_BTH, state = super().forward(x_BTD, state, reset_BT=reset_BT)
        return torch.cat((y_BTH, x_BTD.to(y_BTH.dtype)), dim=-1), state

    def step(
        self, x_BD: Tensor, state: State, *, reset_B: Tensor | None = None
    ) -> tuple[Tensor, State]:
        y_BH, state = super().step(x_BD, state, reset_B=reset_B)
        return torch.cat((y_BH, x_BD.to(y_BH.dtype)), dim=-1), state

"""The network of the leaky family."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rhapsode.models.contract import SequenceModel, State, state_dataclass
from tests.models.leaky.config import LeakyConfig


@state_dataclass
class LeakyState(State):
    h_BH: Tensor


class Leaky(SequenceModel):
    """h = a h + W x, y = tanh(h), with 0 < a < 1 for every unit."""

    Config = LeakyConfig

    def __init__(self, config: LeakyConfig) -> None:
        super().__init__()
        self.input_size, self.output_size = config.input_size, config.hidden_size
        self.dropout = config.dropout
        self.read = nn.Linear(config.input_size, config.hidden_size)
        self.leak = nn.Parameter(torch.linspace(-2.0, 3.0, config.hidden_size))

    def zero_state(self, batch, *, device=None, dtype=None):
        like = self.leak
        shape = (batch, self.output_size)
        return LeakyState(
            torch.zeros(shape, device=device or like.device, dtype=dtype or like.dtype)
        )

    def forward(self, x_BTD, state=None, *, reset_BT=None):
        if state is not None and not isinstance(state, LeakyState):
            raise TypeError(f"a {type(state).__name__} is no state of this family")
        h_BH = self.zero_state(len(x_BTD)).h_BH if state is None else state.h_BH
        z_BTH, rows = self.read(x_BTD), []
        for t in range(x_BTD.shape[1]):
            if reset_BT is not None:
                h_BH = h_BH.masked_fill(reset_BT[:, t, None], 0.0)
            h_BH = self.leak.sigmoid() * h_BH + z_BTH[:, t]
            rows.append(h_BH)
        y_BTH = functional.dropout(torch.stack(rows, dim=1).tanh(), self.dropout, self.training)
        return y_BTH, LeakyState(h_BH)

    def probe(self, x_BTD, state=None):
        return {"leak": self.leak.sigmoid().expand(x_BTD.shape[0], x_BTD.shape[1], -1)}

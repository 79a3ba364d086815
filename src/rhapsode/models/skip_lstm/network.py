"""The LSTM with a skip connection: the network."""

import torch
from torch import Tensor

from rhapsode.models.contract import State
from rhapsode.models.lstm.network import LSTM
from rhapsode.models.recurrent_config import GatedConfig
from rhapsode.models.skip_lstm.config import SkipLSTMFamily


class SkipLSTM(LSTM):
    """An LSTM whose outputs are followed by its inputs.

    A head over both is a linear autoregression that the LSTM corrects. On short series the
    autoregression is most of what there is to learn (the highway of LSTNet, Lai et al. 2018,
    section 3.6).
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

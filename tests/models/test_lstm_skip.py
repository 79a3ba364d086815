"""The LSTM beside a straight line: an LSTM, and its inputs behind it, under the same law."""

from typing import ClassVar

import torch

from rhapsode.models.lstm.network import LSTM
from rhapsode.models.recurrent_config import GatedConfig
from rhapsode.models.skip_lstm.network import SkipLSTM
from tests.contracts.model_contract import ModelContract, noise


class TestSkipLSTM(ModelContract):
    family = SkipLSTM
    configurations: ClassVar = {
        "one layer": GatedConfig(input_size=4, hidden_size=5),
        "two layers": GatedConfig(input_size=3, hidden_size=4, num_layers=2),
    }


def test_it_is_an_lstm_followed_by_its_inputs() -> None:
    model = SkipLSTM(GatedConfig(input_size=4, hidden_size=5)).eval()
    plain = LSTM(GatedConfig(input_size=4, hidden_size=5)).eval()
    plain.load_state_dict(model.state_dict())
    x_BTD = noise(2, 6, 4, seed=1, dtype=torch.float32)
    y_BTH, _ = model(x_BTD)
    assert model.output_size == 9
    torch.testing.assert_close(y_BTH[..., :5], plain(x_BTD)[0])
    assert torch.equal(y_BTH[..., 5:], x_BTD)

"""The weight-dropped LSTM: all that an LSTM is with training over, and its weights dropped as the paper says before."""

from typing import ClassVar

import torch

from rhapsode.models.awd_lstm.config import AWDLSTMConfig
from rhapsode.models.awd_lstm.network import AWDLSTM
from rhapsode.models.lstm.network import LSTM
from rhapsode.models.recurrent_config import GatedConfig
from tests.contracts.model_contract import noise
from tests.models.test_lstm import TestLSTM as LSTMContract


class TestAWDLSTM(LSTMContract):
    family = AWDLSTM
    configurations: ClassVar = {
        "one layer": AWDLSTMConfig(input_size=4, hidden_size=5, weight_dropout=0.0),
        "two layers": AWDLSTMConfig(input_size=3, hidden_size=4, num_layers=2, weight_dropout=0.0),
    }


def pair(share: float, size: int = 24) -> tuple[AWDLSTM, LSTM]:
    torch.manual_seed(5)
    dropped = AWDLSTM(AWDLSTMConfig(input_size=4, hidden_size=size, weight_dropout=share))
    plain = LSTM(GatedConfig(input_size=4, hidden_size=size))
    plain.load_state_dict(dropped.state_dict())
    return dropped, plain


def test_training_reads_with_weights_at_zero_or_scaled_up():
    model, plain = pair(0.3, size=64)
    model.train()
    whole = plain.weight_hh_l0
    shares = []
    for _ in range(20):
        (weight_ih, weight_hh, *biases), *_ = model.read_with()
        gone = weight_hh == 0
        torch.testing.assert_close(weight_hh[~gone], whole[~gone] / 0.7)
        shares.append(gone.float().mean().item())
        assert torch.equal(weight_ih, plain.weight_ih_l0)
        assert all(b.requires_grad for b in biases)
    assert abs(sum(shares) / len(shares) - 0.3) < 0.01
    model.eval()
    assert torch.equal(model.read_with()[0][1], whole)


def test_draws_differ_from_call_to_call_and_repeat_with_the_seed():
    model, _ = pair(0.5)
    model.train()
    x_BTD = noise(2, 6, 4, seed=1, dtype=torch.float32)
    torch.manual_seed(3)
    first, second = model(x_BTD)[0], model(x_BTD)[0]
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(model(x_BTD)[0], first)
    # The stretches of two calls drop this and that weight together about as often as chance would have it.
    gone = torch.stack([model.read_with()[0][1].flatten() == 0 for _ in range(400)]).double()
    both = torch.corrcoef(gone[:, ::53].T).fill_diagonal_(0.0)
    assert both.abs().max() < 0.3


def test_dropped_weights_get_no_gradient():
    model, _ = pair(0.5)
    model.train()
    torch.manual_seed(3)
    gone = model.read_with()[0][1] == 0
    torch.manual_seed(3)
    model(noise(2, 6, 4, seed=1, dtype=torch.float32))[0].sum().backward()
    gradient = model.weight_hh_l0.grad
    assert gradient is not None
    assert torch.equal(gradient == 0, gone)


def test_one_window_has_one_draw_whatever_starts_afresh_in_it():
    model, plain = pair(0.5)
    model.train()
    x_BTD = noise(2, 6, 4, seed=1, dtype=torch.float32)
    reset_BT = torch.zeros(2, 6, dtype=torch.bool)
    reset_BT[0, 3] = True
    torch.manual_seed(3)
    (_, weight_hh, *_), *_ = model.read_with()
    with torch.no_grad():
        plain.weight_hh_l0.copy_(weight_hh)
    torch.manual_seed(3)
    torch.testing.assert_close(
        model(x_BTD, reset_BT=reset_BT)[0], plain(x_BTD, reset_BT=reset_BT)[0]
    )

"""The LSTM: the contract of a model, the written-out equations, parity with torch.nn.LSTM, locked dropout."""

import pytest
import torch
from torch import nn

from rhapsode.models import LSTM, LSTMConfig, LSTMState
from rhapsode.models.lstm import lstm_reference
from tests.contracts.model_contract import (
    ROWS,
    TIME,
    Grid,
    ModelContract,
    assert_same,
    every_past,
    in_pieces,
    noise,
    stirred,
    traced,
    with_and_without_resets,
)

CONFIGURATIONS = {
    "one layer": LSTMConfig(input_size=4, hidden_size=5),
    "two layers": LSTMConfig(input_size=3, hidden_size=4, num_layers=2),
    "three layers": LSTMConfig(input_size=5, hidden_size=3, num_layers=3),
}


class TestLSTM(ModelContract):
    family = LSTM
    configurations = CONFIGURATIONS

    @every_past
    @with_and_without_resets
    def test_equals_the_equations_written_out(
        self, config: LSTMConfig, past: str, resets: Grid | None
    ) -> None:
        model = self.make(config)
        x_BTD, state = self.window(model), self.past(model, past)
        reset_BT = None if resets is None else torch.tensor(resets)

        def reference(x_BTD, state):
            known = model.init_state(ROWS) if state is None else state
            return lstm_reference(model, x_BTD, known, reset_BT)[:2]

        assert_same(
            traced(model, in_pieces(model, [], reset_BT), x_BTD, state),
            traced(model, reference, x_BTD, state),
        )

    @every_past
    def test_the_probed_gates_are_those_of_the_equations(
        self, config: LSTMConfig, past: str
    ) -> None:
        model = self.make(config)
        x_BTD, state = self.window(model), self.past(model, past)
        known = model.init_state(ROWS) if state is None else state
        _, _, wanted = lstm_reference(model, x_BTD, known)
        found = model.probe(x_BTD, state)
        assert len(found) == 6 * config.num_layers
        assert_same(dict(sorted(found.items())), dict(sorted(wanted.items())), 1e-12)

    def test_a_state_behind_a_reset_is_that_of_a_fresh_start(self, config: LSTMConfig) -> None:
        model = self.make(config)
        x_BTD = self.window(model)
        reset_BT = torch.zeros(ROWS, TIME, dtype=torch.bool)
        reset_BT[:, 3] = True
        _, found = model(x_BTD, self.past(model, "ragged"), reset_BT=reset_BT)
        _, wanted = model(x_BTD[:, 3:])
        assert_same(found.tensors(), wanted.tensors())

    def test_dropout_is_one_mask_over_a_window(self, config: LSTMConfig) -> None:
        model = self.make(LSTMConfig(config.input_size, hidden_size=40, dropout=0.25))
        x_BTD = self.window(model)
        wanted_BTH, after = model(x_BTD)
        torch.manual_seed(0)
        dropped_BTH, dropped = model.train()(x_BTD)
        factor_BTH = dropped_BTH / wanted_BTH
        torch.testing.assert_close(factor_BTH, factor_BTH[:, :1].expand_as(factor_BTH))
        kept_BH = factor_BTH[:, 0] > 0
        torch.testing.assert_close(factor_BTH[:, 0], kept_BH.double() / 0.75)
        assert 0.6 < kept_BH.double().mean() < 0.9
        assert not torch.equal(kept_BH[0], kept_BH[1])
        assert_same(dropped.tensors(), after.tensors())

    def test_every_layer_drops_what_it_hands_up(self, config: LSTMConfig) -> None:
        model = self.make(LSTMConfig(config.input_size, hidden_size=6, num_layers=2, dropout=0.99))
        _, plain = model(self.window(model))
        torch.manual_seed(0)
        y_BTH, after = model.train()(self.window(model))
        assert (y_BTH == 0).double().mean() > 0.8
        torch.testing.assert_close(after.h_BLH[:, 0], plain.h_BLH[:, 0])
        assert not torch.allclose(after.h_BLH[:, 1], plain.h_BLH[:, 1])


@pytest.mark.parametrize("config", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_takes_the_weights_of_torch_and_does_the_same(config: LSTMConfig) -> None:
    torch.manual_seed(1)
    theirs = nn.LSTM(
        config.input_size, config.hidden_size, config.num_layers, batch_first=True
    ).double()
    ours = LSTM(config).double()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict(), strict=True)

    x_BTD = noise(ROWS, TIME, config.input_size, seed=1)
    h_LBH, c_LBH = noise(2, config.num_layers, ROWS, config.hidden_size, seed=2)
    wanted_BTH, (h_wanted, c_wanted) = theirs(x_BTD, (h_LBH, c_LBH))
    before = LSTMState(h_LBH.transpose(0, 1), c_LBH.transpose(0, 1))
    found_BTH, after = ours(x_BTD, before)
    assert torch.equal(found_BTH, wanted_BTH)
    assert torch.equal(after.h_BLH, h_wanted.transpose(0, 1))
    assert torch.equal(after.c_BLH, c_wanted.transpose(0, 1))

    weights_BTH = noise(*wanted_BTH.shape, seed=3)
    (wanted_BTH * weights_BTH).sum().backward()
    (found_BTH * weights_BTH).sum().backward()
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(
            ours.get_parameter(name).grad, parameter.grad, rtol=1e-12, atol=1e-12
        )


def test_fresh_weights_are_distributed_as_in_torch() -> None:
    model = LSTM(LSTMConfig(input_size=16, hidden_size=64))
    for parameter in model.parameters():
        assert parameter.abs().max() <= 1 / 8
        assert parameter.std().item() == pytest.approx(1 / 8 / 3**0.5, rel=0.1)


def test_single_precision_stays_single() -> None:
    model = stirred(LSTM, CONFIGURATIONS["two layers"], torch.float32)
    y_BTH, state = model(noise(ROWS, TIME, 3, seed=1, dtype=torch.float32))
    assert y_BTH.dtype == state.h_BLH.dtype == state.c_BLH.dtype == torch.float32

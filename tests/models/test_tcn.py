"""The convolutional family: the contract of a model, the written-out convolutions, how far a position sees."""

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from rhapsode.models import State
from rhapsode.models.tcn.config import TCNConfig
from rhapsode.models.tcn.network import TCN
from tests.contracts.model_contract import (
    ModelContract,
    assert_same,
    in_pieces,
    noise,
    stirred,
    traced,
)
from tests.models.written_out import convolution_reference


class TestTCN(ModelContract):
    family = TCN
    configurations: ClassVar = {
        "one layer of two taps": TCNConfig(
            input_size=4, hidden_size=3, num_layers=1, kernel_size=2
        ),
        "two layers of three taps": TCNConfig(
            input_size=3, hidden_size=4, num_layers=2, kernel_size=3
        ),
        "three layers of five taps": TCNConfig(
            input_size=3, hidden_size=4, num_layers=3, kernel_size=5
        ),
    }

    def test_equals_the_convolutions_written_out(self, config: TCNConfig) -> None:
        model = self.make(config)

        def reference(x_BTD: Tensor, state: State | None) -> tuple[Tensor, State]:
            x_BHT = model.project(x_BTD).transpose(1, 2)
            for layer, block in enumerate(model.blocks):
                branch = x_BHT
                for convolution in (block.conv1, block.conv2):
                    branch = convolution_reference(
                        branch, convolution.weight, convolution.bias, 2**layer
                    ).relu()
                x_BHT = x_BHT + branch
            return x_BHT.transpose(1, 2), model(x_BTD)[1]

        x_BTD = self.window(model)
        assert_same(
            traced(model, in_pieces(model, [], None), x_BTD, None),
            traced(model, reference, x_BTD, None),
        )

    def test_a_position_sees_as_far_as_it_says(self, config: TCNConfig) -> None:
        model = self.make(config)
        reach = 1 + 2 * (config.kernel_size - 1) * (2**config.num_layers - 1)
        x_BTD = noise(8, reach + 3, config.input_size, seed=1).requires_grad_()
        (gradient_BTD,) = torch.autograd.grad(model(x_BTD)[0][:, -1].sum(), x_BTD)
        assert gradient_BTD[:, 3].any()
        assert not gradient_BTD[:, :3].any()

    def test_the_last_layer_shown_is_the_output(self, config: TCNConfig) -> None:
        model = self.make(config)
        x_BTD, state = self.window(model), self.past(model, "ragged")
        found = model.probe(x_BTD, state)
        below_BTH = model.project(x_BTD)
        for layer in range(config.num_layers):
            below_BTH = below_BTH + found[f"layer{layer}.branch"]
            torch.testing.assert_close(found[f"layer{layer}.output"], below_BTH)
        torch.testing.assert_close(model(x_BTD, state)[0], below_BTH)

    def test_dropout_is_one_mask_over_a_window(self, config: TCNConfig) -> None:
        model = stirred(
            TCN, dataclasses.replace(config, hidden_size=40, num_layers=1, dropout=0.25)
        )
        model.blocks[0].conv2.bias.data.fill_(100.0)
        x_BTD = self.window(model)
        torch.manual_seed(0)
        y_BTH, _ = model.train()(x_BTD)
        kept_BTH = (y_BTH - model.project(x_BTD)) > 1e-6
        assert torch.equal(kept_BTH, kept_BTH[:, :1].expand_as(kept_BTH))
        assert 0.6 < kept_BTH.double().mean() < 0.9
        assert not torch.equal(kept_BTH[0], kept_BTH[1])

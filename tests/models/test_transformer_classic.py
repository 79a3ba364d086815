"""The textbook block: the contract of a model up to its length, parity with torch.nn, positions that are learned."""

from typing import ClassVar

import pytest
import torch
from torch import nn

from rhapsode.errors import SettingsError
from rhapsode.models.transformer_classic.config import TransformerClassicConfig
from rhapsode.models.transformer_classic.network import TransformerClassic
from tests.contracts.model_contract import (
    ROWS,
    TIME,
    ModelContract,
    every_past,
    in_steps,
    noise,
    stirred,
)


class TestTransformerClassic(ModelContract):
    family = TransformerClassic
    configurations: ClassVar = {
        "one layer": TransformerClassicConfig(
            input_size=6, num_heads=2, length=60, feedforward_size=5
        ),
        "three layers": TransformerClassicConfig(
            input_size=4, num_layers=3, num_heads=1, length=60
        ),
    }

    def test_equals_the_layers_of_torch(self, config: TransformerClassicConfig) -> None:
        model = self.make(config)
        x_BTD = self.window(model)
        inner = config.feedforward_size or 4 * config.input_size
        mask_TT = nn.Transformer.generate_square_subsequent_mask(TIME, dtype=torch.float64)
        wanted_BTD = x_BTD + model.position.weight[:TIME]
        for layer, block in enumerate(model.layers):
            theirs = nn.TransformerEncoderLayer(
                config.input_size, config.num_heads, inner, dropout=0.0, batch_first=True
            ).double()
            theirs.load_state_dict(block.state_dict(), strict=True)
            wanted_BTD = theirs(wanted_BTD, src_mask=mask_TT, is_causal=True)
            shown_BTD = model.probe(x_BTD)[f"layer{layer}.output"]
            torch.testing.assert_close(shown_BTD, wanted_BTD, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(model(x_BTD)[0], wanted_BTD, rtol=1e-9, atol=1e-9)

    @every_past
    def test_attention_looks_at_all_that_was_read(
        self, config: TransformerClassicConfig, past: str
    ) -> None:
        model = self.make(config)
        x_BTD, state = self.window(model), self.past(model, past)
        known = model.init_state(ROWS) if state is None else state
        position_BT = known.next_B[:, None] + torch.arange(TIME)
        seen_BTN = torch.arange(config.length) <= position_BT[..., None]
        for name, weights_BATN in model.probe(x_BTD, state).items():
            if name.endswith("attention"):
                torch.testing.assert_close(
                    weights_BATN.sum(-1), torch.ones_like(weights_BATN[..., 0])
                )
                assert torch.equal(weights_BATN > 0, seen_BTN[:, None].expand_as(weights_BATN))


def test_a_text_longer_than_the_positions_is_refused() -> None:
    config = TransformerClassicConfig(input_size=4, num_heads=1, length=5)
    model = stirred(TransformerClassic, config)
    x_BTD = noise(2, 6, 4, seed=1)
    _, state = model(x_BTD[:, :5])
    with pytest.raises(ValueError, match="position 5 is past the length of 5"):
        model(x_BTD)
    with pytest.raises(ValueError, match="past the length"):
        model.step(x_BTD[:, 5], state)


def test_a_reset_makes_room_again() -> None:
    config = TransformerClassicConfig(input_size=4, num_heads=1, length=5)
    model = stirred(TransformerClassic, config)
    x_BTD = noise(1, 12, 4, seed=1)
    reset_BT = torch.tensor([[t % 5 == 0 for t in range(12)]])
    whole_BTD, _ = model(x_BTD, reset_BT=reset_BT)
    steps_BTD, _ = in_steps(model, reset_BT)(x_BTD, None)
    torch.testing.assert_close(whole_BTD, steps_BTD, rtol=1e-9, atol=1e-9)
    for start in (0, 5, 10):
        alone_BTD, _ = model(x_BTD[:, start : start + 5])
        torch.testing.assert_close(whole_BTD[:, start : start + 5], alone_BTD)


def test_positions_are_told_apart() -> None:
    config = TransformerClassicConfig(input_size=4, num_heads=1, length=5)
    model = stirred(TransformerClassic, config)
    y_BTD, _ = model(noise(1, 1, 4, seed=1).expand(1, 5, 4))
    assert len(y_BTD[0].round(decimals=6).unique(dim=0)) == 5


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(SettingsError, match="width of 8 does not divide into 3 heads") as caught:
        TransformerClassic(TransformerClassicConfig(input_size=8, num_heads=3))
    assert caught.value.where == "[network] num_heads"

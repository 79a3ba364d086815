"""The transformer: the contract of a model, the reach of its window, positions far out, the attention it shows."""

import dataclasses
import math
from typing import ClassVar

import pytest
import torch

from rhapsode.errors import SettingsError
from rhapsode.models.transformer.config import TransformerConfig
from rhapsode.models.transformer.network import Transformer
from tests.contracts.model_contract import (
    ROWS,
    TIME,
    ModelContract,
    assert_same,
    every_past,
    in_pieces,
    in_steps,
    noise,
    stirred,
    traced,
)


def configuration(num_layers: int, window: int, num_heads: int = 2) -> TransformerConfig:
    return TransformerConfig(
        input_size=8,
        num_layers=num_layers,
        num_heads=num_heads,
        window=window,
        feedforward_size=6,
        rope_base=100.0,
    )


class TestTransformer(ModelContract):
    family = Transformer
    configurations: ClassVar = {
        "one layer, window 1": configuration(1, 1),
        "one layer, window 3": configuration(1, 3),
        "two layers, window 5": configuration(2, 5, num_heads=1),
        "three layers, window 3": configuration(3, 3),
        "two layers, window as long as the text": configuration(2, TIME),
        "two layers, window beyond the text": configuration(2, 3 * TIME),
    }

    @every_past
    def test_the_attention_shown_is_the_attention_used(
        self, config: TransformerConfig, past: str
    ) -> None:
        model = self.make(config)
        x_BTD, state = self.window(model), self.past(model, past)
        known = model.init_state(ROWS) if state is None else state
        found = model.probe(x_BTD, state)
        below_BTD = x_BTD
        for layer, block in enumerate(model.layers):
            weights_BATS = found[f"layer{layer}.attention"]
            assert weights_BATS.shape == (ROWS, config.num_heads, TIME, config.window + TIME)
            torch.testing.assert_close(weights_BATS.sum(-1), torch.ones_like(weights_BATS[..., 0]))
            values = block.self_attn.v_proj(block.input_layernorm(below_BTD))
            v_BATC = values.unflatten(-1, (config.num_heads, -1)).transpose(1, 2)
            v_BASC = torch.cat((known.v_BLAWC[:, layer], v_BATC), dim=2)
            mixed_BTD = (weights_BATS @ v_BASC).transpose(1, 2).flatten(2)
            below_BTD = below_BTD + block.self_attn.o_proj(mixed_BTD)
            below_BTD = below_BTD + block.mlp(block.post_attention_layernorm(below_BTD))
            torch.testing.assert_close(found[f"layer{layer}.output"], below_BTD)
        y_BTH, _ = model(x_BTD, state)
        torch.testing.assert_close(model.norm(below_BTD), y_BTH, rtol=1e-9, atol=1e-9)

    @every_past
    def test_attention_stays_within_the_window_and_the_document(
        self, config: TransformerConfig, past: str
    ) -> None:
        model, window = self.make(config), config.window
        x_BTD, state = self.window(model), self.past(model, past)
        known = model.init_state(ROWS) if state is None else state
        for row in range(ROWS):
            start, first = int(known.start_B[row]), int(known.next_B[row])
            # The number of the element under every key; None in a slot that was never filled.
            numbers: list[int | None] = [None] * window
            for number in range(max(0, first - window), first):
                numbers[number % window] = number
            numbers += range(first, first + TIME)
            seen_TS = torch.tensor(
                [
                    [
                        key is not None and max(start, query - window + 1) <= key <= query
                        for key in numbers
                    ]
                    for query in range(first, first + TIME)
                ]
            )
            for name, weights_BATS in model.probe(x_BTD, state).items():
                if name.endswith("attention"):
                    assert torch.equal(weights_BATS[row] > 0, seen_TS.expand_as(weights_BATS[row]))

    def test_the_state_behind_a_window_counts_what_was_read(
        self, config: TransformerConfig
    ) -> None:
        model = self.make(config)
        _, state = model(self.window(model))
        assert state.next_B.tolist() == [TIME] * ROWS
        assert state.start_B.tolist() == [0] * ROWS
        reset_BT = torch.zeros(ROWS, TIME, dtype=torch.bool)
        reset_BT[1, 2] = reset_BT[2, 0] = reset_BT[2, 7] = True
        _, state = model(self.window(model), state, reset_BT=reset_BT)
        assert state.next_B.tolist() == [2 * TIME] * ROWS
        assert state.start_B.tolist() == [0, TIME + 2, TIME + 7]


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("window", [1, 4])
def test_a_layer_reaches_back_a_window_and_no_further(num_layers: int, window: int) -> None:
    model = stirred(Transformer, configuration(num_layers, window))
    x_BTD = noise(1, 20, 8, seed=1).requires_grad_()
    y_BTH, _ = model(x_BTD)
    (gradient_BTD,) = torch.autograd.grad(y_BTH[:, -1].square().sum() + y_BTH[0, -1, 0], x_BTD)
    reach = num_layers * (window - 1) + 1
    assert gradient_BTD[:, -reach:].abs().sum(-1).all()
    assert not gradient_BTD[:, :-reach].any()

    changed_BTD = x_BTD.detach().clone()
    changed_BTD[:, :-reach] += 1
    torch.testing.assert_close(model(changed_BTD)[0][:, -1], y_BTH[:, -1], rtol=0, atol=1e-12)


def test_one_layer_equals_reading_each_window_by_itself() -> None:
    model = stirred(Transformer, configuration(1, 4))
    x_BTD = noise(2, 15, 8, seed=1)
    y_BTH, _ = model(x_BTD)
    for t in range(15):
        alone_BTH, _ = model(x_BTD[:, max(0, t - 3) : t + 1])
        torch.testing.assert_close(y_BTH[:, t], alone_BTH[:, -1], rtol=1e-9, atol=1e-9)


def test_far_beyond_the_window_one_go_equals_single_steps() -> None:
    model = stirred(Transformer, configuration(3, 4))
    x_BTD = noise(2, 50, 8, seed=1)
    whole = traced(model, in_pieces(model, [], None), x_BTD, None)
    assert_same(traced(model, in_steps(model), x_BTD, None), whole)
    thirds = [t in {16, 33} for t in range(49)]
    assert_same(traced(model, in_pieces(model, thirds, None), x_BTD, None), whole)


@pytest.mark.parametrize("start", [0, 1_000_003])
def test_positions_far_into_a_document_are_as_exact_as_near_ones(start: int) -> None:
    layers, window, time = 2, 5, 30
    model = stirred(Transformer, configuration(layers, window), torch.float32)
    x_BTD = noise(2, time, 8, seed=1, dtype=torch.float32)
    near_BTH, _ = model(x_BTD)
    far = dataclasses.replace(
        model.init_state(2),
        next_B=torch.tensor([2_000_000, 1_999_997]),
        start_B=torch.full((2,), start),
    )
    settled = slice(layers * (window - 1), None)  # from here on the cache's zeros are out of reach
    whole_BTH, _ = model(x_BTD, far)
    torch.testing.assert_close(whole_BTH[:, settled], near_BTH[:, settled], rtol=0, atol=2e-6)
    steps_BTH, _ = in_steps(model)(x_BTD, far)
    torch.testing.assert_close(steps_BTH[:, settled], near_BTH[:, settled], rtol=0, atol=2e-6)


def test_only_the_distance_to_the_start_of_the_document_counts() -> None:
    window = 5
    model = stirred(Transformer, configuration(2, window), torch.float32)
    _, state = model(noise(2, 7, 8, seed=1, dtype=torch.float32))
    shift = window * 400_000
    moved = dataclasses.replace(state, next_B=state.next_B + shift, start_B=state.start_B + shift)
    x_BTD = noise(2, 12, 8, seed=2, dtype=torch.float32)
    assert torch.equal(model(x_BTD, moved)[0], model(x_BTD, state)[0])


def test_dropout_falls_on_what_the_branches_add() -> None:
    config = dataclasses.replace(configuration(1, 4), dropout=0.99)
    model = stirred(Transformer, config).train()
    torch.manual_seed(0)
    x_BTD = noise(4, 10, 8, seed=1)
    y_BTH, _ = model(x_BTD)
    untouched = (y_BTH - model.norm(x_BTD)).abs().amax(-1) < 1e-12
    assert 0.5 < untouched.double().mean() < 1.0


def test_the_width_of_the_feed_forward_is_eight_thirds_in_sixteens() -> None:
    for size, inner in ((48, 128), (50, 144), (512, 1376)):
        with torch.device("meta"):
            model = Transformer(TransformerConfig(input_size=size, num_heads=1, num_layers=1))
        assert model.layers[0].mlp.up_proj.weight.shape == (inner, size)


def test_branches_start_smaller_the_deeper_the_model() -> None:
    torch.manual_seed(0)
    model = Transformer(TransformerConfig(input_size=64, num_layers=8))
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            assert torch.equal(parameter, torch.ones_like(parameter))
        else:
            branch = name.endswith(("o_proj.weight", "down_proj.weight"))
            deviation = 0.02 / math.sqrt(16) if branch else 0.02
            assert parameter.std().item() == pytest.approx(deviation, rel=0.1)


@pytest.mark.parametrize(("size", "heads"), [(8, 3), (6, 2), (9, 1)])
def test_heads_that_do_not_divide_the_width_are_refused(size: int, heads: int) -> None:
    with pytest.raises(SettingsError, match=f"width of {size} .* {heads} heads") as caught:
        Transformer(TransformerConfig(input_size=size, num_heads=heads))
    assert caught.value.where == "[network] num_heads"

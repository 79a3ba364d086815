"""What every recurrent family proves beyond the contract of a model: the written-out equations, parity with torch.nn,
states behind a reset, locked dropout.
"""

import dataclasses
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from rhapsode.models import State
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
from tests.models.written_out import recurrent_reference


class RecurrentContract(ModelContract):
    """The suite. `theirs` is the module of torch.nn that computes the same."""

    theirs: ClassVar[type[nn.RNNBase]]
    their_settings: ClassVar[tuple[str, ...]] = ()

    @every_past
    @with_and_without_resets
    def test_equals_the_equations_written_out(
        self, config: Any, past: str, resets: Grid | None
    ) -> None:
        model = self.make(config)
        x_BTD, state = self.window(model), self.past(model, past)
        reset_BT = None if resets is None else torch.tensor(resets)

        def reference(x_BTD: Tensor, state: State | None) -> tuple[Tensor, State]:
            return recurrent_reference(model, x_BTD, state, reset_BT)[:2]

        assert_same(
            traced(model, in_pieces(model, [], reset_BT), x_BTD, state),
            traced(model, reference, x_BTD, state),
        )

    @every_past
    def test_the_probed_gates_are_those_of_the_equations(self, config: Any, past: str) -> None:
        model = self.make(config)
        x_BTD, state = self.window(model), self.past(model, past)
        _, _, wanted = recurrent_reference(model, x_BTD, state)
        found = model.probe(x_BTD, state)
        assert {name.partition(".")[0] for name in found} == {
            f"layer{layer}" for layer in range(config.num_layers)
        }
        assert_same(dict(sorted(found.items())), dict(sorted(wanted.items())), 1e-12)

    def test_a_state_behind_a_reset_is_that_of_a_fresh_start(self, config: Any) -> None:
        model = self.make(config)
        x_BTD = self.window(model)
        reset_BT = torch.zeros(ROWS, TIME, dtype=torch.bool)
        reset_BT[:, 3] = True
        _, found = model(x_BTD, self.past(model, "ragged"), reset_BT=reset_BT)
        _, wanted = model(x_BTD[:, 3:])
        assert_same(found.tensors(), wanted.tensors())

    def test_takes_the_weights_of_torch_and_does_the_same(self, config: Any) -> None:
        settings = {name: getattr(config, name) for name in self.their_settings}
        torch.manual_seed(1)
        theirs = self.theirs(
            config.input_size, config.hidden_size, config.num_layers, batch_first=True, **settings
        ).double()
        ours = self.family(config).double()
        ours.load_state_dict(theirs.state_dict(), strict=True)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        theirs.load_state_dict(ours.state_dict(), strict=True)

        x_BTD = noise(ROWS, TIME, config.input_size, seed=1)
        zeros = ours.init_state(ROWS)
        known = [
            noise(config.num_layers, ROWS, config.hidden_size, seed=seed)
            for seed in range(len(zeros.tensors()))
        ]
        wanted_BTH, behind = theirs(x_BTD, tuple(known) if len(known) > 1 else known[0])
        before = type(zeros)(*(tensor.transpose(0, 1) for tensor in known))
        found_BTH, after = ours(x_BTD, before)
        assert torch.equal(found_BTH, wanted_BTH)
        behind = behind if isinstance(behind, tuple) else (behind,)
        for found, wanted in zip(after.tensors().values(), behind, strict=True):
            assert torch.equal(found, wanted.transpose(0, 1))

        weights_BTH = noise(*wanted_BTH.shape, seed=3)
        (wanted_BTH * weights_BTH).sum().backward()
        (found_BTH * weights_BTH).sum().backward()
        for name, parameter in theirs.named_parameters():
            torch.testing.assert_close(
                ours.get_parameter(name).grad, parameter.grad, rtol=1e-12, atol=1e-12
            )

    def test_dropout_is_one_mask_over_a_window(self, config: Any) -> None:
        model = self.make(dataclasses.replace(config, hidden_size=40, num_layers=1, dropout=0.25))
        x_BTD = self.window(model)
        plain_BTH, after = model(x_BTD)
        torch.manual_seed(0)
        dropped_BTH, dropped = model.train()(x_BTD)
        kept_BH = dropped_BTH.any(dim=1)
        torch.testing.assert_close(dropped_BTH, plain_BTH * kept_BH[:, None].double() / 0.75)
        assert 0.6 < kept_BH[plain_BTH.any(dim=1)].double().mean() < 0.9
        assert not torch.equal(kept_BH[0], kept_BH[1])
        assert_same(dropped.tensors(), after.tensors())

    def test_every_layer_drops_what_it_hands_up(self, config: Any) -> None:
        model = self.make(dataclasses.replace(config, hidden_size=6, num_layers=2, dropout=0.99))
        _, plain = model(self.window(model))
        torch.manual_seed(0)
        y_BTH, after = model.train()(self.window(model))
        assert (y_BTH == 0).double().mean() > 0.8
        torch.testing.assert_close(after.h_BLH[:, 0], plain.h_BLH[:, 0])
        assert not torch.allclose(after.h_BLH[:, 1], plain.h_BLH[:, 1])

    def test_fresh_weights_are_distributed_as_in_torch(self, config: Any) -> None:
        model = self.family(dataclasses.replace(config, input_size=16, hidden_size=64))
        for parameter in model.parameters():
            assert parameter.abs().max() <= 1 / 8
            assert parameter.std().item() == pytest.approx(1 / 8 / 3**0.5, rel=0.25)

    def test_single_precision_stays_single(self, config: Any) -> None:
        model = stirred(self.family, config, torch.float32)
        y_BTH, state = model(noise(ROWS, TIME, config.input_size, seed=1, dtype=torch.float32))
        assert y_BTH.dtype == torch.float32
        assert {tensor.dtype for tensor in state.tensors().values()} == {torch.float32}


class GatedContract(RecurrentContract):
    """The suite of families whose gates decide what is kept."""

    keeps: ClassVar[int]
    """Which gate keeps, counted in the rows of a layer's biases."""
    writes: ClassVar[int | None]
    """Which gate writes and starts as the opposite, if one does."""

    @pytest.mark.parametrize("share", [1.0, 0.25])
    def test_chrono_spreads_forgetting_evenly_in_log(self, share: float) -> None:
        torch.manual_seed(3)
        size, longest = 4000, 101
        config = self.family.Config(
            input_size=2, hidden_size=size, num_layers=2, chrono=longest, chrono_share=share
        )
        model = self.family(config)
        some = round(size * share)
        for layer in range(2):
            _, _, bias_ih, bias_hh = model.weights_of(layer)
            keep = (bias_ih + bias_hh)[self.keeps * size : (self.keeps + 1) * size]
            # 1 / (1 - sigmoid(bias)) positions: 2 to `longest`, evenly.
            times = 1 + keep[:some].exp()
            assert times.min() >= 2.0
            assert times.max() <= longest
            wanted = torch.linspace(2.0, longest, some)
            assert (times.sort().values - wanted).abs().max() < 5.0
            if self.writes is not None:
                write = (bias_ih + bias_hh)[self.writes * size :][:some]
                torch.testing.assert_close(write, -keep[:some])
            bound = 2 / size**0.5
            assert (keep[some:].abs() <= bound).all()
            assert (bias_ih[-size:].abs() <= bound).all()

    def test_without_chrono_it_starts_as_torch_does(self) -> None:
        for config in (
            self.family.Config(input_size=2, hidden_size=64),
            self.family.Config(input_size=2, hidden_size=64, chrono=90, chrono_share=0.0),
            self.family.Config(input_size=2, hidden_size=64, chrono=1),
        ):
            model = self.family(config)
            assert all((p.abs() <= 1 / 8).all() for p in model.parameters())

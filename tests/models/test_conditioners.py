"""Conditioned models: the contract of a model under a condition, memories that rows share, refusals, a level that depends on
an attribute.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from rhapsode.bundle import Component, NetworkConfig
from rhapsode.bundle.network import build_network
from rhapsode.data import Batch, Condition
from rhapsode.errors import SettingsError
from rhapsode.models import CONDITIONERS, Conditioned, SequenceModel, State
from rhapsode.models.contract import shared, state_dataclass
from rhapsode.models.gru.network import GRU
from rhapsode.models.inputs import Static, StaticConfig
from rhapsode.models.lstm.network import LSTM
from rhapsode.models.recurrent_config import GatedConfig
from rhapsode.models.transformer.config import TransformerConfig
from rhapsode.models.transformer.network import Transformer
from tests.contracts.model_contract import (
    ROWS,
    TIME,
    TOLERANCE,
    Grid,
    ModelContract,
    assert_same,
    in_pieces,
    row_tensors,
    stirred,
    traced,
    with_and_without_resets,
)

ATTRIBUTES = 3


def attributes(rows: int) -> Condition:
    """Attributes, different in every row; one of each row is missing."""
    random = np.random.default_rng(5)
    static_BK = random.normal(size=(rows, ATTRIBUTES)).astype(np.float32)
    static_BK[np.arange(rows), np.arange(rows) % ATTRIBUTES] = np.nan
    return Condition(static_BK=static_BK)


def conditioned(family: type[SequenceModel]) -> Callable[[Any], Conditioned]:
    """A maker of models of a family that read attributes."""
    settings = StaticConfig(static_size=ATTRIBUTES, condition_size=4)
    return lambda config: Conditioned(family(config), Static(settings))


class ConditionedContract(ModelContract):
    """The suite of a model, every law under a condition, and what is told of memories."""

    def condition(self, rows: int) -> Condition:
        return attributes(rows)

    def make(self, config: Any) -> Conditioned:
        return stirred(conditioned(self.family), config)

    def start(self, model: Conditioned, rows: int = ROWS) -> State:
        return model.init_state(rows, condition=self.condition(rows))

    def test_no_condition_is_the_model_within(self, config: Any) -> None:
        model = self.make(config)
        x_BTD = self.window(model)
        assert torch.equal(model(x_BTD)[0], model.inner(x_BTD, model.inner.init_state(ROWS))[0])

    @with_and_without_resets
    def test_gradients_of_all_windows_reach_the_conditioner(
        self, config: Any, resets: Grid | None
    ) -> None:
        model = self.make(config)
        reset_BT = None if resets is None else torch.tensor(resets)
        x_BTD, condition = self.window(model), self.condition(ROWS)
        cuts = [t in {2, 4} for t in range(TIME - 1)]
        pieces = traced(model, in_pieces(model, cuts, reset_BT, condition), x_BTD, None)
        whole = traced(model, in_pieces(model, [], reset_BT, condition), x_BTD, None)
        names = [name for name in whole if "conditioner" in name or "projection" in name]
        assert len(names) == 3
        for name in names:
            assert whole[name].abs().max() > 1e-3
            torch.testing.assert_close(pieces[name], whole[name], rtol=TOLERANCE, atol=TOLERANCE)

    def test_selecting_and_forking_leave_the_memory_where_it_lies(self, config: Any) -> None:
        model = self.make(config)
        _, state = model(self.window(model), self.start(model))
        place = state.memory_MC.data_ptr()
        for other in (
            state.fork(),
            state.select(torch.tensor([2, 0, 0, 1, 2])),
            state.select(torch.tensor([2])).select(torch.tensor([0, 0])).fork(),
            model.step(self.window(model)[:, 0], state)[1],
            state.detach(),
            state.to("cpu"),
            type(state).join([state.select(torch.tensor([1])), state.fork()]),
        ):
            assert other.memory_MC.data_ptr() == place
            assert other.memory_MC.shape == state.memory_MC.shape

    def test_rows_selected_twice_keep_their_sources(self, config: Any) -> None:
        model = self.make(config)
        x_BTD, state = self.window(model), self.past(model, "ragged")
        wanted_BTH, after = model(x_BTD, state)
        first, second = torch.tensor([2, 2, 0, 1]), torch.tensor([3, 0, 0])
        rows_R = first[second]
        chosen = state.select(first).select(second)
        found_BTH, behind = model(x_BTD[rows_R], chosen)
        torch.testing.assert_close(found_BTH, wanted_BTH[rows_R], rtol=TOLERANCE, atol=TOLERANCE)
        assert_same(row_tensors(behind), row_tensors(after.select(rows_R)))

    def test_rows_that_share_a_source_equal_separate_ones(self, config: Any) -> None:
        model = self.make(config)
        x_BTD, one = self.window(model), self.condition(2).select(slice(1, 2))
        state = model.init_state(ROWS, condition=one)
        repeated = one.select(np.zeros(ROWS, dtype=np.int64))
        separate = model.init_state(ROWS, condition=repeated)
        assert len(state.memory_MC) == 1
        assert len(separate.memory_MC) == ROWS
        found, wanted = model(x_BTD, state), model(x_BTD, separate)
        torch.testing.assert_close(found[0], wanted[0], rtol=TOLERANCE, atol=TOLERANCE)
        assert_same(row_tensors(found[1]), row_tensors(wanted[1]))

    def test_joined_rows_go_on_under_their_own_memories(self, config: Any) -> None:
        model = self.make(config)
        x_BTD, state = self.window(model), self.start(model)
        alone = model.init_state(1)  # under no condition
        again = state.select(torch.tensor([2, 1]))
        whole = type(state).join([state, alone, again])
        assert whole.source_B.tolist() == [0, 1, 2, 3, 2, 1]
        assert len(whole.memory_MC) == ROWS + 1
        wanted = [
            model(x_BTD, state)[0],
            model(x_BTD[:1], alone)[0],
            model(x_BTD[:2], again)[0],
        ]
        found_BTH, _ = model(torch.cat((x_BTD, x_BTD[:1], x_BTD[:2])), whole)
        torch.testing.assert_close(found_BTH, torch.cat(wanted), rtol=TOLERANCE, atol=TOLERANCE)

    def test_shares_of_rows_with_sources_of_their_own_make_the_whole(self, config: Any) -> None:
        model = self.make(config)
        x_BTD = self.window(model)
        _, state = model(x_BTD, self.start(model))
        turned = torch.tensor([2, 0, 0, 1])
        shares = [state.select(turned[:1]).unshared(), state.select(turned[1:]).unshared(1)]
        names = list(state.tensors())
        whole = model.init_state(len(turned)).rebuild(
            {name: torch.cat([share.tensors()[name] for share in shares]) for name in names}
        )
        assert whole.source_B.tolist() == [0, 1, 2, 3]
        found, wanted = model(x_BTD[turned], whole), model(x_BTD[turned], state.select(turned))
        torch.testing.assert_close(found[0], wanted[0], rtol=TOLERANCE, atol=TOLERANCE)

    def test_rows_under_another_state_keep_what_they_have_read(self, config: Any) -> None:
        model = self.make(config)
        x_BTD, turned = self.window(model), torch.tensor([1, 2, 0])
        _, state = model(x_BTD, self.start(model))
        other = model.init_state(ROWS, condition=self.condition(ROWS).select(turned.numpy()))
        again = state.under(self.start(model))
        assert torch.equal(model(x_BTD, again)[0], model(x_BTD, state)[0])
        assert_same(row_tensors(state.under(other).inner), row_tensors(state.inner))
        assert not torch.allclose(model(x_BTD, state.under(other))[0], model(x_BTD, state)[0])

    def test_another_source_is_never_seen(self, config: Any) -> None:
        model = self.make(config)
        x_BTD, state = self.window(model), self.start(model)
        memory_MC = state.memory_MC.detach().clone()
        memory_MC[1] = torch.nan
        spoilt = state.rebuild({**state.tensors(), "memory_MC": memory_MC})
        found_BTH, wanted_BTH = model(x_BTD, spoilt)[0], model(x_BTD, state)[0]
        others = torch.tensor([0, 2])
        torch.testing.assert_close(found_BTH[others], wanted_BTH[others], rtol=0, atol=1e-12)
        assert found_BTH[1].isnan().all()

    def test_a_reset_keeps_the_memory(self, config: Any) -> None:
        model = self.make(config)
        x_BTD, state = self.window(model), self.start(model)
        reset_BT = torch.zeros(ROWS, TIME, dtype=torch.bool)
        reset_BT[:, 3] = True
        y_BTH, after = model(x_BTD, state, reset_BT=reset_BT)
        afresh_BTH, _ = model(x_BTD[:, 3:], self.start(model))
        torch.testing.assert_close(y_BTH[:, 3:], afresh_BTH, rtol=TOLERANCE, atol=TOLERANCE)
        assert after.memory_MC is state.memory_MC


class TestConditionedLSTM(ConditionedContract):
    family = LSTM
    configurations: ClassVar = {
        "two layers": GatedConfig(input_size=4, hidden_size=5, num_layers=2)
    }


class TestConditionedGRU(ConditionedContract):
    family = GRU
    configurations: ClassVar = {"one layer": GatedConfig(input_size=3, hidden_size=4)}


class TestConditionedTransformer(ConditionedContract):
    family = Transformer
    configurations: ClassVar = {
        "two layers, window 5": TransformerConfig(
            input_size=8, num_layers=2, num_heads=2, window=5, feedforward_size=6
        )
    }


# Shared fields of a state


@state_dataclass
class Source(State):
    """A memory of two tensors."""

    key_MC: Tensor
    length_M: Tensor


@state_dataclass
class Pointing(State):
    """A state over a memory that is itself a state."""

    h_BH: Tensor
    source_B: Tensor
    memory: Source = shared()


def pointing(rows: int, sources: int, seed: int = 0) -> Pointing:
    generator = torch.Generator().manual_seed(seed)
    return Pointing(
        torch.randn(rows, 2, generator=generator),
        torch.arange(rows) % sources,
        Source(torch.randn(sources, 3, generator=generator), torch.arange(sources)),
    )


def test_a_memory_may_be_a_state_of_several_tensors() -> None:
    one, other = pointing(3, 2), pointing(2, 1, seed=1)
    assert one.rows == 3
    assert one.fork().memory is one.memory
    assert one.select(torch.tensor([1])).memory is one.memory
    whole = Pointing.join([one, other, one.select(torch.tensor([1]))])
    assert whole.source_B.tolist() == [0, 1, 0, 2, 2, 1]
    assert whole.memory.length_M.tolist() == [0, 1, 0]
    assert whole.rows == 6
    assert list(whole.tensors()) == ["h_BH", "source_B", "memory.key_MC", "memory.length_M"]
    moved = whole.to("meta")
    assert {tensor.device.type for tensor in moved.tensors().values()} == {"meta"}


def test_a_state_is_rebuilt_from_its_tensors() -> None:
    state = pointing(3, 2)
    changed = {name: tensor + 1 for name, tensor in state.tensors().items()}
    assert_same(state.rebuild(changed).tensors(), changed, 0.0)
    with pytest.raises(KeyError, match="length_M"):
        state.rebuild({"h_BH": state.h_BH})


def test_a_shared_field_needs_rows_that_point_into_it() -> None:
    class Lost(State):
        h_BH: Tensor
        memory_MC: Tensor = shared()

    with pytest.raises(TypeError, match="needs source_B"):
        state_dataclass(Lost)


# The conditioner of static attributes


def test_every_conditioner_claims_the_contract() -> None:
    assert CONDITIONERS.names() == ["static.v1"]
    assert CONDITIONERS.get("static") is Static


def test_a_missing_attribute_is_zero_beside_an_indicator() -> None:
    conditioner = Static(StaticConfig(static_size=2, condition_size=3))
    static_BK = np.array([[2.0, np.nan], [0.0, 1.0]], dtype=np.float32)
    weight_C4, bias_C = conditioner.linear.weight, conditioner.linear.bias
    memory_MC = conditioner(Condition(static_BK=static_BK))
    torch.testing.assert_close(memory_MC[0], 2 * weight_C4[:, 0] + weight_C4[:, 3] + bias_C)
    torch.testing.assert_close(memory_MC[1], weight_C4[:, 1] + bias_C)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (Condition(ids_BS=np.ones((1, 2), np.int64), lengths_B=np.array([2])), "no static"),
        (Condition(static_BK=np.zeros((1, 2), np.float32)), "2 static attributes.* reads 3"),
        (
            Condition(
                ids_BS=np.ones((1, 2), np.int64),
                lengths_B=np.array([2]),
                static_BK=np.zeros((1, 3), np.float32),
            ),
            "reads attributes only",
        ),
    ],
)
def test_a_condition_that_the_conditioner_cannot_read_is_refused(
    condition: Condition, message: str
) -> None:
    model = conditioned(GRU)(GatedConfig(input_size=2, hidden_size=3))
    with pytest.raises(SettingsError, match=message):
        model.init_state(1, condition=condition)


# What is learnt


def level_batch(rows: int, seed: int, *, told: bool) -> Batch:
    """Noise around a level that is the sum of two attributes; only the first value tells of it."""
    random = np.random.default_rng(seed)
    static_BK = random.normal(size=(rows, 2)).astype(np.float32)
    values = static_BK.sum(axis=1)[:, None, None] + 0.1 * random.normal(size=(rows, 4, 1))
    values = values.astype(np.float32)
    inputs = np.concatenate((np.zeros_like(values[:, :1]), values[:, :-1]), axis=1)
    weights_BT = np.ones((rows, 4), dtype=np.float32)
    condition = Condition(static_BK=static_BK) if told else None
    return Batch(inputs, values, weights_BT, condition=condition)


def loss_after_training(*, told: bool) -> float:
    conditioner = Component("static", {"static_size": 2, "condition_size": 8}) if told else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(
            NetworkConfig(
                Component("linear", {"value_size": 1, "embedding_size": 8}),
                Component("gru", {"hidden_size": 16}),
                Component("gaussian", {"target_size": 1}),
                conditioner=conditioner,
            )
        )
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-2)
    for step in range(150):
        loss_BT, _ = network.loss(level_batch(64, step, told=told))
        optimiser.zero_grad()
        loss_BT.mean().backward()
        optimiser.step()
    if told:
        assert all(parameter.grad.abs().max() > 0 for parameter in network.model.parameters())
    with torch.no_grad():
        return float(network.loss(level_batch(500, 1000, told=told))[0].mean())


def test_a_level_that_depends_on_an_attribute_is_learnt() -> None:
    told, untold = loss_after_training(told=True), loss_after_training(told=False)
    # The noise has an entropy of -0.88 nats; the first value without its level costs 1.77.
    assert told < -0.5
    assert told < untold - 0.4

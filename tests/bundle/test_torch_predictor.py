"""The predictors that run a network in torch: the contract, what they do to the network they hold, and the one that
sees a window only.
"""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch

from rhapsode.bundle import Component, NetworkConfig, Predictor
from rhapsode.bundle.combined.averaged_predictor import Window
from rhapsode.bundle.network import Network, build_network
from rhapsode.bundle.torch_predictor import TorchPredictor, torch_predictor
from rhapsode.config import parse_context
from rhapsode.data import Condition
from rhapsode.errors import SettingsError
from tests.contracts.predictor_contract import PredictorContract, batch_of

VOCABULARY = 6
STATIC = Component("static", {"static_size": 2, "condition_size": 3})
SOURCES = Condition(static_BK=np.array([[1.0, np.nan], [-2.0, 0.5]], dtype=np.float32))
MODELS = {
    "lstm": {"hidden_size": 8, "num_layers": 2, "dropout": 0.5},
    "transformer": {"num_layers": 2, "num_heads": 2, "window": 6, "dropout": 0.5},
}


def network(model: str, conditioner: Component | None = None) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = build_network(
            NetworkConfig(
                input=Component("table", {"vocab_size": VOCABULARY, "embedding_size": 8}),
                model=Component(model, MODELS[model]),
                head=Component("categorical", {"vocab_size": VOCABULARY}),
                conditioner=conditioner,
            )
        )
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() == 2 and parameter.std() < 0.1:
                parameter.mul_(20)
    return made


class TestLSTMPredictor(PredictorContract):
    def make(self) -> Predictor:
        return TorchPredictor(network("lstm"), VOCABULARY)


class TestTransformerPredictor(PredictorContract):
    def make(self) -> Predictor:
        return TorchPredictor(network("transformer"), VOCABULARY)


class TestConditionedPredictor(PredictorContract):
    """Without a condition; with one below."""

    def make(self) -> Predictor:
        return TorchPredictor(network("lstm", STATIC), VOCABULARY)


class TestWindowPredictor(PredictorContract):
    window = 5

    def make(self) -> Predictor:
        return Window(TorchPredictor(network("lstm"), VOCABULARY), 5)


@pytest.mark.parametrize("model", MODELS)
def test_a_condition_counts_in_reading_as_in_scoring(model: str) -> None:
    predictor = TorchPredictor(network(model, STATIC), VOCABULARY)
    ids_BT = np.array([[1, 4, 2, 5, 3], [3, 3, 0, 1, 2]])
    batch = dataclasses.replace(batch_of(ids_BT), condition=SOURCES)
    start = predictor.start(2, SOURCES)
    assert not any(tensor.requires_grad for tensor in start.tensors().values())
    scores_BT, _ = predictor.score(batch)
    examined, _ = predictor.examine(batch)
    np.testing.assert_allclose(examined.log_prob_BT, scores_BT, atol=1e-5)
    np.testing.assert_allclose(predictor.score(batch, start)[0], scores_BT, atol=1e-5)
    state = start
    for t in range(4):
        following, state = predictor.advance(ids_BT[:, t : t + 1], state)
        np.testing.assert_allclose(following.log_prob(ids_BT[:, t + 1]), scores_BT[:, t], atol=1e-5)
    assert state.memory_MC is start.memory_MC
    swapped, _ = predictor.score(
        dataclasses.replace(batch, condition=SOURCES.select(np.array([1, 0])))
    )
    assert (np.abs(swapped - scores_BT).max(axis=1) > 1e-4).all()


def test_histories_of_unequal_length_are_read_under_their_own_conditions() -> None:
    predictor = TorchPredictor(network("lstm", STATIC), VOCABULARY)
    histories = [np.array([1, 4, 2]), np.array([3])]
    together, _ = predictor.read(histories, predictor.start(2, SOURCES))
    for row, history_T in enumerate(histories):
        own = predictor.start(1, SOURCES.select(slice(row, row + 1)))
        alone, _ = predictor.advance(history_T[None], own)
        np.testing.assert_allclose(together.logits_BV[row], alone.logits_BV[0], atol=1e-5)


def test_something_else_than_a_condition_is_refused() -> None:
    predictor = TorchPredictor(network("lstm", STATIC), VOCABULARY)
    with pytest.raises(SettingsError, match="the condition is a list, not a Condition"):
        predictor.start(2, [1, 2])
    with pytest.raises(SettingsError, match="this model cannot use a condition"):
        TorchPredictor(network("lstm"), VOCABULARY).start(2, SOURCES)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_the_network_is_used_without_dropout_and_left_in_its_mode(
    model: str, training: bool
) -> None:
    held = network(model).train(training)
    predictor = TorchPredictor(held, VOCABULARY)
    ids_BT = np.array([[1, 2, 3, 4, 5]])
    wanted_BTV = network(model).eval()(torch.from_numpy(ids_BT))[0].detach()
    for _ in range(2):
        following, state = predictor.advance(ids_BT, predictor.start(1))
        assert held.training is training
        np.testing.assert_allclose(
            following.logits_BV, wanted_BTV[:, -1].numpy(), rtol=0, atol=1e-5
        )
        predictor.advance(ids_BT[:, :1], state)
        assert held.training is training
        scores_BT, _ = predictor.score(batch_of(ids_BT))
        assert held.training is training
        wanted_BT = wanted_BTV.log_softmax(-1)[0, range(4), [2, 3, 4, 5]]
        np.testing.assert_allclose(scores_BT[0], wanted_BT.numpy(), rtol=0, atol=1e-5)
    assert all(module.training is training for module in held.modules())


def test_a_failure_leaves_the_network_in_its_mode() -> None:
    held = network("lstm").train()
    predictor = TorchPredictor(held, VOCABULARY)
    with pytest.raises(IndexError):
        predictor.advance(np.array([[1, VOCABULARY]]), predictor.start(1))
    assert held.training


@pytest.mark.parametrize("model", MODELS)
def test_no_graph_is_kept(model: str) -> None:
    predictor = TorchPredictor(network(model), VOCABULARY)
    for ids_BT in (np.array([[1]]), np.array([[1, 2]])):
        _, state = predictor.advance(ids_BT, predictor.start(1))
        assert not any(tensor.requires_grad for tensor in state.tensors().values())
    _, state = predictor.score(batch_of(np.array([[1, 2, 3]])))
    assert not any(tensor.requires_grad for tensor in state.tensors().values())


def test_elements_of_any_integer_type_and_layout_are_read() -> None:
    predictor = TorchPredictor(network("lstm"), VOCABULARY)
    ids_TB = np.array([[1, 2], [3, 4], [5, 0]], dtype=np.uint16)
    wanted, _ = predictor.advance(
        np.ascontiguousarray(ids_TB.T).astype(np.int64), predictor.start(2)
    )
    found, _ = predictor.advance(ids_TB.T, predictor.start(2))
    assert np.array_equal(found.logits_BV, wanted.logits_BV)


@pytest.mark.parametrize("cuts", [[], [1], [4], [2, 3, 9], list(range(1, 12))])
@pytest.mark.parametrize("model", MODELS)
def test_a_window_is_all_that_counts(model: str, cuts: list[int]) -> None:
    size = 5
    predictor = Window(TorchPredictor(network(model), VOCABULARY), size)
    ids_BT = np.random.default_rng(3).integers(VOCABULARY, size=(2, 12))
    state = predictor.start(2)
    for start, end in pairwise([0, *cuts, 12]):
        following, state = predictor.advance(ids_BT[:, start:end], state)
        seen_BT = torch.from_numpy(ids_BT[:, max(0, end - size) : end])
        wanted_BV = network(model).eval()(seen_BT)[0][:, -1].detach()
        np.testing.assert_allclose(following.logits_BV, wanted_BV.numpy(), rtol=0, atol=1e-5)

    swapped = predictor.select(state, np.array([1, 0, 1]))
    more_BT = np.array([[3], [3], [3]])
    wanted, _ = predictor.advance(more_BT[:2], state.fork())
    found, _ = predictor.advance(more_BT, swapped)
    wanted_BV = wanted.logits_BV[[1, 0, 1]]
    np.testing.assert_allclose(found.logits_BV, wanted_BV, rtol=0, atol=1e-5)


def test_windows_are_scored_from_the_zero_state() -> None:
    predictor = Window(TorchPredictor(network("lstm"), VOCABULARY), 4)
    batch = batch_of(np.array([[1, 2, 3, 4, 5], [5, 0, 1, 1, 2]]))
    wanted_BT, _ = TorchPredictor(network("lstm"), VOCABULARY).score(batch)
    first_BT, _ = predictor.score(batch)
    _, state = predictor.advance(np.array([[3], [3]]), predictor.start(2))
    second_BT, _ = predictor.score(batch, state)
    assert np.array_equal(first_BT, wanted_BT)
    assert np.array_equal(second_BT, wanted_BT)


@pytest.mark.parametrize(
    ("context", "kind"),
    [("carried", TorchPredictor), ("fresh", TorchPredictor), ("window:4", Window)],
)
def test_a_model_sees_what_it_was_trained_to_see(context: str, kind: type[Predictor]) -> None:
    predictor = torch_predictor(network("lstm"), VOCABULARY, parse_context(context))
    assert type(predictor) is kind
    assert predictor.vocab_size == VOCABULARY
    logits_BV = [
        predictor.advance(np.array([[first, 1, 2, 3, 4]]), predictor.start(1))[0].logits_BV
        for first in (0, 5)
    ]
    assert np.array_equal(*logits_BV) is (context == "window:4")

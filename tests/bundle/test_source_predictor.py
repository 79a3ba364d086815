"""Predictors of networks that read a source: reading as scoring, histories under sources of different lengths."""

import dataclasses

import numpy as np
import pytest
import torch

from rhapsode.bundle import Component, NetworkConfig, SourceReader
from rhapsode.bundle.network import Network, build_network
from rhapsode.bundle.torch_predictor import TorchPredictor
from rhapsode.data import Condition
from tests.contracts.predictor_contract import batch_of

VOCABULARY, IDS = 6, 5
SOURCES = Condition(
    ids_BS=np.array([[1, 4, 2, 3], [2, 2, 0, 0]]), lengths_B=np.array([4, 2])
)  # fmt: skip


def network(attention: str, *, above: bool = False) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = build_network(
            NetworkConfig(
                Component("table", {"vocab_size": VOCABULARY, "embedding_size": 8}),
                Component("lstm", {"hidden_size": 8, "dropout": 0.5}),
                Component("categorical", {"vocab_size": VOCABULARY}),
                "fresh",
                source=SourceReader(
                    Component("bidirectional", {"vocab_size": IDS, "hidden_size": 4}),
                    Component(attention, {}),
                    Component("lstm", {"hidden_size": 8}) if above else None,
                ),
            )
        )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(3)
    return made


@pytest.mark.parametrize("attention", ["dot", "location", "gaussian_window"])
def test_a_source_counts_in_reading_as_in_scoring(attention: str) -> None:
    predictor = TorchPredictor(network(attention), VOCABULARY)
    ids_BT = np.array([[1, 4, 2, 5, 3], [3, 3, 0, 1, 2]])
    batch = dataclasses.replace(batch_of(ids_BT), condition=SOURCES)
    scores_BT, _ = predictor.score(batch)
    start = predictor.start(2, SOURCES)
    assert not any(tensor.requires_grad for tensor in start.tensors().values())
    state = predictor.select(start, np.array([1, 0, 0]))
    for t in range(4):
        elements_R1 = ids_BT[[1, 0, 0], t : t + 1]
        following, state = predictor.advance(elements_R1, state)
        found = following.log_prob(ids_BT[[1, 0, 0], t + 1])
        np.testing.assert_allclose(found, scores_BT[[1, 0, 0], t], atol=1e-5)
    assert state.memory is start.memory
    turned = dataclasses.replace(batch, condition=SOURCES.select(np.array([1, 0])))
    assert (np.abs(predictor.score(turned)[0] - scores_BT).max(axis=1) > 1e-4).all()


@pytest.mark.parametrize("attention", ["dot", "location"])
def test_histories_are_read_under_their_own_sources(attention: str) -> None:
    predictor = TorchPredictor(network(attention), VOCABULARY)
    histories = [np.array([1, 4, 2]), np.array([3])]
    together, states = predictor.read(histories, predictor.start(2, SOURCES))
    alone = []
    for row, history_T in enumerate(histories):
        own = Condition(
            ids_BS=SOURCES.ids_BS[row : row + 1, : SOURCES.lengths_B[row]],  # type: ignore[index]
            lengths_B=SOURCES.lengths_B[row : row + 1],  # type: ignore[index]
        )
        following, state = predictor.advance(history_T[None], predictor.start(1, own))
        np.testing.assert_allclose(together.logits_BV[row], following.logits_BV[0], atol=1e-5)
        alone.append(state)
    # States over memories of different lengths are joined.
    next_B1 = np.array([[5], [1]])
    joined, _ = predictor.advance(next_B1, predictor.join(alone))
    same, _ = predictor.advance(next_B1, states)
    np.testing.assert_allclose(joined.logits_BV, same.logits_BV, atol=1e-5)

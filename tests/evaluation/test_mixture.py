"""Figures of a mixture and of its network from one pass, and distributions at places of a text."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rhapsode.config import parse_context
from rhapsode.counts.ngram import NGramModel
from rhapsode.data import Batch, Document, write_store
from rhapsode.evaluation import (
    Protocol,
    distributions_at,
    evaluate_store,
    in_context,
    part_losses,
)
from tests.bundle.test_mixed_predictor import mixture_of
from tests.generation.markov import Markov


class MarkovNetwork(Markov):
    """A predictor computed by hand in the place of a network."""

    window = 0

    def distributions(
        self, batch: Batch, state: np.ndarray | None = None
    ) -> tuple[Iterator[np.ndarray], np.ndarray]:
        state = self.start(batch.rows) if state is None else state
        earlier_BT = np.concatenate((state, batch.inputs[:, :-1]), axis=1)
        if batch.reset_BT is not None:
            earlier_BT = np.where(batch.reset_BT, 0, earlier_BT)
        log_prob_BTV = self.log_VVV[earlier_BT, batch.inputs].astype(np.float32)
        half = batch.inputs.shape[1] // 2  # in two parts
        return iter((log_prob_BTV[:, :half], log_prob_BTV[:, half:])), batch.inputs[:, -1:]


def test_one_pass_gives_the_figures_of_the_mixture_and_of_the_network(tmp_path: Path) -> None:
    letters = "".join(np.random.default_rng(3).choice(list("abcd"), 400))

    def encode(text: str) -> np.ndarray:
        return np.array([ord(letter) - ord("a") + 1 for letter in text], dtype=np.uint8)

    store = write_store(
        tmp_path / "s", [Document(letters, "a")], encode, vocab_size=5, unknown_id=1
    )
    network = MarkovNetwork.random(5)
    ngram = NGramModel.learn(np.asarray(store.elements_N), 5, order=3)
    mixed = mixture_of(network, ngram)
    context, counts_V = parse_context("carried"), np.ones(5, dtype=np.int64)
    protocol = Protocol("all", "nothing", "", "none", "its own")
    alone, network_N = evaluate_store(network, store, counts_V, protocol, context)
    figures, nats_N = evaluate_store(mixed, store, counts_V, protocol, context, ngram=ngram)
    batches = in_context(store.elements_N, store.starts, context, lanes=1)
    parts = part_losses(mixed, batches, context, elements=len(store))
    np.testing.assert_allclose(parts[0], network_N, atol=1e-6)
    np.testing.assert_allclose(parts[1], nats_N, atol=1e-6)
    text_N = np.asarray(store.elements_N, dtype=np.int64)
    read_1T, state = np.append(0, text_N[:-1])[None], mixed.start(1)
    for t, target in enumerate(text_N):
        following, state = mixed.advance(read_1T[:, t : t + 1], state)
        assert nats_N[t] == pytest.approx(-following.log_prob(np.array([target]))[0], abs=1e-5)
    assert abs(nats_N - network_N).max() > 0.1
    told = figures.to_mapping()
    for name in ("loss", "perplexity", "bits_per_byte", "bits_per_character"):
        assert told["network"][name] == pytest.approx(alone.to_mapping()[name], rel=1e-6)
    assert figures.loss == pytest.approx(nats_N.mean(dtype=np.float64))
    assert alone.network is None


@pytest.mark.parametrize("context", ["carried", "fresh"])
@pytest.mark.parametrize("lanes", [1, 3])
def test_distributions_at_places_are_those_that_score_them(context: str, lanes: int) -> None:
    text_N = np.random.default_rng(4).integers(5, size=700)
    starts, seen = np.array([0, 90, 91, 400]), parse_context(context)
    network = MarkovNetwork.random(5)
    mixed = mixture_of(network, NGramModel.learn(text_N, 5, order=3))
    places_N = np.arange(700) % 7 == 0
    asked = (text_N, starts, seen)
    _, nats_N = part_losses(mixed, in_context(*asked, lanes=lanes), seen, elements=700)
    place_P, log_prob_PV = distributions_at(mixed, in_context(*asked, lanes=lanes), seen, places_N)
    np.testing.assert_array_equal(place_P, np.flatnonzero(places_N))
    np.testing.assert_allclose(np.exp(log_prob_PV, dtype=np.float64).sum(axis=1), 1, atol=1e-6)
    found_P = log_prob_PV[np.arange(len(place_P)), text_N[place_P]]
    np.testing.assert_allclose(found_P, -nats_N[place_P], atol=1e-5)

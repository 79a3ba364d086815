"""The share of an n-gram model: the minimum of the loss, and what it is not worth."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
from rhapsode.config import parse_context
from rhapsode.counts.ngram import NGramModel
from rhapsode.data import Document, write_store
from rhapsode.evaluation import (
    LEAST_GAIN,
    Protocol,
    best_share,
    evaluate_store,
    in_context,
    mixture_nats,
    part_losses,
)
from tests.generation.markov import Markov

PROVE = settings(derandomize=True, deadline=None, max_examples=80)
SOME = st.integers(0, 12_000).map(lambda number: number / 1000)
NATS = st.lists(st.tuples(SOME, SOME), min_size=1, max_size=50)


def loss(network_N: np.ndarray, ngram_N: np.ndarray, share: float) -> float:
    mixed_N = (1 - share) * np.exp(-network_N) + share * np.exp(-ngram_N)
    return float(-np.log(mixed_N).mean())


@PROVE
@given(nats=NATS)
@example(nats=[(3.0, 0.5)] * 3)
@example(nats=[(0.5, 3.0)] * 3)
@example(nats=[(1.0, 4.0), (4.0, 1.0)])
@example(nats=[(1.0, 1.0)])
@example(nats=[(1.0, 1.0 - 0.9 * LEAST_GAIN)])
@example(nats=[(1.0, 1.0 - 1.1 * LEAST_GAIN)])
def test_the_share_is_that_of_the_least_loss(nats: list[tuple[float, float]]) -> None:
    network_N, ngram_N = np.array(nats, dtype=np.float64).T
    grid = np.linspace(0, 1, 1001)[1:-1]
    losses = [loss(network_N, ngram_N, share) for share in grid]
    alone = loss(network_N, ngram_N, 0.0)
    share = best_share(network_N, ngram_N)
    assert 0 <= share <= 1
    if share:
        assert loss(network_N, ngram_N, share) <= min(losses) + 1e-4
        assert alone - loss(network_N, ngram_N, share) >= LEAST_GAIN - 1e-6
    else:
        assert alone - min(losses) < LEAST_GAIN + 1e-4


def test_what_is_not_scored_does_not_count_and_nothing_has_no_share() -> None:
    network_N, ngram_N = np.array([1.0, np.nan, 4.0]), np.array([4.0, np.nan, 1.0])
    assert best_share(network_N, ngram_N) == 0.5
    assert best_share(network_N[1:2], ngram_N[1:2]) == 0.0
    assert best_share(np.zeros(0), np.zeros(0)) == 0.0


def test_nats_that_float_cannot_hold_as_probabilities_have_a_share() -> None:
    assert best_share(np.array([900.0, 1.0]), np.array([1.0, 900.0])) == 0.5
    assert best_share(np.array([5e4, 5e4]), np.array([4e4, 3e4])) == 1.0


class MarkovNetwork(Markov):
    """A predictor computed by hand in the place of a network."""

    window = 0


def test_one_pass_gives_the_figures_of_the_mixture_and_of_the_network(tmp_path: Path) -> None:
    letters = "".join(np.random.default_rng(3).choice(list("abcd"), 400))

    def encode(text: str) -> np.ndarray:
        return np.array([ord(letter) - ord("a") + 1 for letter in text], dtype=np.uint8)

    store = write_store(
        tmp_path / "s", [Document(letters, "a")], encode, vocab_size=5, unknown_id=1
    )
    network = MarkovNetwork.random(5)
    ngram = NGramModel.learn(np.asarray(store.elements_N), 5, order=3)
    mixed = MixedPredictor(network, ngram, 0.3)  # type: ignore[arg-type]
    context, counts_V = parse_context("carried"), np.ones(5, dtype=np.int64)
    protocol = Protocol("all", "nothing", "", "none", "its own")
    alone, network_N = evaluate_store(network, store, counts_V, protocol, context)
    figures, nats_N = evaluate_store(mixed, store, counts_V, protocol, context, ngram=ngram)
    batches = in_context(store.elements_N, store.starts, context, lanes=1)
    parts = part_losses(mixed, batches, context, elements=len(store))
    np.testing.assert_allclose(parts[0], network_N, atol=1e-6)
    np.testing.assert_allclose(parts[1], -ngram.log_prob(store.elements_N), atol=1e-5)
    np.testing.assert_allclose(mixture_nats(*parts, 0.3), nats_N, atol=1e-6)
    told = figures.to_mapping()
    assert told["ngram_share"] == 0.3
    for name in ("loss", "perplexity", "bits_per_byte", "bits_per_character"):
        assert told["network"][name] == pytest.approx(alone.to_mapping()[name], rel=1e-6)
    assert figures.loss == pytest.approx(nats_N.mean(dtype=np.float64))
    assert (alone.ngram_share, alone.network) == (0.0, None)

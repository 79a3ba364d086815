"""The predictor that counts: the contract, and that it tells what its model does."""

import subprocess
import sys

import numpy as np
import pytest

from rhapsode.bundle import Predictor
from rhapsode.bundle.ngram_predictor import NGramPredictor
from rhapsode.counts.ngram import NGramModel, Smoothing
from rhapsode.data import Batch
from tests.contracts.predictor_contract import PredictorContract, batch_of

VOCABULARY = 6
# Uneven, so that what comes next depends on what was read; the last element is never seen.
TEXT = np.random.default_rng(0).integers(5, size=400) ** 2 % 5


def model(smoothing: Smoothing = "kneser_ney") -> NGramModel:
    return NGramModel.learn(TEXT, VOCABULARY, order=4, smoothing=smoothing)


class TestKneserNeyPredictor(PredictorContract):
    def make(self) -> Predictor:
        return NGramPredictor(model())


class TestAbsolutePredictor(PredictorContract):
    def make(self) -> Predictor:
        return NGramPredictor(model("absolute").view(3, "absolute"))


class TestUnigramPredictor(PredictorContract):
    def make(self) -> Predictor:
        return NGramPredictor(model().view(1, "absolute"))

    @pytest.mark.skip("a unigram has no memory")
    def test_the_distribution_depends_on_what_was_read(self) -> None: ...


def test_it_scores_a_text_as_its_model_does() -> None:
    counted = model()
    wanted_N = counted.log_prob(TEXT)
    predictor = NGramPredictor(counted)
    scores_BT, _ = predictor.score(batch_of(TEXT[None]))
    np.testing.assert_allclose(scores_BT[0], wanted_N[1:], rtol=0, atol=1e-6)
    assert predictor.vocab_size == VOCABULARY


def test_targets_of_weight_zero_are_read_over() -> None:
    predictor = NGramPredictor(model())
    ids_BT = np.array([[1, 2, 3, 4, 0, 1], [3, 3, 2, 0, 0, 5]])
    weights_BT = np.array([[0, 1, 1, 0.5, 0], [1, 0, 0, 1, 1]], dtype=np.float32)
    whole = batch_of(ids_BT)
    wanted_BT, wanted = predictor.score(whole)
    found_BT, found = predictor.score(Batch(whole.inputs, whole.targets, weights_BT))
    assert np.array_equal(found_BT, np.where(weights_BT > 0, wanted_BT, 0))
    assert np.array_equal(found.node_B, wanted.node_B)


def test_nothing_to_read_is_refused() -> None:
    predictor = NGramPredictor(model())
    with pytest.raises(ValueError, match="at least one element"):
        predictor.advance(np.zeros((1, 0), dtype=np.int64), predictor.start(1))


def test_it_needs_no_torch() -> None:
    code = "import sys, rhapsode.bundle.ngram_predictor as p; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)

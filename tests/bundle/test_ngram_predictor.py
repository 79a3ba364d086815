"""The predictor that counts: the contract, and that it tells what its model does."""

import subprocess
import sys

import numpy as np
import pytest

from rhapsode.bundle import Predictor
from rhapsode.bundle.combined.mixed_predictor import NGramPredictor
from rhapsode.counts.ngram import NGramModel, Smoothing
from rhapsode.data import Batch
from tests.contracts.predictor_contract import PredictorContract, batch_of

VOCABULARY = 6
# Uneven, so that what comes next depends on what was read; the last element is never seen.
TEXT = np.random.default_rng(0).integers(5, size=400) ** 2 % 5


def model(smoothing: Smoothing = "kneser_ney") -> NGramModel:
    return NGramModel.learn(TEXT, VOCABULARY, order=4, smoothing=smoothing)


class TestKneserNeyPredictor(PredictorContract):
    spreads = False

    def make(self) -> Predictor:
        return NGramPredictor(model())


class TestAbsolutePredictor(PredictorContract):
    spreads = False

    def make(self) -> Predictor:
        return NGramPredictor(model("absolute").view(3, "absolute"))


class TestUnigramPredictor(PredictorContract):
    spreads = False

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


def test_what_is_examined_is_what_is_scored() -> None:
    predictor = NGramPredictor(model())
    ids_BT = TEXT[:36].reshape(3, 12)
    reset_BT = np.random.default_rng(1).random((3, 11)) < 0.3
    batch = batch_of(ids_BT, reset_BT)
    _, before = predictor.advance(ids_BT[:, 3:7], predictor.start(3))
    scores_BT, wanted = predictor.score(batch, before)
    examined, state = predictor.examine(batch, before)
    np.testing.assert_allclose(examined.log_prob_BT, scores_BT, rtol=0, atol=1e-6)
    assert np.array_equal(state.node_B, wanted.node_B)
    assert examined.top_BT.dtype == np.int64
    state = before
    for t in range(11):
        state = type(state)(np.where(reset_BT[:, t], 0, state.node_B).astype(np.int32))
        following, state = predictor.advance(ids_BT[:, t : t + 1], state)
        logits_BV = following.logits_BV
        assert np.array_equal(examined.top_BT[:, t], logits_BV.argmax(1))
        np.testing.assert_allclose(examined.top_log_prob_BT[:, t], logits_BV.max(1), atol=1e-6)
        entropy_B = -(np.exp(logits_BV) * logits_BV).sum(1)
        np.testing.assert_allclose(examined.entropy_BT[:, t], entropy_B, atol=1e-5)


def test_nothing_to_read_is_refused() -> None:
    predictor = NGramPredictor(model())
    with pytest.raises(ValueError, match="at least one element"):
        predictor.advance(np.zeros((1, 0), dtype=np.int64), predictor.start(1))


def test_it_needs_no_torch() -> None:
    code = "import sys, rhapsode.bundle.combined.mixed_predictor as p; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)

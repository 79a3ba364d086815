"""The mixture of a network with an n-gram model: the contract, and that its probabilities are what they are said to be."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rhapsode.bundle import LogitsDistribution, Predictor, log_softmax
from rhapsode.bundle.combined.mixed_predictor import MixedPredictor, mixed_log_probs
from rhapsode.bundle.torch_predictor import torch_predictor
from rhapsode.config import parse_context
from rhapsode.counts.ngram import NGramModel
from rhapsode.data import Batch
from tests.contracts.predictor_contract import ROWS, TIME, PredictorContract, batch_of
from tests.engine.compiled_models import FAMILIES, VOCABULARY, network_config, network_of

# Uneven, so that what comes next depends on what was read; the last element is never seen.
TEXT = np.random.default_rng(0).integers(VOCABULARY - 1, size=900) ** 2 % (VOCABULARY - 1)


def counted(*, order: int = 4, opening: int | None = None) -> NGramModel:
    starts = None if opening is None else np.arange(0, 900, 45)
    return NGramModel.learn(TEXT, VOCABULARY, order=order, opening=opening, starts=starts)


def mixed(family: str, share: float = 0.4, **asked: Any) -> MixedPredictor:
    context = parse_context(FAMILIES[family][2])
    network = network_of(network_config(family), sharper=2)
    return MixedPredictor(
        torch_predictor(network, VOCABULARY, context),
        counted(opening=0 if context.kind == "fresh" else None, **asked),
        share,
    )


class MixedContract(PredictorContract):
    """The contract on passages of what was counted, whose every state matters."""

    def elements(
        self, predictor: Predictor, time: int = TIME, rows: int = ROWS, seed: int = 0
    ) -> NDArray[np.int64]:
        begins_B = np.random.default_rng(seed).integers(len(TEXT), size=rows)
        return TEXT[(begins_B[:, None] + np.arange(time)) % len(TEXT)]


class TestCarried(MixedContract):
    def make(self) -> Predictor:
        return mixed("transformer")


class TestFresh(MixedContract):
    def make(self) -> Predictor:
        return mixed("lstm of two layers")


class WindowContract(MixedContract):
    """The contract, and what holds of a model that reads every batch from nothing."""

    window = 5

    def test_every_batch_is_scored_and_examined_from_nothing(self) -> None:
        predictor = self.make()
        assert isinstance(predictor, MixedPredictor)
        size = predictor.network.window
        assert size == self.window
        ids_BT = self.elements(predictor, size + 1)
        wanted_BTV, _ = self.one_by_one(predictor, ids_BT[:, :-1], predictor.start(3))
        _, before = predictor.advance(self.elements(predictor, 4, seed=1), predictor.start(3))
        for state in (None, before):
            scores_BT, behind = predictor.score(batch_of(ids_BT), state)
            self.assert_close(scores_BT, self.at_targets(wanted_BTV, ids_BT[:, 1:]))
            examined, also = predictor.examine(batch_of(ids_BT), state)
            self.assert_close(examined.log_prob_BT, scores_BT)
            self.assert_close(examined.top_log_prob_BT, wanted_BTV.max(axis=-1))
            assert behind is None
            assert also is None


class TestWindow(WindowContract):
    def make(self) -> Predictor:
        return mixed("lstm in a window")


def brute(predictor: MixedPredictor, ids: list[int]) -> NDArray[np.float64]:
    """The mixture behind some elements, from what network and counts say of them alone."""
    read_1T = np.array([ids])
    following, _ = predictor.network.advance(read_1T, predictor.network.start(1))
    model = predictor.ngram
    text = [*ids, 0]
    given_V = np.empty(VOCABULARY)
    skipped = 1 if model.trie.opening is not None else 0
    for element in range(VOCABULARY):
        text[-1] = element
        given_V[element] = np.exp(model.log_prob(np.array(text[skipped:]))[-1])
    share = predictor.share
    wanted_V: NDArray[np.float64] = (1 - share) * np.exp(
        log_softmax(following.logits_BV)[0]
    ) + share * given_V
    return wanted_V


@pytest.mark.parametrize("family", ["gru", "lstm of two layers", "lstm in a window"])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_probabilities_are_those_of_both_in_their_shares(family: str, share: float) -> None:
    predictor = mixed(family, share)
    state = predictor.start(1)
    # Generation reads end-of-sequence first: an n-gram model with an opening knows it as that.
    ids = [0, *TEXT[40:52].tolist(), 11, 3]
    for read in range(1, len(ids) + 1):
        told, state = predictor.advance(np.array([ids[read - 1 : read]]), state)
        found_V = np.exp(told.logits_BV[0].astype(np.float64))
        np.testing.assert_allclose(found_V, brute(predictor, ids[:read]), rtol=2e-5)
        assert found_V.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("share", [1e-3, 0.5, 0.999, 1.0])
def test_nothing_is_impossible_whatever_the_network_is_sure_of(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = mixed("lstm", share)
    sure_BV = np.full((1, VOCABULARY), -1e4, dtype=np.float32)
    sure_BV[0, 5] = 1e4

    def sure(
        ids_BT: NDArray[np.int64], state: Any, known_BUX: None = None, *, features: bool = False
    ) -> tuple[LogitsDistribution, Any]:
        return LogitsDistribution(sure_BV, ids_BT[..., None] if features else None), state

    monkeypatch.setattr(predictor.network, "advance", sure)
    told, state = predictor.advance(np.array([[3]]), predictor.start(1))
    assert told.features_BTH is None
    told_BV = told.logits_BV
    assert np.isfinite(told_BV).all()
    given_V = predictor.ngram.distribution(state.parts[1])[0] * share
    given_V[5] += 1 - share
    np.testing.assert_allclose(np.exp(told_BV[0], dtype=np.float64), given_V, rtol=1e-5)
    also, _ = predictor.advance(np.array([[3]]), predictor.start(1), features=True)
    assert also.features_BTH is not None
    assert also.features_BTH.tolist() == [[[3]]]
    assert np.array_equal(also.logits_BV, told_BV)


def test_logarithms_far_apart_mix_exactly() -> None:
    found = mixed_log_probs(np.array([-1e4, -0.1, -800.0]), np.array([-0.1, -1e4, -801.0]), 0.25)
    wanted = [np.log(0.25) - 0.1, np.log(0.75) - 0.1, -800 + np.log(0.75 + 0.25 * np.exp(-1))]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert mixed_log_probs(np.array([-2.0]), np.array([-3.0]), 0.0)[0] == -2.0
    assert mixed_log_probs(np.array([-2.0]), np.array([-3.0]), 1.0)[0] == -3.0


def test_targets_of_weight_zero_are_read_over_and_get_0() -> None:
    predictor = mixed("gru")
    whole = batch_of(TEXT[:40].reshape(2, 20))
    weights_BT = (np.arange(38).reshape(2, 19) % 3 > 0).astype(np.float32)
    some = Batch(whole.inputs, whole.targets, weights_BT)
    wanted_BT, _ = predictor.score(whole)
    found_BT, _ = predictor.score(some)
    np.testing.assert_allclose(found_BT, np.where(weights_BT > 0, wanted_BT, 0), atol=1e-6)
    (network_BT, ngram_BT), _ = predictor.score_parts(whole)
    np.testing.assert_allclose(mixed_log_probs(network_BT, ngram_BT, 0.4), wanted_BT, atol=1e-6)
    assert np.array_equal(network_BT, predictor.network.score(whole)[0])


def test_what_is_examined_is_what_is_scored_where_rows_start_afresh() -> None:
    check_what_is_examined(mixed("gru"))


def check_what_is_examined(predictor: MixedPredictor) -> None:
    """Behind some elements, rows starting afresh here and there, `examine` tells what `score` does."""
    ids_BT = TEXT[:60].reshape(3, 20)
    batch = batch_of(ids_BT, np.random.default_rng(1).random((3, 19)) < 0.3)
    _, before = predictor.advance(ids_BT[:, 3:7], predictor.start(3))
    scores_BT, wanted = predictor.score(batch, before)
    examined, found = predictor.examine(batch, before)
    np.testing.assert_allclose(examined.log_prob_BT, scores_BT, atol=1e-5)
    assert wanted is not None
    assert found is not None
    assert np.array_equal(found.parts[1].node_B, wanted.parts[1].node_B)


def test_the_n_gram_model_looks_no_further_back_than_the_window() -> None:
    predictor = mixed("lstm in a window", order=6)
    assert predictor.network.window == 5
    assert predictor.ngram.order == 6
    config = network_config("lstm")
    network = torch_predictor(network_of(config), VOCABULARY, parse_context("window:2"))
    short = MixedPredictor(network, counted(order=6), 0.5)
    assert short.ngram.order == 3
    ids_BT = TEXT[:24].reshape(2, 12)
    behind, _ = short.advance(ids_BT, short.start(2))
    alone, _ = short.advance(ids_BT[:, -2:], short.start(2))
    np.testing.assert_allclose(behind.logits_BV, alone.logits_BV, atol=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    network = mixed("lstm").network
    with pytest.raises(ValueError, match="elements, the n-gram model"):
        MixedPredictor(network, NGramModel.learn(TEXT % 3, 3, order=2), 0.5)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="weight"):
            MixedPredictor(network, counted(), share)


def test_a_fingerprint_tells_counts_order_and_smoothing() -> None:
    one = counted()
    assert one.fingerprint == counted().fingerprint
    others = [
        counted(order=3),
        counted(opening=0),
        one.view(3, "kneser_ney"),
        one.view(4, "absolute"),
        NGramModel.learn(TEXT[:-1], VOCABULARY, order=4),
        NGramModel.learn(TEXT[::-1].copy(), VOCABULARY, order=4),
    ]
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 7


def test_it_loads_no_torch() -> None:
    code = "import sys, rhapsode.bundle.combined.mixed_predictor; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

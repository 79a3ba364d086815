"""The mixture of a network with counts: the contract, and that its probabilities are what they are said to be."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rhapsode.bundle import LogitsDistribution, Predictor, log_softmax
from rhapsode.bundle.combined.mixed_predictor import MixedPredictor, remembers
from rhapsode.bundle.torch_predictor import torch_predictor
from rhapsode.config import parse_context
from rhapsode.counts.mixing.expert_weights import fixed_weights
from rhapsode.counts.mixing.experts import Experts
from rhapsode.counts.mixing.word_contexts import WordContexts
from rhapsode.counts.ngram import NGramModel
from rhapsode.data import Batch
from tests.contracts.predictor_contract import ROWS, TIME, PredictorContract, batch_of
from tests.engine.compiled_models import FAMILIES, VOCABULARY, network_config, network_of

# Uneven, so that what comes next depends on what was read; the last element is never seen.
TEXT = np.random.default_rng(0).integers(VOCABULARY - 1, size=900) ** 2 % (VOCABULARY - 1)


# Some elements are letters of words, and others end a word.
LETTERS = np.arange(VOCABULARY) * (np.arange(VOCABULARY) % 3 > 0)


def counted(*, order: int = 4, opening: int | None = None, words: bool = True) -> NGramModel:
    starts = None if opening is None else np.arange(0, 900, 45)
    found = NGramModel.learn(TEXT, VOCABULARY, order=order, opening=opening, starts=starts)
    if not words:
        return found
    contexts = WordContexts.learn(TEXT, LETTERS, starts=starts)
    return NGramModel(found.trie, found.order, found.smoothing, contexts)


def mixture_of(
    network: Predictor, ngram: NGramModel, share: float | None = None, *, adapt: bool = False
) -> MixedPredictor:
    """A mixture with a weight of its own for every kind of context, or with one for all counts."""
    remember = remembers(ngram, network.window) or adapt
    experts = Experts(ngram, window=network.window, remember=remember, keep=adapt)
    weight_F = np.random.default_rng(7).uniform(0.2, 0.8, size=experts.size)
    if share is not None:
        weight_F = fixed_weights(experts, share)
    return MixedPredictor(network, ngram, weight_F.tolist(), adapt=adapt)


def mixed(family: str, share: float | None = None, **asked: Any) -> MixedPredictor:
    context = parse_context(FAMILIES[family][2])
    network = network_of(network_config(family), sharper=2)
    return mixture_of(
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


def brute(predictor: MixedPredictor, ids: list[int], share: float) -> NDArray[np.float64]:
    """Log-probabilities of the geometric mixture, from what network and counts say alone."""
    read_1T = np.array([ids])
    following, _ = predictor.network.advance(read_1T, predictor.network.start(1))
    model = predictor.ngram
    text = [*ids, 0]
    given_V = np.empty(VOCABULARY)
    skipped = 1 if model.trie.opening is not None else 0
    for element in range(VOCABULARY):
        text[-1] = element
        given_V[element] = model.log_prob(np.array(text[skipped:]))[-1]
    return geometric(following.logits_BV[0], given_V, share)


def geometric(
    logits_V: NDArray[Any], given_V: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    z_V = (1 - share) * logits_V.astype(np.float64) + share * given_V
    wanted_V: NDArray[np.float64] = z_V - np.logaddexp.reduce(z_V)
    return wanted_V


@pytest.mark.parametrize("family", ["gru", "lstm of two layers", "lstm in a window"])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_one_share_weighs_the_logarithms_of_both(family: str, share: float) -> None:
    predictor = mixed(family, share)
    state = predictor.start(1)
    # Generation reads end-of-sequence first: an n-gram model with an opening knows it as that.
    ids = [0, *TEXT[40:52].tolist(), 11, 3]
    for read in range(1, len(ids) + 1):
        told, state = predictor.advance(np.array([ids[read - 1 : read]]), state)
        found_V = told.logits_BV[0].astype(np.float64)
        np.testing.assert_allclose(found_V, brute(predictor, ids[:read], share), atol=1e-4)
        assert np.exp(found_V).sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("family", ["gru", "lstm of two layers", "lstm in a window"])
def test_the_counts_read_what_the_network_reads(family: str) -> None:
    predictor = mixed(family)
    ids_BT = np.concatenate((np.zeros((3, 1), dtype=np.int64), TEXT[:36].reshape(3, 12)), axis=1)
    network, state = predictor.network.start(3), predictor.start(3)
    counted = predictor.experts.start(3)
    for t in range(13):
        following, network = predictor.network.advance(ids_BT[:, t : t + 1], network)
        logits_B1V = following.logits_BV[:, None]
        wanted_B1V, counted = predictor.experts.mix(ids_BT[:, t : t + 1], counted, logits_B1V)
        told, state = predictor.advance(ids_BT[:, t : t + 1], state)
        np.testing.assert_allclose(told.logits_BV, wanted_B1V[:, 0], atol=1e-6)
    alone = log_softmax(following.logits_BV)
    assert abs(told.logits_BV - alone).max() > 0.1


@pytest.mark.parametrize("share", [1e-3, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("others", [-1e4, -800.0, -1.0])
def test_nothing_is_impossible_whatever_the_network_is_sure_of(
    share: float, others: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = mixed("lstm", share)
    sure_BV = np.full((1, VOCABULARY), others, dtype=np.float32)
    sure_BV[0, 5] = -others

    def sure(
        ids_BT: NDArray[np.int64], state: Any, known_BUX: None = None, *, features: bool = False
    ) -> tuple[LogitsDistribution, Any]:
        return LogitsDistribution(sure_BV, ids_BT[..., None] if features else None), state

    monkeypatch.setattr(predictor.network, "advance", sure)
    told, _ = predictor.advance(np.array([[3]]), predictor.start(1))
    assert told.features_BTH is None
    told_BV = told.logits_BV
    assert np.isfinite(told_BV).all()
    model = predictor.ngram
    after = model.advance(np.array([[3]]), model.start(1))
    wanted_V = geometric(sure_BV[0], np.log(model.distribution(after)[0]), share)
    np.testing.assert_allclose(told_BV[0], wanted_V, rtol=1e-5, atol=1e-3 * abs(others) / 1e3)
    also, _ = predictor.advance(np.array([[3]]), predictor.start(1), features=True)
    assert also.features_BTH is not None
    assert also.features_BTH.tolist() == [[[3]]]
    assert np.array_equal(also.logits_BV, told_BV)


def test_targets_of_weight_zero_are_read_over_and_get_0() -> None:
    predictor = mixed("gru")
    whole = batch_of(TEXT[:40].reshape(2, 20))
    weights_BT = (np.arange(38).reshape(2, 19) % 3 > 0).astype(np.float32)
    some = Batch(whole.inputs, whole.targets, weights_BT)
    wanted_BT, _ = predictor.score(whole)
    found_BT, _ = predictor.score(some)
    np.testing.assert_allclose(found_BT, np.where(weights_BT > 0, wanted_BT, 0), atol=1e-6)
    (network_BT, mixed_BT), _ = predictor.score_parts(whole)
    assert np.array_equal(mixed_BT, wanted_BT)
    assert not np.allclose(network_BT, wanted_BT, atol=0.1)
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
    for one, other in zip(found.parts[1].arrays(), wanted.parts[1].arrays(), strict=True):
        assert np.array_equal(one, other)


def test_counts_look_no_further_back_than_the_window() -> None:
    config = network_config("lstm")
    network = torch_predictor(network_of(config), VOCABULARY, parse_context("window:2"))
    short = mixture_of(network, counted(order=6))
    ids_BT = TEXT[:24].reshape(2, 12)
    behind, _ = short.advance(ids_BT, short.start(2))
    alone, _ = short.advance(ids_BT[:, -2:], short.start(2))
    np.testing.assert_allclose(behind.logits_BV, alone.logits_BV, atol=1e-6)
    further = mixture_of(mixed("gru").network, counted(order=6))
    behind, _ = further.advance(ids_BT, further.start(2))
    alone, _ = further.advance(ids_BT[:, -2:], further.start(2))
    assert abs(behind.logits_BV - alone.logits_BV).max() > 0.01


def test_counts_that_adapt_gain_from_what_was_scored_and_others_do_not() -> None:
    network = mixed("lstm of two layers").network
    ids_BT = np.concatenate((np.zeros((1, 1), dtype=np.int64), TEXT[None, 300:330]), axis=1)
    reset_BT = np.arange(30)[None] == 0
    batch = batch_of(ids_BT, reset_BT)
    for adapt in (False, True):
        predictor = mixture_of(network, counted(opening=0), adapt=adapt)
        first_BT, state = predictor.score(batch)
        again_BT, _ = predictor.score(batch, state)
        also_BT, _ = predictor.score(batch, state)
        np.testing.assert_array_equal(again_BT, also_BT)  # a state that is kept is as it was
        if adapt:
            assert again_BT.sum() > first_BT.sum() + 1
        else:
            np.testing.assert_allclose(again_BT, first_BT, atol=1e-5)


def test_counts_that_adapt_are_scored_alike_in_pieces() -> None:
    predictor = mixture_of(mixed("gru").network, counted(), adapt=True)
    ids_BT = TEXT[:120].reshape(3, 40)
    whole_BT, after = predictor.score(batch_of(ids_BT))
    pieces, state = [], None
    for start, end in ((0, 1), (1, 8), (8, 20), (20, 39)):
        scores_BT, state = predictor.score(batch_of(ids_BT[:, start : end + 1]), state)
        pieces.append(scores_BT)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole_BT, atol=1e-5)
    assert after is not None
    assert state is not None
    weights = [each.parts[1].weight_BF for each in (after, state)]
    np.testing.assert_allclose(weights[1], weights[0], atol=1e-6)
    assert abs(weights[0] - predictor.experts.weight_F).max() > 1e-4
    alone_BT, _ = predictor.score(batch_of(ids_BT[1:2]))
    np.testing.assert_allclose(alone_BT[0], whole_BT[1], atol=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    network = mixed("lstm").network
    weights = mixed("lstm").weights
    with pytest.raises(ValueError, match="elements, the n-gram model"):
        MixedPredictor(network, NGramModel.learn(TEXT % 3, 3, order=2), weights)
    for wrong in ((), weights[:1], weights[:50], (*weights, 0.5)):
        with pytest.raises(ValueError, match="weights are needed"):
            _ = MixedPredictor(network, counted(), wrong).experts


def test_a_fingerprint_tells_counts_order_and_smoothing() -> None:
    one = counted()
    assert one.fingerprint == counted().fingerprint
    others = [
        counted(order=3),
        counted(opening=0),
        counted(words=False),
        one.view(3, "kneser_ney"),
        one.view(4, "absolute"),
        NGramModel.learn(TEXT[:-1], VOCABULARY, order=4),
        NGramModel.learn(TEXT[::-1].copy(), VOCABULARY, order=4),
    ]
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 8


def test_it_loads_no_torch() -> None:
    code = "import sys, rhapsode.bundle.combined.mixed_predictor; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

"""Weights of counts: chosen on the validation slice where they gain enough, and left out where they do not."""

from typing import Any

import numpy as np
import pytest

from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
from rhapsode.config import parse_context
from rhapsode.counts.mixing.experts import Experts
from rhapsode.counts.ngram import NGramModel
from rhapsode.evaluation import LEAST_GAIN, in_context, part_losses
from rhapsode.modalities.ids.counting import validation
from rhapsode.modalities.ids.counting.validation import ValidationPart, choose_mixture
from tests.evaluation.test_mixture import MarkovNetwork

VOCABULARY = 5
STARTS = np.array([0, 300, 301, 900])
SOURCE = MarkovNetwork.random(VOCABULARY, seed=1)
OTHER = MarkovNetwork.random(VOCABULARY, seed=2)


def drawn(size: int, seed: int) -> np.ndarray:
    """A text of the source."""
    random, read = np.random.default_rng(seed), [0, 0]
    for _ in range(size):
        read.append(int(random.choice(VOCABULARY, p=SOURCE.share_VVV[read[-2], read[-1]])))
    return np.array(read[2:], dtype=np.uint8)


TRAIN, VALIDATION = drawn(6000, 3), drawn(1500, 4)


def counted(context: str, text_N: np.ndarray = TRAIN, order: int = 3) -> NGramModel:
    if context != "fresh":
        return NGramModel.learn(text_N, VOCABULARY, order=order)
    starts = np.arange(0, len(text_N), 400)
    return NGramModel.learn(text_N, VOCABULARY, order=order, starts=starts, opening=0)


def part(context: str, text_N: np.ndarray = VALIDATION) -> ValidationPart:
    starts = STARTS[: np.searchsorted(STARTS, len(text_N))]
    return ValidationPart(text_N, starts, None, parse_context(context))


def losses(mixed: MixedPredictor, context: str) -> Any:
    seen = parse_context(context)
    batches = in_context(VALIDATION, STARTS, seen, lanes=1)
    return part_losses(mixed, batches, seen, elements=len(VALIDATION))


@pytest.mark.parametrize("context", ["carried", "fresh"])
def test_counts_that_know_more_get_weights_and_their_gain_is_real(context: str) -> None:
    ngram = counted(context)
    mixture = choose_mixture(OTHER, ngram, part(context))
    assert mixture.reason is None
    assert mixture.ngram == ngram.fingerprint
    remember = context == "fresh"
    experts = Experts(ngram, np.array(mixture.weights), remember=remember)
    assert len(mixture.weights) == (experts.size if remember else experts.lead)
    assert len(mixture.adapting) == experts.size
    assert len({*mixture.adapting[experts.lead :]}) > 5  # fitted on what was read
    network_N, mixed_N = losses(MixedPredictor(OTHER, ngram, mixture.weights), context)
    first = 0 if remember else 1  # which nothing precedes
    alone, together = float(network_N[first:].mean()), float(mixed_N[first:].mean())
    assert mixture.network_validation_loss == pytest.approx(alone, abs=1e-4)
    assert mixture.validation_loss is not None
    # On halves that did not fit the weights it is a little more.
    assert together - 1e-4 < mixture.validation_loss < together + 0.1
    assert mixture.validation_loss < alone - 0.3
    true, _ = losses(MixedPredictor(SOURCE, ngram, mixture.weights), context)
    assert true[first:].mean() - 0.02 < together < true[first:].mean() + 0.06
    again = choose_mixture(OTHER, ngram, part(context))
    assert again == mixture
    adapting_N = losses(MixedPredictor(OTHER, ngram, mixture.adapting, adapt=True), context)[1]
    assert adapting_N[first:].mean() < alone - 0.3


@pytest.mark.parametrize("context", ["carried", "fresh", "window:4"])
def test_counts_of_noise_get_no_weights(context: str) -> None:
    noise_N = np.random.default_rng(0).integers(VOCABULARY, size=3000)
    network = MarkovNetwork(SOURCE.share_VVV)
    network.window = 4 if context.startswith("window") else 0
    mixture = choose_mixture(network, counted(context, noise_N, order=2), part(context))
    assert mixture.weights == mixture.adapting == ()
    assert mixture.ngram is None
    assert mixture.reason is not None
    assert f"{LEAST_GAIN:g}" in mixture.reason


def test_counts_in_a_window_do_not_adapt() -> None:
    network = MarkovNetwork(OTHER.share_VVV)
    network.window = 4
    asked = choose_mixture(network, counted("window:4"), part("window:4"), 0.3)
    assert asked.weights
    assert asked.adapting == ()
    mixture = choose_mixture(network, counted("window:4"), part("window:4"))
    assert len(mixture.weights) == Experts(counted("window:4"), window=4).lead
    assert mixture.adapting == ()
    assert mixture.reason is None


@pytest.mark.parametrize("context", ["carried", "fresh"])
@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_share_that_is_asked_for_is_taken_and_scored(context: str, share: float) -> None:
    ngram = counted(context)
    mixture = choose_mixture(OTHER, ngram, part(context), share)
    assert mixture.weights[:3] == (1 - share, share, share)
    network_N, mixed_N = losses(MixedPredictor(OTHER, ngram, mixture.weights), context)
    first = 0 if context == "fresh" else 1
    # The batches begin with an end-of-sequence, which counts of one text do not begin with.
    exact = 1e-4 if context == "fresh" else 1.5e-3
    assert mixture.validation_loss == pytest.approx(float(mixed_N[first:].mean()), abs=exact)
    assert mixture.network_validation_loss == pytest.approx(
        float(network_N[first:].mean()), abs=1e-4
    )
    assert mixture.ngram == ngram.fingerprint


@pytest.mark.parametrize("size", [1, 2])
def test_a_slice_that_is_too_short_gives_a_reason(size: int) -> None:
    mixture = choose_mixture(OTHER, counted("carried"), part("carried", VALIDATION[:size]))
    assert mixture.weights == ()
    assert mixture.reason == "the validation slice is too short for weights of counts"


def test_the_least_gain_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    ngram = counted("carried")
    mixture = choose_mixture(OTHER, ngram, part("carried"))
    assert mixture.network_validation_loss is not None
    assert mixture.validation_loss is not None
    gain = mixture.network_validation_loss - mixture.validation_loss
    for least, wanted in ((gain - 1e-3, True), (gain + 1e-3, False)):
        monkeypatch.setattr(validation, "LEAST_GAIN", least)
        assert bool(choose_mixture(OTHER, ngram, part("carried")).weights) is wanted

"""Predictors over n-gram counts, alone or mixed with networks. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.distribution import Elements, LogitsDistribution, Singles, log_softmax
from rhapsode.bundle.predictor import (
    Counting,
    Examined,
    Predictor,
    States,
    Stretch,
    StretchRequest,
    refuse_condition,
)

if TYPE_CHECKING:  # counting loads a compiler, which scoring may not need
    from rhapsode.counts.ngram import NGramModel, NGramState
    from rhapsode.data import Batch
    from rhapsode.encoding.state_machine import Grammar


class NGramPredictor(Predictor):
    """A predictor over an n-gram model.

    Arguments:
        model: the model.
    """

    def __init__(self, model: NGramModel) -> None:
        self._model = model
        self.vocab_size = model.vocab_size

    def start(self, rows: int, condition: Any = None) -> NGramState:
        refuse_condition(condition)
        return self._model.start(rows)

    def advance(
        self,
        elements: Elements,
        state: NGramState,
        known_BUX: Singles | None = None,
        *,
        features: bool = False,
    ) -> tuple[LogitsDistribution, NGramState]:
        if elements.shape[1] == 0:
            raise ValueError("advance needs at least one element")
        state = self._model.advance(np.asarray(elements, dtype=np.int64), state)
        log_prob_BV = np.log(self._model.distribution(state)).astype(np.float32)
        return LogitsDistribution(log_prob_BV), state

    def score(self, batch: Batch, state: NGramState | None = None) -> tuple[Singles, NGramState]:
        refuse_condition(batch.condition)
        return _scores(self._model, batch, self.start(batch.rows) if state is None else state)

    def examine(self, batch: Batch, state: NGramState | None = None) -> tuple[Examined, NGramState]:
        refuse_condition(batch.condition)
        described, state = self._model.examine(
            np.asarray(batch.inputs, dtype=np.int64),
            np.asarray(batch.targets, dtype=np.int64),
            self.start(batch.rows) if state is None else state,
            reset_BT=batch.reset_BT,
            allowed_BTV=batch.mask(),
        )
        return Examined(*described), state

    def join(self, states: Sequence[NGramState]) -> NGramState:
        return replace(states[0], node_B=np.concatenate([state.node_B for state in states]))


class MixedPredictor(Predictor):
    """A predictor that interpolates a network and an n-gram model.

    Every probability is (1 - share) times the network's plus share times the n-gram model's.

    Linear interpolation: Jelinek and Mercer, "Interpolated estimation of Markov source parameters
    from sparse data", 1980; of recurrent networks with n-grams: Mikolov et al., "Empirical
    evaluation and combination of advanced language modeling techniques", Interspeech 2011.

    The n-gram model reads what the network reads: it is reset where the network is, and it sees no
    more than the network's window of N elements.

    A grammar is the network's, see `restricted`; the counts are normalised over it, too.

    Arguments:
        network: the network.
        ngram: over the same elements.
        share: of the n-gram model, 0 to 1.

    Raises:
        ValueError: another number of elements, or a share out of range.
    """

    def __init__(self, network: Predictor, ngram: NGramModel, share: float) -> None:
        if network.vocab_size != ngram.vocab_size:
            raise ValueError(
                f"the network has {network.vocab_size} elements, "
                f"the n-gram model {ngram.vocab_size}"
            )
        if not 0 <= share <= 1:
            raise ValueError("the weight of the n-gram model must be between 0 and 1")
        if 0 < network.window < ngram.order - 1:
            ngram = ngram.view(network.window + 1, ngram.smoothing)
        self.network = network
        self.ngram = ngram
        self.share = share
        self.vocab_size = network.vocab_size

    def start(self, rows: int, condition: Any = None) -> States:
        return States((self.network.start(rows, condition), self.ngram.start(rows)))

    def advance(
        self,
        elements: Elements,
        state: States,
        known_BUX: Singles | None = None,
        *,
        features: bool = False,
    ) -> tuple[LogitsDistribution, States]:
        before, counted = state.parts
        following, after = self.network.advance(elements, before, features=features)
        counted = self.ngram.advance(np.asarray(elements, dtype=np.int64), counted)
        allowed_BV = following.allowed_BV
        known_BV = _logarithms(self.ngram.distribution(counted, allowed_BV))
        mixed_BV = mixed_log_probs(log_softmax(following.logits_BV), known_BV, self.share)
        mixed = LogitsDistribution(mixed_BV, following.features_BTH, allowed_BV)
        return mixed, States((after, counted))

    def score(self, batch: Batch, state: States | None = None) -> tuple[Singles, States | None]:
        (network_BT, ngram_BT), after = self.score_parts(batch, state)
        mixed_BT = mixed_log_probs(network_BT, ngram_BT, self.share)
        mixed_BT = _certain(mixed_BT, network_BT, ngram_BT)
        return np.where(batch.weights_BT > 0, mixed_BT, np.float32(0.0)), after

    def score_parts(
        self, batch: Batch, state: States | None = None
    ) -> tuple[tuple[Singles, Singles], States | None]:
        """Scores by the network and by the n-gram model.

        Each is as `score` gives it. The state after the batch is returned, too.
        """
        batch = self.masked(batch, state)
        before, counted = self._before(batch, state)
        network_BT, after = self.network.score(batch, before)
        ngram_BT, counted = _scores(self.ngram, batch, counted)
        return (network_BT, ngram_BT), States.after(after, counted)

    def examine(self, batch: Batch, state: States | None = None) -> tuple[Examined, States | None]:
        batch = self.masked(batch, state)
        before, *counted = self._before(batch, state)
        parts, after = self.network.distributions(batch, before)
        examined = Examined.of(self._mixtures(parts, batch, counted), batch)
        return examined, States.after(after, counted[-1])

    def _mixtures(
        self, parts: Iterable[Singles], batch: Batch, counted: list[NGramState]
    ) -> Iterator[Singles]:
        """Log-probabilities of the mixture, part by part.

        The counts' state after each part is appended to `counted`.
        """
        inputs_BT, reset_BT = np.asarray(batch.inputs, dtype=np.int64), batch.reset_BT
        allowed_BTV = batch.mask()
        done = 0
        for part_BTV in parts:
            place = slice(done, done + part_BTV.shape[1])
            done = place.stop
            share_BTV, state = self.ngram.spread(
                inputs_BT[:, place],
                counted[-1],
                reset_BT=None if reset_BT is None else reset_BT[:, place],
                allowed_BTV=None if allowed_BTV is None else allowed_BTV[:, place],
            )
            counted.append(state)
            known_BTV = _logarithms(share_BTV)
            mixed_BTV = mixed_log_probs(part_BTV, known_BTV, self.share)
            yield mixed_BTV if allowed_BTV is None else _certain(mixed_BTV, part_BTV, known_BTV)

    def _before(self, batch: Batch, state: States | None) -> tuple[Any, Any]:
        """Both states before a batch.

        A windowed network starts every batch from nothing, and so do the counts.
        """
        if state is None or self.network.window:
            return None, self.ngram.start(batch.rows)
        network, ngram = state.parts
        return network, ngram

    def join(self, states: Sequence[States]) -> States:
        return States.joined((self.network, NGramPredictor(self.ngram)), states)

    def restricted(self, grammar: Grammar) -> MixedPredictor:
        """The mixture of both parts, each normalised over what a grammar allows."""
        return MixedPredictor(self.network.restricted(grammar), self.ngram, self.share)

    @property
    def mixed(self) -> MixedPredictor:
        return self

    def masked(self, batch: Batch, state: States | None = None) -> Batch:
        return self.network.masked(batch, self._before(batch, state)[0])

    def stretches(self, request: StretchRequest) -> Iterator[Stretch] | None:
        """Stretches of the network, every probability mixed with that of the counts."""
        counting = Counting(self.ngram, self.share) if self.share > 0 else None
        return self.network.stretches(replace(request, counting=counting))


def mixed_log_probs(
    network: NDArray[np.floating], ngram: NDArray[np.floating], share: float
) -> Singles:
    """The logarithm of a mixture of probabilities.

    Arguments:
        network: log-probabilities, nats, of any shape.
        ngram: the same of the n-gram model.
        share: of the n-gram model, 0 to 1.
    """
    rest = math.log1p(-share) if share < 1 else -math.inf
    part = math.log(share) if share > 0 else -math.inf
    mixed = np.logaddexp(
        np.asarray(network, np.float64) + rest, np.asarray(ngram, np.float64) + part
    )
    return mixed.astype(np.float32)


def _logarithms(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms of probabilities; -inf for what is not allowed."""
    with np.errstate(divide="ignore"):
        logarithms: NDArray[np.float64] = np.log(share)
    return logarithms


def _certain(mixed: Singles, network: NDArray[np.floating], ngram: NDArray[np.floating]) -> Singles:
    """Log-probabilities of a mixture, exactly 0 where both parts are certain."""
    return np.where((network == 0) & (ngram == 0), np.float32(0.0), mixed)


def _scores(model: NGramModel, batch: Batch, state: NGramState) -> tuple[Singles, NGramState]:
    return model.score(
        np.asarray(batch.inputs, dtype=np.int64),
        np.asarray(batch.targets, dtype=np.int64),
        state,
        scored_BT=batch.weights_BT > 0,
        reset_BT=batch.reset_BT,
        allowed_BTV=batch.mask(),
    )

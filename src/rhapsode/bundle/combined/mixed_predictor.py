"""The predictor that runs a network and counts: every probability a mixture of the two. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.distribution import Elements, LogitsDistribution, log_softmax
from rhapsode.bundle.predictor import (
    Counting,
    Examined,
    NetworkPredictor,
    Predictor,
    Stretch,
    StretchRequest,
)

if TYPE_CHECKING:  # counting loads a compiler, which not everybody who scores needs
    from rhapsode.counts.ngram import NGramModel, NGramState
    from rhapsode.data import Batch
    from rhapsode.encoding.state_machine import Grammar

__all__ = ["MixedPredictor", "MixedState", "mixed_log_probs"]


@dataclass(frozen=True)
class MixedState:
    """The states of network and n-gram model; a value, never changed in place."""

    network: Any
    ngram: NGramState

    def fork(self) -> MixedState:
        """A state of its own."""
        return MixedState(self.network.fork(), self.ngram.fork())


class MixedPredictor(Predictor):
    """A predictor whose every probability is (1 - share) times the network's plus share times the n-gram model's.

    Linear interpolation: Jelinek and Mercer, "Interpolated estimation of Markov source parameters from sparse data",
    1980; of recurrent networks with n-grams: Mikolov et al., "Empirical evaluation and combination of advanced language
    modeling techniques", Interspeech 2011.

    The n-gram model reads what the network reads: it starts afresh where the network does, and behind a window of N
    elements it looks no further back than these.

    A grammar is the network's, see `restricted`; the counts are normalised over it, too.

    Arguments:
        network: the network.
        ngram: over the same elements.
        share: of the n-gram model, 0 to 1.

    Raises:
        ValueError: another number of elements, or a share out of range.
    """

    def __init__(self, network: NetworkPredictor, ngram: NGramModel, share: float) -> None:
        if network.vocab_size != ngram.vocab_size:
            raise ValueError(f"{network.vocab_size} elements and {ngram.vocab_size} do not mix")
        if not 0 <= share <= 1:
            raise ValueError("the share must lie from 0 to 1")
        if 0 < network.window < ngram.order - 1:
            ngram = ngram.view(network.window + 1, ngram.smoothing)
        self.network = network
        self.ngram = ngram
        self.share = share

    @property
    def vocab_size(self) -> int:
        return self.network.vocab_size

    def start(self, rows: int, condition: Any = None) -> MixedState:
        return MixedState(self.network.start(rows, condition), self.ngram.start(rows))

    def advance(
        self,
        elements: Elements,
        state: MixedState,
        known_BUX: NDArray[np.float32] | None = None,
        *,
        features: bool = False,
    ) -> tuple[LogitsDistribution, MixedState]:
        following, behind = self.network.advance(elements, state.network, features=features)
        counted = self.ngram.advance(np.asarray(elements, dtype=np.int64), state.ngram)
        allowed_BV = following.allowed_BV
        known_BV = _logarithms(self.ngram.distribution(counted, allowed_BV))
        mixed_BV = mixed_log_probs(log_softmax(following.logits_BV), known_BV, self.share)
        mixed = LogitsDistribution(mixed_BV, following.features_BTH, allowed_BV)
        return mixed, MixedState(behind, counted)

    def score(
        self, batch: Batch, state: MixedState | None = None
    ) -> tuple[NDArray[np.float32], MixedState | None]:
        batch = self.masked(batch, state)
        (network_BT, ngram_BT), behind = self.score_parts(batch, state)
        mixed_BT = mixed_log_probs(network_BT, ngram_BT, self.share)
        if batch.mask() is not None:
            mixed_BT = _certain(mixed_BT, network_BT, ngram_BT)
        return np.where(batch.weights_BT > 0, mixed_BT, np.float32(0.0)), behind

    def score_parts(
        self, batch: Batch, state: MixedState | None = None
    ) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], MixedState | None]:
        """Scores by the network and by the n-gram model, each as `score` gives them, and the state after the batch."""
        batch = self.masked(batch, state)
        known = self._known(batch, state)
        allowed_BTV = batch.mask()
        network_BT, behind = self.network.score(batch, known.network)
        ngram_BT, counted = self.ngram.score(
            np.asarray(batch.inputs, dtype=np.int64),
            np.asarray(batch.targets, dtype=np.int64),
            known.ngram,
            scored_BT=batch.weights_BT > 0,
            reset_BT=batch.reset_BT,
            allowed_BTV=allowed_BTV,
        )
        return (network_BT, ngram_BT), None if self.network.window else MixedState(behind, counted)

    def examine(
        self, batch: Batch, state: MixedState | None = None
    ) -> tuple[Examined, MixedState | None]:
        batch = self.masked(batch, state)
        known = self._known(batch, state)
        allowed_BTV = batch.mask()
        inputs_BT = np.asarray(batch.inputs, dtype=np.int64)
        targets_BT = np.asarray(batch.targets, dtype=np.int64)
        parts, behind = self.network.distributions(batch, known.network)
        counted = known.ngram
        found: list[tuple[NDArray[Any], ...]] = []
        done = 0
        for part_BTV in parts:
            some = slice(done, done + part_BTV.shape[1])
            done = some.stop
            share_BTV, counted = self.ngram.spread(
                inputs_BT[:, some],
                counted,
                reset_BT=None if batch.reset_BT is None else batch.reset_BT[:, some],
                allowed_BTV=None if allowed_BTV is None else allowed_BTV[:, some],
            )
            known_BTV = _logarithms(share_BTV)
            mixed_BTV = mixed_log_probs(part_BTV, known_BTV, self.share)
            finite_BTV = mixed_BTV
            if allowed_BTV is not None:
                mixed_BTV = _certain(mixed_BTV, part_BTV, known_BTV)
                # What is not allowed adds nothing to an entropy; an exempt target gets 0.
                finite_BTV = np.where(allowed_BTV[:, some], mixed_BTV, np.float32(0.0))
            top_BT = mixed_BTV.argmax(axis=-1)
            found.append(
                (
                    _at(finite_BTV, targets_BT[:, some]),
                    top_BT,
                    _at(mixed_BTV, top_BT),
                    -(np.exp(mixed_BTV) * finite_BTV).sum(axis=-1),
                )
            )
        joined = (np.concatenate(columns, axis=1) for columns in zip(*found, strict=True))
        return Examined(*joined), None if self.network.window else MixedState(behind, counted)

    def _known(self, batch: Batch, state: MixedState | None) -> MixedState:
        """The state before a batch; what reads windows starts each of them from nothing."""
        if state is None or self.network.window:
            return MixedState(None, self.ngram.start(batch.rows))
        return state

    def select(self, state: MixedState, rows_R: NDArray[np.int64]) -> MixedState:
        return MixedState(self.network.select(state.network, rows_R), state.ngram.select(rows_R))

    def join(self, states: Sequence[MixedState]) -> MixedState:
        nodes = [state.ngram.node_B for state in states]
        network = self.network.join([state.network for state in states])
        return MixedState(network, replace(states[0].ngram, node_B=np.concatenate(nodes)))

    def restricted(self, grammar: Grammar) -> MixedPredictor:
        """The mixture of both parts, each normalised over what a grammar allows."""
        return MixedPredictor(self.network.restricted(grammar), self.ngram, self.share)

    @property
    def mixed(self) -> MixedPredictor:
        return self

    def masked(self, batch: Batch, state: MixedState | None = None) -> Batch:
        return self.network.masked(batch, self._known(batch, state).network)

    def stretches(self, request: StretchRequest) -> Iterator[Stretch] | None:
        """As the network's own, every probability mixed with that of the counts."""
        counting = Counting(self.ngram, self.share) if self.share > 0 else None
        return self.network.stretches(replace(request, counting=counting))


def mixed_log_probs(
    network: NDArray[np.floating], ngram: NDArray[np.floating], share: float
) -> NDArray[np.float32]:
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


def _certain(
    mixed: NDArray[np.float32], network: NDArray[np.floating], ngram: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Log-probabilities of a mixture, exactly 0 where both parts are certain."""
    return np.where((network == 0) & (ngram == 0), np.float32(0.0), mixed)


def _at(log_prob_BTV: NDArray[np.float32], which_BT: NDArray[np.int64]) -> NDArray[np.float32]:
    """One log-probability of each distribution."""
    found_BT1: NDArray[np.float32] = np.take_along_axis(log_prob_BTV, which_BT[..., None], axis=-1)
    return found_BT1[..., 0]

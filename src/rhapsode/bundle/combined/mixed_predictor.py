"""Predictors over n-gram counts, alone or mixed with networks. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.distribution import Distribution, Elements, LogitsDistribution, Singles
from rhapsode.bundle.predictor import (
    Examined,
    Predictor,
    States,
    Stretch,
    StretchRequest,
    refuse_condition,
)
from rhapsode.bundle.row_table import RowParts, TableRequest, WritingTable

if TYPE_CHECKING:  # counting loads a compiler, which scoring may not need
    from rhapsode.counts.mixing.contributions import Contributions
    from rhapsode.counts.mixing.experts import Experts, ExpertState
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


class MixedDistribution(LogitsDistribution):
    """Distributions of a mixture.

    Arguments:
        logits_BV: of the mixture.
        network: distributions of the network.
        experts: the counts.
        state: of the counts.
        rows_B: row of the network and of the state for each row. None: the same.
    """

    def __init__(
        self,
        logits_BV: Singles,
        network: Distribution,
        experts: Experts,
        state: ExpertState,
        rows_B: NDArray[np.int64] | None = None,
    ) -> None:
        own_BTH, allowed_BV = network.features_BTH, network.allowed_BV
        if rows_B is not None:
            own_BTH = None if own_BTH is None else own_BTH[rows_B]
            allowed_BV = None if allowed_BV is None else allowed_BV[rows_B]
        super().__init__(logits_BV, own_BTH, allowed_BV)
        self._network, self._experts, self._state = network, experts, state
        self._rows_B = np.arange(len(logits_BV)) if rows_B is None else rows_B

    def select(self, rows_R: NDArray[np.int64]) -> MixedDistribution:
        parts = (self._network, self._experts, self._state, self._rows_B[rows_R])
        return MixedDistribution(self.logits_BV[rows_R], *parts)

    @property
    def alone_BV(self) -> Singles:
        return self._network.logits_BV[self._rows_B]

    def contributions(self, row: int) -> Contributions:
        from rhapsode.counts.mixing.contributions import contributions

        own = int(self._rows_B[row])
        return contributions(self._experts, self._state, own, self._network.logits_BV[own])


class GivenElements(NamedTuple):
    """Elements that counts read, and those after each.

    Arguments:
        elements_BT: ids that are read.
        targets_BT: ids after each.
        learn_BT: where weights learn from them; None: nowhere.
        reset_BT: True where a row begins a document; None: nowhere.
    """

    elements_BT: NDArray[np.int64]
    targets_BT: NDArray[np.int64]
    learn_BT: NDArray[np.bool_] | None
    reset_BT: NDArray[np.bool_] | None

    def part(self, place: slice) -> GivenElements:
        """Some columns."""
        return GivenElements(
            self.elements_BT[:, place],
            self.targets_BT[:, place],
            None if self.learn_BT is None else self.learn_BT[:, place],
            None if self.reset_BT is None else self.reset_BT[:, place],
        )


class MixedPredictor(Predictor):
    """A network whose logits get the evidence of counts.

    The mixture is log-linear, see `rhapsode.counts.mixing.experts`. The counts read what the
    network reads: they are reset where the network is, and see no more than the network's window of
    N elements. What a grammar does not allow keeps the probability 0.

    Counts of documents that are read one by one remember the document they are in. Those that adapt
    remember all that was read, and their weights follow it.

    Arguments:
        network: the network.
        ngram: the counts, over the same elements.
        weights: of network and counts, as `rhapsode.counts.mixing.expert_weights` fits them.
        adapt: whether the counts adapt to what is read.

    Raises:
        ValueError: another number of elements, or too few weights.
    """

    def __init__(
        self,
        network: Predictor,
        ngram: NGramModel,
        weights: Sequence[float],
        *,
        adapt: bool = False,
    ) -> None:
        if network.vocab_size != ngram.vocab_size:
            raise ValueError(
                f"the network has {network.vocab_size} elements, "
                f"the n-gram model {ngram.vocab_size}"
            )
        self.network = network
        self.ngram = ngram
        self.weights = tuple(weights)
        self.adapt = adapt
        self.vocab_size = network.vocab_size

    @cached_property
    def experts(self) -> Experts:
        """The counts, as compiled code mixes them."""
        from rhapsode.counts.mixing.experts import Experts

        return Experts(
            self.ngram,
            np.array(self.weights),
            window=self.network.window,
            remember=remembers(self.ngram, self.network.window) or self.adapt,
            keep=self.adapt,
        )

    def start(self, rows: int, condition: Any = None) -> States:
        return States((self.network.start(rows, condition), self.experts.start(rows)))

    def advance(
        self,
        elements: Elements,
        state: States,
        known_BUX: Singles | None = None,
        *,
        features: bool = False,
    ) -> tuple[LogitsDistribution, States]:
        before, counted = state.parts
        ids_BT = np.asarray(elements, dtype=np.int64)
        following, after = self.network.advance(elements, before, features=features)
        mixed_B1V, counted = self.experts.mix(ids_BT, counted, following.logits_BV[:, None])
        mixed = MixedDistribution(mixed_B1V[:, 0], following, self.experts, counted)
        return mixed, States((after, counted))

    def score(self, batch: Batch, state: States | None = None) -> tuple[Singles, States | None]:
        (_, mixed_BT), after = self.score_parts(batch, state)
        return mixed_BT, after

    def score_parts(
        self, batch: Batch, state: States | None = None
    ) -> tuple[tuple[Singles, Singles], States | None]:
        """Scores by the network alone and by the mixture.

        Each is as `score` gives it. The state after the batch is returned, too.
        """
        scores: list[list[Singles]] = [[], []]
        after: States | None = None
        for own_BTV, given, counted, network in self._parts(batch, state):
            mixed_BT, read = self.experts.score(
                given.elements_BT,
                counted,
                own_BTV,
                given.targets_BT,
                learn_BT=given.learn_BT,
                reset_BT=given.reset_BT,
            )
            own_BT = np.take_along_axis(own_BTV, given.targets_BT[..., None], -1)[..., 0]
            after = States.after(network, read)
            for kept, log_prob_BT in zip(scores, (own_BT, mixed_BT), strict=True):
                kept.append(log_prob_BT)
        scored_BT = (batch.weights_BT > 0) & ~batch.forbidden_targets()
        own_BT, mixed_BT = (
            np.where(scored_BT, np.concatenate(each, axis=1), np.float32(0.0)) for each in scores
        )
        return (own_BT, mixed_BT), after

    def told(
        self, batch: Batch, state: States | None = None
    ) -> tuple[NDArray[np.float64], States | None]:
        """Log-probabilities of targets by parts of the mixture.

        Their shape is (B, T, 3 + G); see `rhapsode.counts.mixing.contributions.told`. The state
        after the batch is returned, too. Weights do not adapt meanwhile.
        """
        from rhapsode.counts.mixing.contributions import told

        scored_BT = batch.weights_BT > 0
        columns: list[NDArray[np.float64]] = []
        after: States | None = None
        done = 0
        for own_BTV, given, counted, network in self._parts(batch, state):
            place = slice(done, done + own_BTV.shape[1])
            done = place.stop
            columns.append(
                told(
                    self.experts,
                    given.elements_BT,
                    counted,
                    own_BTV,
                    given.targets_BT,
                    scored_BT=scored_BT[:, place],
                    reset_BT=given.reset_BT,
                )
            )
            after = States.after(network, counted)
        return np.concatenate(columns, axis=1), after

    def distributions(
        self, batch: Batch, state: States | None = None
    ) -> tuple[Iterator[Singles], States | None]:
        parts = list(self._mixtures(batch, state))
        return (mixed_BTV for mixed_BTV, _ in parts), parts[-1][-1]

    def examine(self, batch: Batch, state: States | None = None) -> tuple[Examined, States | None]:
        after: list[States | None] = []

        def mixtures() -> Iterator[Singles]:
            for mixed_BTV, state_after in self._mixtures(batch, state):
                after[:] = [state_after]
                yield mixed_BTV

        examined = Examined.of(mixtures(), self.masked(batch, state))
        return examined, after[0]

    def _mixtures(
        self, batch: Batch, state: States | None
    ) -> Iterator[tuple[Singles, States | None]]:
        """Log-probabilities of the mixture, part by part, with the states after the batch.

        Only the states of the last part are those after the batch.
        """
        for own_BTV, given, counted, network in self._parts(batch, state):
            mixed_BTV, read = self.experts.mix(
                given.elements_BT,
                counted,
                own_BTV,
                targets_BT=given.targets_BT,
                learn_BT=given.learn_BT,
                reset_BT=given.reset_BT,
            )
            yield mixed_BTV, States.after(network, read)

    def _parts(
        self, batch: Batch, state: States | None
    ) -> Iterator[tuple[Singles, GivenElements, ExpertState, Any]]:
        """Distributions of the network, part by part, and what the counts read there.

        With the state of the counts, which reading changes, and that of the network after the
        batch.
        """
        batch = self.masked(batch, state)
        before, counted = self._before(batch, state)
        parts, after = self.network.distributions(batch, before)
        inputs_BT, targets_BT = (
            np.asarray(each, dtype=np.int64) for each in (batch.inputs, batch.targets)
        )
        learn_BT = batch.weights_BT > 0 if self.adapt else None
        whole = GivenElements(inputs_BT, targets_BT, learn_BT, batch.reset_BT)
        done = 0
        for part_BTV in parts:
            place = slice(done, done + part_BTV.shape[1])
            done = place.stop
            yield part_BTV, whole.part(place), counted, after

    def _before(self, batch: Batch, state: States | None) -> tuple[Any, ExpertState]:
        """Both states before a batch.

        A windowed network starts every batch from nothing, and so do the counts.
        """
        if state is None or self.network.window:
            return None, self.experts.start(batch.rows)
        network, counted = state.parts
        return network, counted.fork()

    def join(self, states: Sequence[States]) -> States:
        return States.joined((self.network, type(states[0].parts[1])), states)

    def restricted(self, grammar: Grammar) -> MixedPredictor:
        """The mixture over what a grammar allows."""
        network = self.network.restricted(grammar)
        return MixedPredictor(network, self.ngram, self.weights, adapt=self.adapt)

    @property
    def mixed(self) -> MixedPredictor:
        return self

    def masked(self, batch: Batch, state: States | None = None) -> Batch:
        before = None if state is None or self.network.window else state.parts[0]
        return self.network.masked(batch, before)

    def stretches(self, request: StretchRequest) -> Iterator[Stretch] | None:
        """Stretches of the network, mixed with the counts."""
        return self.network.stretches(replace(request, experts=self.experts))

    def row_parts(self, state: States) -> RowParts:
        network, counted = state.parts
        return replace(self.network.row_parts(network), counted=counted)

    def table(self, request: TableRequest) -> WritingTable | None:
        """A table of the network, mixed with the counts."""
        parts = request.parts or self.row_parts
        return self.network.table(replace(request, experts=self.experts, parts=parts))


def remembers(ngram: NGramModel, window: int) -> bool:
    """True if counts remember the document they are in.

    Arguments:
        ngram: the counts.
        window: number of last elements that count; 0 for all.
    """
    return ngram.trie.opening is not None and not window


def _scores(model: NGramModel, batch: Batch, state: NGramState) -> tuple[Singles, NGramState]:
    return model.score(
        np.asarray(batch.inputs, dtype=np.int64),
        np.asarray(batch.targets, dtype=np.int64),
        state,
        scored_BT=batch.weights_BT > 0,
        reset_BT=batch.reset_BT,
        allowed_BTV=batch.mask(),
    )

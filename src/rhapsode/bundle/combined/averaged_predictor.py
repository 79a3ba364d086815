"""Averaged and windowed predictors. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.distribution import (
    Distribution,
    Elements,
    LogitsDistribution,
    Singles,
    log_softmax,
)
from rhapsode.bundle.predictor import Examined, Predictor, States, Stretch, StretchRequest
from rhapsode.config import SeenContext
from rhapsode.data.batch import Condition

if TYPE_CHECKING:
    from rhapsode.data import Batch


class AveragedPredictor(Predictor):
    """A predictor that averages the probabilities of its members.

    Every probability is the weighted mean of the members' (a linear opinion pool). Logits keep the
    scale of the first member, so that equal members give its logits bit for bit.

    Arguments:
        members: networks over the same elements and with the same window.
        weights: of each, above 0, one in total.

    Raises:
        ValueError: members that do not go together.
    """

    def __init__(self, members: Sequence[Predictor], weights: Sequence[float]) -> None:
        sizes = {(member.vocab_size, member.window) for member in members}
        if len(sizes) != 1 or len(members) != len(weights):
            raise ValueError("all members of a model need the same vocabulary, and one weight each")
        if min(weights) <= 0 or not math.isclose(math.fsum(weights), 1.0, rel_tol=1e-9):
            raise ValueError("weights must be above 0 and sum to 1")
        self._members = tuple(members)
        self._weights = tuple(weights)
        ((self.vocab_size, self.window),) = sizes

    def start(self, rows: int, condition: Any = None) -> States:
        return States(tuple(member.start(rows, condition) for member in self._members))

    def advance(
        self,
        elements: Elements,
        state: States,
        known_BUX: Singles | None = None,
        *,
        features: bool = False,
    ) -> tuple[LogitsDistribution, States]:
        """Read ids (B, T) and average the members' distributions.

        Features are those of the first member. The states after the ids are returned, too.
        """
        read = [
            member.advance(elements, own, features=features) for member, own in self._pairs(state)
        ]
        following, after = zip(*read, strict=True)
        logits_MBV = np.stack([each.logits_BV for each in following]).astype(np.float64)
        normaliser_B1 = np.logaddexp.reduce(logits_MBV[0], axis=-1, keepdims=True)
        log_prob_BV = averaged([log_softmax(logits_BV) for logits_BV in logits_MBV], self._weights)
        logits_BV = (log_prob_BV + normaliser_B1).astype(np.float32)
        equal_B = (logits_MBV == logits_MBV[:1]).all(axis=(0, 2))
        logits_BV[equal_B] = following[0].logits_BV[equal_B]
        mean = LogitsDistribution(logits_BV, following[0].features_BTH)
        return mean, States(after)

    def score(self, batch: Batch, state: States | None = None) -> tuple[Singles, States | None]:
        """Log-probability (nats) of every target, (B, T).

        The states after the batch are returned, too. A mask is applied to the mean, as in
        generation with a grammar.
        """
        if batch.mask() is not None:
            examined, after = self.examine(batch, state)
            return examined.log_prob_BT, after
        scored = [member.score(batch, own) for member, own in self._pairs(state)]
        scores, after = zip(*scored, strict=True)
        return averaged(scores, self._weights).astype(np.float32), States.after(*after)

    def distributions(
        self, batch: Batch, state: States | None = None
    ) -> tuple[Iterator[Singles], States | None]:
        allowed_BTV, plain = batch.mask(), replace(batch, allowed_BTV=None)
        read = [member.distributions(plain, own) for member, own in self._pairs(state)]
        parts, after = zip(*read, strict=True)
        return self._means(zip(*parts, strict=True), allowed_BTV), States.after(*after)

    def _pairs(self, state: States | None) -> Iterator[tuple[Predictor, Any]]:
        states = (None,) * len(self._members) if state is None else state.parts
        return zip(self._members, states, strict=True)

    def _means(
        self, parts: Iterable[tuple[Singles, ...]], allowed_BTV: NDArray[np.bool_] | None
    ) -> Iterator[Singles]:
        """Means of parts of the members' log-probabilities, normalised over what is allowed."""
        done = 0
        for part in parts:
            mean_BTV = averaged(part, self._weights)
            if allowed_BTV is not None:
                own_BTV = allowed_BTV[:, done : done + mean_BTV.shape[1]]
                mean_BTV = log_softmax(np.where(own_BTV, mean_BTV, -np.inf))
            done += mean_BTV.shape[1]
            yield mean_BTV.astype(np.float32)

    def join(self, states: Sequence[States]) -> States:
        return States.joined(self._members, states)


@dataclass(frozen=True)
class LastElements:
    """The last elements that every row has read.

    Arguments:
        elements_BT: up to N; where a row has fewer, they stand at its end.
        count_B: how many each row has.
        condition: what every row depends on, B sources; None: nothing.
    """

    elements_BT: NDArray[np.int64]
    count_B: NDArray[np.int64]
    condition: Condition | None = None

    def select(self, rows_R: NDArray[np.int64]) -> LastElements:
        condition = None if self.condition is None else self.condition.select(rows_R)
        return LastElements(self.elements_BT[rows_R], self.count_B[rows_R], condition)

    def fork(self) -> LastElements:
        return self


class Window(Predictor):
    """A predictor that sees only the last N elements.

    This is how a network of a `window:N` context was trained.

    Arguments:
        predictor: of the network; it reads every window from the zero state.
        size: N.
    """

    def __init__(self, predictor: Predictor, size: int) -> None:
        self._predictor = predictor
        self.vocab_size = predictor.vocab_size
        self.window = size

    def start(self, rows: int, condition: Any = None) -> LastElements:
        if condition is not None:
            self._predictor.start(rows, condition)  # refuses one that it cannot use
            if condition.rows == 1:
                condition = condition.select(np.zeros(rows, dtype=np.int64))
        none_B0 = np.zeros((rows, 0), dtype=np.int64)
        return LastElements(none_B0, np.zeros(rows, dtype=np.int64), condition)

    def advance(
        self,
        elements: Elements,
        state: LastElements,
        known_BUX: NDArray[np.float32] | None = None,
        *,
        features: bool = False,
    ) -> tuple[Distribution, LastElements]:
        """Read ids (B, T) and predict from the last N elements.

        Features are those of the elements read that are among the last N.
        """
        time = elements.shape[1]
        if time == 0:
            raise ValueError("advance needs at least one element")
        ids_BT = np.asarray(elements, dtype=np.int64)
        seen_BT = np.concatenate((state.elements_BT, ids_BT), axis=1)[:, -self.window :]
        count_B = np.minimum(state.count_B + time, self.window)
        memory = LastElements(seen_BT, count_B, state.condition)
        start = self._predictor.start(len(seen_BT), state.condition)
        if (count_B < seen_BT.shape[1]).any():  # rows of unequal length
            rows = [
                row_T[len(row_T) - count :] for row_T, count in zip(seen_BT, count_B, strict=True)
            ]
            following, _ = self._predictor.read(rows, start)
            return following, memory
        windows, _ = self._predictor.advance(seen_BT, start, features=features)
        if windows.features_BTH is not None:
            windows.features_BTH = windows.features_BTH[:, -time:]
        return windows, memory

    def score(self, batch: Batch, state: Any | None = None) -> tuple[NDArray[np.float32], None]:
        return self._predictor.score(batch, None)[0], None

    def examine(self, batch: Batch, state: Any | None = None) -> tuple[Examined, None]:
        return self._predictor.examine(batch, None)[0], None

    def distributions(
        self, batch: Batch, state: Any | None = None
    ) -> tuple[Iterator[NDArray[np.float32]], None]:
        return self._predictor.distributions(batch, None)[0], None

    def distributions_where(
        self, batch: Batch, wanted_BT: NDArray[np.bool_], state: Any | None = None
    ) -> tuple[NDArray[np.float32], None]:
        return self._predictor.distributions_where(batch, wanted_BT)[0], None

    def join(self, states: Sequence[LastElements]) -> LastElements:
        width = max(state.elements_BT.shape[1] for state in states)
        padded = [
            np.pad(state.elements_BT, ((0, 0), (width - state.elements_BT.shape[1], 0)))
            for state in states
        ]
        counts = [state.count_B for state in states]
        conditions = [each.condition for each in states if each.condition is not None]
        if len(conditions) not in {0, len(states)}:
            raise ValueError("rows with and without a condition are not joined")
        condition = Condition.join(conditions) if conditions else None
        return LastElements(np.concatenate(padded), np.concatenate(counts), condition)

    def stretches(self, request: StretchRequest) -> Iterator[Stretch] | None:
        return self._predictor.stretches(replace(request, window=self.window))


def as_one(
    members: Sequence[Predictor], weights: Sequence[float], context: SeenContext
) -> Predictor:
    """Combine the networks of a model in their training context.

    Arguments:
        members: predictors of the networks.
        weights: of each, one in total.
        context: what they were trained to see.
    """
    one = members[0] if len(members) == 1 else AveragedPredictor(members, weights)
    return Window(one, context.size) if context.kind == "window" else one


def averaged(
    log_probs: Sequence[NDArray[np.floating]], weights: Sequence[float]
) -> NDArray[np.float64]:
    """Logarithm of the weighted mean of probabilities.

    Arguments:
        log_probs: of each member, nats, all of one shape; -inf is a probability of 0.
        weights: of each, one in total.
    """
    largest = np.maximum.reduce([np.asarray(each, np.float64) for each in log_probs])
    shift = np.where(np.isneginf(largest), 0.0, largest)
    total = np.zeros_like(shift)
    for each, weight in zip(log_probs, weights, strict=True):
        total += weight * np.exp(each - shift)
    with np.errstate(divide="ignore"):
        mean: NDArray[np.float64] = np.log(total) + shift
    smallest = np.minimum.reduce([np.asarray(each, np.float64) for each in log_probs])
    return np.where(smallest == largest, largest, mean)

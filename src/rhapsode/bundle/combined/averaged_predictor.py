"""The predictor of several networks as one: their probabilities averaged. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.combined.window import Window
from rhapsode.bundle.distribution import Elements, LogitsDistribution, log_softmax
from rhapsode.bundle.predictor import Examined, NetworkPredictor
from rhapsode.config import SeenContext

if TYPE_CHECKING:
    from rhapsode.data import Batch

__all__ = ["AveragedPredictor", "MemberStates", "as_one", "averaged"]

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class MemberStates:
    """States of all members for the same rows.

    Arguments:
        members: one state each.
    """

    members: tuple[Any, ...]

    def fork(self) -> MemberStates:
        """States of their own."""
        return MemberStates(tuple(state.fork() for state in self.members))


class AveragedPredictor(NetworkPredictor):
    """A predictor whose every probability is the weighted mean of its members' (a linear opinion pool).

    Logits keep the scale of the first member, so that equal members give its logits bit for bit.

    Arguments:
        members: networks over the same elements and with the same window.
        weights: of each, above 0, one in total.

    Raises:
        ValueError: members that do not go together.
    """

    def __init__(self, members: Sequence[NetworkPredictor], weights: Sequence[float]) -> None:
        sizes = {(member.vocab_size, member.window) for member in members}
        if len(sizes) != 1 or len(members) != len(weights):
            raise ValueError("members of one model need the same elements, and a weight each")
        if min(weights) <= 0 or not math.isclose(math.fsum(weights), 1.0, rel_tol=1e-9):
            raise ValueError("weights must be above 0 and one in total")
        self._members = tuple(members)
        self._weights = tuple(weights)

    @property
    def vocab_size(self) -> int:
        return self._members[0].vocab_size

    @property
    def window(self) -> int:
        return self._members[0].window

    def start(self, rows: int, condition: Any = None) -> MemberStates:
        return MemberStates(tuple(member.start(rows, condition) for member in self._members))

    def advance(
        self,
        elements: Elements,
        state: MemberStates,
        known_BUX: Singles | None = None,
        *,
        features: bool = False,
    ) -> tuple[LogitsDistribution, MemberStates]:
        """Read ids (B, T); the mean distribution of what follows, and the states behind them.

        Features are those of the first member.
        """
        found = [
            member.advance(elements, own, features=features)
            for member, own in zip(self._members, state.members, strict=True)
        ]
        logits_MBV = np.stack([following.logits_BV for following, _ in found]).astype(np.float64)
        normaliser_B1 = np.logaddexp.reduce(logits_MBV[0], axis=-1, keepdims=True)
        log_prob_BV = averaged([log_softmax(logits_BV) for logits_BV in logits_MBV], self._weights)
        logits_BV = (log_prob_BV + normaliser_B1).astype(np.float32)
        equal_B = (logits_MBV == logits_MBV[:1]).all(axis=(0, 2))
        logits_BV[equal_B] = found[0][0].logits_BV[equal_B]
        following = LogitsDistribution(logits_BV, found[0][0].features_BTH)
        return following, MemberStates(tuple(after for _, after in found))

    def score(
        self, batch: Batch, state: MemberStates | None = None
    ) -> tuple[Singles, MemberStates | None]:
        """Log-probability (nats) of every target, (B, T), and the states behind the batch.

        A mask is applied to the mean, as it is where a grammar follows what is generated.
        """
        if batch.mask() is not None:
            examined, after = self.examine(batch, state)
            return examined.log_prob_BT, after
        found = [
            member.score(batch, own)
            for member, own in zip(self._members, self._states(state), strict=True)
        ]
        log_prob_BT = averaged([scores_BT for scores_BT, _ in found], self._weights)
        return log_prob_BT.astype(np.float32), self._joint([after for _, after in found])

    def examine(
        self, batch: Batch, state: MemberStates | None = None
    ) -> tuple[Examined, MemberStates | None]:
        parts, after = self.distributions(batch, state)
        targets_BT = np.asarray(batch.targets, dtype=np.int64)
        columns: list[tuple[NDArray[Any], ...]] = []
        done = 0
        for part_BTV in parts:
            own_BT = targets_BT[:, done : done + part_BTV.shape[1]]
            done += part_BTV.shape[1]
            top_BT = part_BTV.argmax(axis=-1)
            columns.append(
                (
                    np.take_along_axis(part_BTV, own_BT[..., None], axis=-1)[..., 0],
                    top_BT,
                    np.take_along_axis(part_BTV, top_BT[..., None], axis=-1)[..., 0],
                    -(np.exp(part_BTV) * np.maximum(part_BTV, -1e4)).sum(axis=-1),
                )
            )
        log_prob_BT, *rest = (
            np.concatenate(column, axis=1) for column in zip(*columns, strict=True)
        )
        log_prob_BT[batch.forbidden_targets()] = 0.0
        return Examined(log_prob_BT, *rest), after

    def distributions(
        self, batch: Batch, state: MemberStates | None = None
    ) -> tuple[Iterator[Singles], MemberStates | None]:
        allowed_BTV, plain = batch.mask(), replace(batch, allowed_BTV=None)
        found = [
            member.distributions(plain, own)
            for member, own in zip(self._members, self._states(state), strict=True)
        ]
        parts = zip(*(own for own, _ in found), strict=True)
        return self._means(parts, allowed_BTV), self._joint([after for _, after in found])

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

    def select(self, state: MemberStates, rows_R: NDArray[np.int64]) -> MemberStates:
        pairs = zip(self._members, state.members, strict=True)
        return MemberStates(tuple(member.select(own, rows_R) for member, own in pairs))

    def join(self, states: Sequence[MemberStates]) -> MemberStates:
        return MemberStates(
            tuple(
                member.join([state.members[number] for state in states])
                for number, member in enumerate(self._members)
            )
        )

    def _states(self, state: MemberStates | None) -> tuple[Any, ...]:
        return (None,) * len(self._members) if state is None else state.members

    def _joint(self, after: Sequence[Any]) -> MemberStates | None:
        """The states behind a batch; None where windows have none."""
        return None if any(state is None for state in after) else MemberStates(tuple(after))


def as_one(
    members: Sequence[NetworkPredictor], weights: Sequence[float], context: SeenContext
) -> NetworkPredictor:
    """Join the networks of a model, in the context they were trained in.

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

"""Weights of counts in a mixture, fitted on validation data."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.compiling import cores
from rhapsode.counts.chunks import Elements, as_ids, first_places
from rhapsode.counts.mixing import ngram_evidence as kernels
from rhapsode.counts.mixing.experts import LEAST_WORK, Experts
from rhapsode.counts.mixing.ngram_measures import WORDS

# Pieces of evidence that are held at once.
MOST_EVIDENCE = 24_000_000
# Where the weights begin, those of elements read last, and how strongly they are held there: in
# nats an element, and in nats where there are few elements.
NETWORK_BEGIN, BEGIN, READ_BEGIN = 0.6, 0.45, 0.1
HOLD, HOLD_FEW = 1e-3, 5.0
STEPS, FEW_STEPS = 40, 12
# Losses are summed in so many parts, however many threads there are: the sums are always the same.
LOSS_PARTS = 8


@dataclass(frozen=True)
class Fitted:
    """Weights and losses of a mixture.

    Arguments:
        weight_F: fitted on all of the data.
        loss: nats per element by weights fitted on the other half of the data.
        network: nats per element of the network alone.
        elements: how many were used.
    """

    weight_F: NDArray[np.float64]
    loss: float
    network: float
    elements: int


class Evidence:
    """Evidence of experts at places of a text.

    Arguments:
        experts: the counts.
        elements_N: the text.
        starts: where documents begin; None: one text.
        place_P: indices of the elements that are predicted, ascending.
        log_prob_PV: the network's log-probabilities there.
    """

    def __init__(
        self,
        experts: Experts,
        elements_N: Elements,
        starts: Elements | None,
        place_P: NDArray[np.int64],
        log_prob_PV: NDArray[np.float32],
    ) -> None:
        ids_N = as_ids(elements_N, experts.vocab_size)
        end_P = np.zeros(len(place_P), np.int64)
        self.lists = (
            np.empty(MOST_EVIDENCE, np.int32),
            np.empty(MOST_EVIDENCE, np.int16),
            np.empty(MOST_EVIDENCE, np.float32),
        )
        list_text: Any = kernels.list_text
        found = list_text(
            *experts.compiled, ids_N,
            first_places(len(ids_N), starts), -1 if experts.opening is None else experts.opening,
            experts.keep, experts.remembered, experts.width,
            place_P, log_prob_PV, end_P, *self.lists,
        )  # fmt: skip
        self.prior_V, self.lead = experts.prior_V, experts.lead
        self.measure_F, self.measures = experts.measure_F, experts.measures
        self.end_P = end_P[:found]
        self.log_prob_PV = log_prob_PV[:found]
        self.target_P = ids_N[place_P[:found]]

    def __len__(self) -> int:
        """P, the number of places that there was room for."""
        return len(self.end_P)

    def loss(
        self, weight_F: NDArray[np.float64], begin: int, end: int
    ) -> tuple[float, NDArray[np.float64]]:
        """Nats of some places, and their gradient by the weights.

        Arguments:
            weight_F: the weights.
            begin: the first place.
            end: the place after the last one.
        """
        loss_of_lists: Any = kernels.loss_of_lists

        def loss_of(part: int) -> tuple[float, NDArray[np.float64]]:
            first, last = (begin + (end - begin) * edge // LOSS_PARTS for edge in (part, part + 1))
            slope_F = np.zeros(len(weight_F))
            total = loss_of_lists(
                self.end_P, *self.lists, self.log_prob_PV, self.prior_V, self.target_P,
                first, last, weight_F, slope_F,
            )  # fmt: skip
            return total, slope_F

        if (end - begin) * len(self.prior_V) < LEAST_WORK:
            part_losses = [loss_of(part) for part in range(LOSS_PARTS)]
        else:
            with ThreadPoolExecutor(cores()) as pool:
                part_losses = list(pool.map(loss_of, range(LOSS_PARTS)))
        totals, slopes = zip(*part_losses, strict=True)
        return sum(totals), np.sum(slopes, axis=0)

    @property
    def network(self) -> float:
        """Nats per element of the network alone."""
        row_P = np.arange(len(self))
        return -float(self.log_prob_PV[row_P, self.target_P].mean(dtype=np.float64))

    def fit(
        self,
        size: int,
        part: tuple[int, int] | None = None,
        *,
        begin: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Weights that minimise the loss.

        Arguments:
            size: number of weights.
            part: range of places; None: all.
            begin: where some of the weights begin.
        """
        from scipy.optimize import minimize

        first, last = (0, len(self)) if part is None else part
        count = last - first
        hold = max(HOLD, HOLD_FEW / count)
        prior_F = np.full(size, BEGIN)
        prior_F[kernels.NETWORK] = NETWORK_BEGIN
        prior_F[self.lead :] = READ_BEGIN
        if size > self.lead:
            prior_F[self.measures] = self.measure_F
        begin_F = prior_F.copy()
        if begin is not None:
            begin_F[: len(begin)] = begin

        def function(weight_F: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            total, slope_F = self.loss(weight_F, first, last)
            apart_F = weight_F - prior_F
            held = hold / 2 * float(apart_F @ apart_F)
            return total / count + held, slope_F / count + hold * apart_F

        bounds = [(0.01, 4.0), *[(-2.0, 4.0)] * (size - 1)]
        options = {"maxiter": STEPS if part is None else FEW_STEPS, "ftol": 1e-6}
        result = minimize(
            function, begin_F, jac=True, method="L-BFGS-B", bounds=bounds, options=options
        )
        weight_F: NDArray[np.float64] = result.x
        return weight_F


def fixed_weights(experts: Experts, share: float) -> NDArray[np.float64]:
    """Weights of a geometric mixture of network and n-gram model.

    Arguments:
        experts: the counts.
        share: of the n-gram model, 0 to 1; the network has the rest.
    """
    weight_F = np.zeros(experts.size)
    weight_F[: experts.lead - kernels.KINDS * WORDS] = share
    weight_F[kernels.NETWORK] = 1 - share
    return weight_F


def fit_weights(
    experts: Experts,
    elements_N: Elements,
    starts: Elements | None,
    place_P: NDArray[np.int64],
    log_prob_PV: NDArray[np.float32],
) -> Fitted:
    """Fit the weights of a mixture.

    The loss is estimated on each half of the data by weights of the other half.

    Arguments:
        experts: the counts; if they remember elements read, these get weights, too.
        elements_N: validation text.
        starts: where its documents begin; None: one text.
        place_P: indices of the elements that are predicted, ascending, at least two.
        log_prob_PV: the network's log-probabilities there, (P, V).
    """
    evidence = Evidence(experts, elements_N, starts, place_P, log_prob_PV)
    count = len(evidence)
    size = experts.size if experts.remember else experts.lead
    weight_F = evidence.fit(size)
    halves = ((0, count // 2), (count // 2, count))
    crossed = sum(
        evidence.loss(evidence.fit(size, other, begin=weight_F), *one)[0]
        for one, other in (halves, halves[::-1])
    )
    return Fitted(weight_F, crossed / count, evidence.network, count)

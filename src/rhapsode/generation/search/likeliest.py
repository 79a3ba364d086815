"""Candidates of a search with their log-probabilities, and the continuations that it finds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import log_softmax
from rhapsode.encoding import END_ID
from rhapsode.generation.loop import Rows

# Nats by which a log-probability may differ for no other reason.
ROUNDING = 1e-4


@dataclass(frozen=True)
class Found:
    """A continuation that a search has found.

    Arguments:
        elements: ids, without end-of-sequence.
        log_prob: of all of it, end-of-sequence counted in, nats: of the model, or where limits weigh elements anew or
            a sample is drawn, of what the model makes of them.
        score: what the search ranks by; higher is better.
        end: "stop" when it ended by itself, "length" otherwise.
    """

    elements: tuple[int, ...]
    log_prob: float
    score: float
    end: str


class Candidates:
    """Log-probabilities of what may come next, after the filters, without sharing out what these remove."""

    def __init__(self) -> None:
        # By how much what follows may raise a log-probability, from what filters have made likelier up to now.
        self.rise = 0.0

    def of(self, rows: Rows) -> NDArray[np.float64]:
        """Log-probabilities (R, V), -inf where an element is removed; called once a step."""
        log_RV = log_softmax(rows.following().logits_BV)
        after_RV = rows.apply(log_RV.astype(np.float32))
        # In float64 where a step left them alone: sums of many would show the rounding.
        same_RV = after_RV == log_RV.astype(np.float32)
        raised_RV = after_RV > log_RV + ROUNDING
        if raised_RV[:, END_ID].any():  # it comes once
            rise = float((after_RV - log_RV)[raised_RV[:, END_ID], END_ID].max())
            self.rise = max(self.rise, rise)
        if np.delete(raised_RV, END_ID, axis=1).any():
            self.rise = math.inf
        return np.where(same_RV, log_RV, after_RV.astype(np.float64))


def best_first(values_M: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Places of the largest finite values, the largest first, ties in order."""
    places = np.flatnonzero(values_M > -np.inf)
    if len(places) > most:
        least = np.partition(values_M[places], len(places) - most)[len(places) - most]
        places = places[values_M[places] >= least]
    order = np.argsort(-values_M[places], kind="stable")[:most]
    return places[order]

"""What all ways of searching share: the prompt read, candidates with their log-probabilities, what was found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.encoding import END_ID
from rhapsode.generation.chain import Chain
from rhapsode.generation.filters.contract import Context
from rhapsode.generation.loop import Job

__all__ = ["Found", "Search", "best_first", "log_softmax"]

ROUNDING = 1e-4
"""Nats by which a log-probability may differ for no other reason."""


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


class Search:
    """The rows of a search: what each has written, and the states behind it.

    Arguments:
        predictor: the model.
        job: what to continue.
        chain: what may be written.
        seed: told to the filters.
    """

    def __init__(self, predictor: Predictor, job: Job, chain: Chain, seed: int = 0) -> None:
        self._predictor = predictor
        self._job = job
        self._chain = chain
        self._seed = seed
        # By how much what follows may raise a log-probability, from what filters have made likelier up to now.
        self.rise = 0.0
        self._states = chain.init(1)
        read_1T = np.concatenate(([END_ID], job.prompt_N)).astype(np.int64)[None]
        self._logits_RV, self._state = predictor.advance(read_1T, predictor.start(1))
        self.output_RT = np.zeros((1, 0), dtype=np.int64)

    @property
    def position(self) -> int:
        """Elements that every row has written."""
        return self.output_RT.shape[1]

    def candidates(self) -> NDArray[np.float64]:
        """Log-probabilities (R, V) of what may come next, -inf elsewhere; what is removed is not shared out."""
        rows = len(self.output_RT)
        context = Context(
            (self._job.prompt_N,) * rows,
            tuple(self.output_RT),
            np.full(rows, self.position, dtype=np.int64),
            np.full(rows, self._job.sequence, dtype=np.int64),
            self._seed,
        )
        log_RV = log_softmax(self._logits_RV)
        after_RV, self._states = self._chain.apply(log_RV.astype(np.float32), context, self._states)
        # In float64 where a step left them alone: sums of many would show the rounding.
        same_RV = after_RV == log_RV.astype(np.float32)
        raised_RV = after_RV > log_RV + ROUNDING
        if raised_RV[:, END_ID].any():  # it comes once
            self.rise = max(
                self.rise, float((after_RV - log_RV)[raised_RV[:, END_ID], END_ID].max())
            )
        if np.delete(raised_RV, END_ID, axis=1).any():
            self.rise = math.inf
        return np.where(same_RV, log_RV, after_RV.astype(np.float64))

    def select(self, rows_R: NDArray[np.int64]) -> None:
        """Go on with some rows; a row may occur twice."""
        self._state = self._predictor.select(self._state, rows_R)
        self._states = self._chain.select(self._states, rows_R)
        self._logits_RV = self._logits_RV[rows_R]
        self.output_RT = self.output_RT[rows_R]

    def write(self, rows_R: NDArray[np.int64], elements_R: NDArray[np.int64]) -> None:
        """Go on with some rows, each by an element."""
        self.select(rows_R)
        self.output_RT = np.concatenate((self.output_RT, elements_R[:, None]), axis=1)
        self._logits_RV, self._state = self._predictor.advance(elements_R[:, None], self._state)


def log_softmax(logits_RV: NDArray[Any]) -> NDArray[np.float64]:
    """Normalised log-probabilities, float64."""
    wide_RV = logits_RV.astype(np.float64)
    wide_RV -= wide_RV.max(axis=1, keepdims=True)
    normal_RV: NDArray[np.float64] = wide_RV - np.log(np.exp(wide_RV).sum(axis=1, keepdims=True))
    return normal_RV


def best_first(values_M: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Where the largest finite values are, at most so many, the largest first, ties in order."""
    places = np.flatnonzero(values_M > -np.inf)
    if len(places) > most:
        least = np.partition(values_M[places], len(places) - most)[len(places) - most]
        places = places[values_M[places] >= least]
    order = np.argsort(-values_M[places], kind="stable")[:most]
    return places[order]

"""Distributions over the next element of every row. No torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.errors import SettingsError

if TYPE_CHECKING:  # counting loads a compiler
    from rhapsode.counts.mixing.contributions import Contributions

Elements = NDArray[np.int64] | NDArray[np.float64]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

GREEDY_BELOW = 1e-5
"""Temperatures below it choose the likeliest element."""


@dataclass(frozen=True)
class Sample:
    """One element for each row.

    Arguments:
        elements: ids (B,), or values (B, K) in the data's own units.
        ids_BK: identifiers that filters may look at; None for values drawn from a density.
    """

    elements: Elements
    ids_BK: NDArray[np.int64] | None


@dataclass(frozen=True)
class Table:
    """Summary of a distribution, row by row.

    Arguments:
        elements: the likeliest ids (B, k), the likeliest first; or quantiles (B, k, K) in the
            data's own units.
        probabilities: of each id (B, k); or the levels of the quantiles (k,), rising.
    """

    elements: Elements
    probabilities: Floats


class Distribution(ABC):
    """A distribution over the next element of B rows.

    It may share memory with the state that came with it: use it before that state is advanced.
    """

    features_BTH: Singles | None = None
    """Features of the network after each element read, if they were requested."""
    allowed_BV: NDArray[np.bool_] | None = None
    """Identifiers that a grammar allows; None if it allows all, or there is none."""

    @abstractmethod
    def __len__(self) -> int:
        """B, the number of rows."""

    @property
    def logits_BKV(self) -> Singles | None:
        """Logits of the K identifiers of an element.

        None for a density, on which no filter can act.
        """
        return None

    @property
    def logits_BV(self) -> Singles:
        """Logits of a single identifier.

        Raises:
            SettingsError: an element is not one of V identifiers.
        """
        logits_BKV = self.logits_BKV
        if logits_BKV is None or logits_BKV.shape[1] != 1:
            raise SettingsError("this model predicts numbers, not one element of a vocabulary")
        return logits_BKV[:, 0]

    @property
    def alone_BV(self) -> Singles:
        """Logits of the network alone, before counts are mixed in.

        Raises:
            SettingsError: an element is not one of V identifiers.
        """
        return self.logits_BV

    @abstractmethod
    def log_prob(self, elements: Elements) -> Floats:
        """Log-probability or log-density of one element per row, (B,).

        It is in nats and in the data's own units.

        Arguments:
            elements: ids (B,), or values (B, K); a value that is NaN is missing and adds nothing.
        """

    @abstractmethod
    def sample(
        self,
        uniforms_BK: Floats,
        temperature: float = 1.0,
        logits_BKV: Singles | None = None,
    ) -> Sample:
        """Draw one element per row by inversion.

        Arguments:
            uniforms_BK: in [0, 1), one for each number of an element.
            temperature: 1 is the model itself, 0 its likeliest element, or its centre.
            logits_BKV: filtered logits, used instead of the distribution's own; the temperature
                then only selects the centre of a bin (0) or a draw within it.
        """

    @abstractmethod
    def given(self, elements: Elements) -> Sample:
        """Sample of elements that were not drawn, one per row.

        It has the identifiers that filters use.
        """

    @abstractmethod
    def table(self, k: int) -> Table:
        """The k likeliest ids, or k evenly spaced quantiles of each number."""

    @abstractmethod
    def select(self, rows_R: NDArray[np.int64]) -> Distribution:
        """Distributions of some rows, in that order.

        A row may occur twice.
        """

    def contributions(self, row: int) -> Contributions | None:
        """Contributions of network and counts to the distribution of a row.

        None where a single model predicts.
        """
        return None


class LogitsDistribution(Distribution):
    """A distribution over V identifiers.

    Arguments:
        logits_BV: unnormalised log-probabilities, float32.
        features_BTH: of the network, if they were requested.
        allowed_BV: identifiers that a grammar allows, if it does not allow all; the logits of the
            others become -inf.
    """

    def __init__(
        self,
        logits_BV: Singles,
        features_BTH: Singles | None = None,
        allowed_BV: NDArray[np.bool_] | None = None,
    ) -> None:
        if allowed_BV is not None:
            logits_BV = np.where(allowed_BV, logits_BV, np.float32(-np.inf))
        self._logits_BV = logits_BV
        self.features_BTH = features_BTH
        self.allowed_BV = allowed_BV

    def __len__(self) -> int:
        return len(self._logits_BV)

    @property
    def logits_BKV(self) -> Singles:
        return self._logits_BV[:, None]

    @property
    def logits_BV(self) -> Singles:
        return self._logits_BV

    def log_prob(self, elements: Elements) -> Floats:
        log_prob_B: Floats = log_softmax(self._logits_BV)[
            np.arange(len(elements)), np.asarray(elements, dtype=np.int64)
        ]
        return log_prob_B

    def sample(
        self,
        uniforms_BK: Floats,
        temperature: float = 1.0,
        logits_BKV: Singles | None = None,
    ) -> Sample:
        logits_BV = self._logits_BV if logits_BKV is None else logits_BKV[:, 0]
        if logits_BKV is None and temperature < GREEDY_BELOW:
            return self.given(logits_BV.argmax(axis=1))
        if logits_BKV is None and temperature != 1.0:
            logits_BV = (logits_BV - logits_BV.max(axis=1, keepdims=True)) / temperature
        return self.given(draw(logits_BV, uniforms_BK[:, 0]))

    def given(self, elements: Elements) -> Sample:
        ids_B = np.asarray(elements, dtype=np.int64)
        return Sample(ids_B, ids_B[:, None])

    def table(self, k: int) -> Table:
        """The k likeliest ids, the lower id first on ties."""
        log_BV = log_softmax(self._logits_BV)
        ids_BC = np.argsort(-self._logits_BV, axis=1, kind="stable")[:, :k]
        return Table(ids_BC, np.exp(np.take_along_axis(log_BV, ids_BC, axis=1)))

    def select(self, rows_R: NDArray[np.int64]) -> LogitsDistribution:
        features_BTH = None if self.features_BTH is None else self.features_BTH[rows_R]
        allowed_BV = None if self.allowed_BV is None else self.allowed_BV[rows_R]
        return LogitsDistribution(self._logits_BV[rows_R], features_BTH, allowed_BV)


def log_softmax(logits: NDArray[np.floating]) -> Floats:
    """Log-probabilities along the last axis, float64; -inf stays -inf.

    Arguments:
        logits: (..., V), at least one entry of a row is finite.
    """
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    normalised: Floats = wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return normalised


def draw(logits_BV: NDArray[np.floating], uniform_B: Floats) -> NDArray[np.int64]:
    """Draw one element per row by inversion, in float64.

    Arguments:
        logits_BV: -inf for elements that cannot be drawn; at least one entry of a row is finite.
        uniform_B: in [0, 1).
    """
    wide_BV = logits_BV.astype(np.float64)
    weight_BV = np.exp(wide_BV - wide_BV.max(axis=1, keepdims=True))
    total_BV = np.cumsum(weight_BV, axis=1)
    point_B = uniform_B * total_BV[:, -1]
    chosen_B = (total_BV <= point_B[:, None]).sum(axis=1)
    # Rounding may push a point to the very end: take the last element that has any probability.
    last_B = logits_BV.shape[1] - 1 - np.argmax(weight_BV[:, ::-1] > 0, axis=1)
    element_B: NDArray[np.int64] = np.minimum(chosen_B, last_B).astype(np.int64)
    return element_B

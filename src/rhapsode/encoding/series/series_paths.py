"""Paths of series, encoded and decoded step by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.encoding.series.scaling import SeriesStats
from rhapsode.encoding.vectors import FARTHEST, Floats, Singles

if TYPE_CHECKING:
    from rhapsode.encoding.series.values import SeriesEncoder

# e^690 is inside float64.
LARGEST_LOG = 690.0


def network_inputs(z_BK: Floats) -> Singles:
    """Network inputs (2, B, K): values, and flags of known ones.

    Missing values are 0.
    """
    known_BK = ~np.isnan(z_BK)
    held_BK = np.where(known_BK, np.clip(z_BK, -FARTHEST, FARTHEST), 0.0)
    return np.stack((held_BK, known_BK)).astype(np.float32)


def known_mean(rows: Iterable[Floats], count: int) -> Floats:
    """Mean of the known values of `count` arrays; NaN without any.

    Arrays are added in their order.
    """
    total: Any = 0.0
    known: Any = 0
    for row in rows:
        there = ~np.isnan(row)
        # Each is divided before it is added: the sum of the largest numbers would overflow.
        total = total + np.where(there, row, 0.0) / count
        known = known + there
    return np.where(known > 0, total * (count / np.maximum(known, 1)), np.nan)


@dataclass
class SeriesPaths:
    """Paths of many series at the same step.

    Each path holds what its next value depends on. Reading changes a path in place; `select` and
    `fork` give paths of their own.

    Arguments:
        encoder: the encoder.
        stats: the scales, (B, K) each.
        levels: of the last steps, a ring (steps, B, K).
        inputs: the same steps as network inputs, (steps, 2, B, K).
        steps: number of steps read; modulo the ring's length, the place of the next one.
    """

    encoder: SeriesEncoder
    stats: SeriesStats
    levels: Floats
    inputs: Singles
    steps: int = 0

    def __len__(self) -> int:
        """B, the number of paths."""
        return len(self.stats.shift_K)

    def features(self) -> Singles:
        """Features (B, D) of the next value."""
        size = len(self.inputs)
        lagged = (self.inputs[(self.steps - lag) % size] for lag in self.encoder.lags)
        return self.encoder.features(lagged, self.stats, len(self))

    def log_scale(self) -> Floats:
        """Logarithm of the factor of a count's mean, (B, K), for `DensityHead.scaled`."""
        return np.log(self.stats.count_scale_K)

    def encode_next(self, values_BK: NDArray[np.floating]) -> tuple[Floats, Floats]:
        """Targets (B, K) and log-Jacobians (B,) of next values.

        The values are not read.
        """
        values_BK = self.encoder.checked(values_BK)
        targets_BK, _, jacobian_B = self.encoder.targets(
            values_BK, self._scaled(self.encoder.levels(values_BK)), self.stats
        )
        return targets_BK, jacobian_B

    def decode_next(self, targets_BK: NDArray[np.floating]) -> Floats:
        """Values (B, K) of targets drawn for the next step.

        Values are in the data's own units, and inside the limits of their series. Nothing is read.
        A path without a level to add a change to starts at its series' mean level.
        """
        drawn_BK = np.asarray(targets_BK, dtype=np.float64)
        if self.encoder.counts:
            held_BK = self.stats.limited(drawn_BK, self.steps)
            return np.rint(held_BK) if self.encoder.settings.counts else held_BK
        with np.errstate(over="ignore", invalid="ignore"):
            level_BK = drawn_BK * self.stats.scale_K + self.stats.shift_K
            if self.encoder.compared:
                reference_BK = self._reference()
                level_BK += np.where(np.isnan(reference_BK), self.stats.level_K, reference_BK)
            if self.encoder.settings.log:
                level_BK = np.maximum(np.expm1(np.minimum(level_BK, LARGEST_LOG)), 0.0)
        return self.stats.limited(level_BK, self.steps)

    def push(self, values_BK: NDArray[np.floating]) -> None:
        """Read the next value of every path, (B, K); NaN where missing.

        Raises:
            EncodingError: as `SeriesEncoder.encode`.
        """
        level_BK = self.encoder.levels(self.encoder.checked(values_BK))
        here = self.steps % len(self.levels)
        self.inputs[here] = network_inputs(self._scaled(level_BK))
        if self.encoder.settings.difference:
            # A missing value is replaced by its reference.
            level_BK = np.where(np.isnan(level_BK), self._reference(), level_BK)
        self.levels[here] = level_BK
        self.steps += 1

    def select(self, rows_R: NDArray[np.int64]) -> SeriesPaths:
        """Some of the paths, in that order; a row may occur twice."""
        return SeriesPaths(
            self.encoder,
            SeriesStats(*self.stats.to_array()[:, rows_R]),
            self.levels[:, rows_R],
            self.inputs[:, :, rows_R],
            self.steps,
        )

    def fork(self) -> SeriesPaths:
        """Independent copies of the paths."""
        return self.select(np.arange(len(self)))

    @classmethod
    def join(cls, parts: Sequence[SeriesPaths]) -> SeriesPaths:
        """Concatenate paths, whatever number of steps each has read."""
        rows_7BK = np.concatenate([part.stats.to_array() for part in parts], axis=1)
        levels = np.concatenate([part._in_order(part.levels) for part in parts], axis=1)
        inputs = np.concatenate([part._in_order(part.inputs) for part in parts], axis=2)
        return cls(parts[0].encoder, SeriesStats(*rows_7BK), levels, inputs)

    def _in_order(self, ring: NDArray[Any]) -> NDArray[Any]:
        """The last steps, the oldest first."""
        return np.roll(ring, -self.steps % len(ring), axis=0)

    def _level(self, back: int) -> Floats:
        level_BK: Floats = self.levels[(self.steps - back) % len(self.levels)]
        return level_BK

    def _reference(self) -> Floats:
        """Levels (B, K) that the next values are compared with.

        NaN without any.
        """
        back = self.encoder.compared
        if self.encoder.settings.centre:
            return known_mean((self._level(step) for step in range(back, 0, -1)), back)
        return self._level(back)

    def _scaled(self, levels_BK: Floats) -> Floats:
        changes_BK = levels_BK - self._reference() if self.encoder.compared else levels_BK
        return self.encoder.scaled(changes_BK, self.stats)

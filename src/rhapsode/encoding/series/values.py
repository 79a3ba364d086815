"""Series of real numbers to features and targets and back, and what the change of units costs a density.

A row of features holds what is known before a value, the row of targets is that value: nothing has to be shifted, and
the first value of a series is predicted like any other. A value x goes through g = log(1 + x), where that is asked
for, then d = g less the g of `difference` steps before (or the mean of the `centre` before it), then
z = (d - shift) / scale; `SeriesPaths` goes the same way step by step, for any number of paths side by side, and back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rhapsode.config import from_mapping, to_mapping
from rhapsode.encoding.series.scaling import Scaling, SeriesStats, column_scale
from rhapsode.encoding.vectors import EncodedValues
from rhapsode.errors import BundleError, EncodingError, SettingsError

# Features further out are cut: nothing is learnt from how far beyond ten thousand scales a value lies.
FARTHEST = 1e4
# Drawn values stay numbers: e^690 and this are inside float64.
LARGEST = 1e300
LARGEST_LOG = 690.0
LOG_SCALE_UNIT = 0.1

Lag = Annotated[int, Meta(ge=1, le=1 << 16)]


@dataclass(frozen=True)
class SeriesEncoderSettings:
    """Settings of `series.v1`."""

    scaling: Scaling = "mean_abs"
    """Scaling of each series by its own past: `mean_abs`, `standard` (mean and standard deviation),
    `robust` (median and quartiles) or `none`."""
    log: bool = False
    """Model log(1 + x); requires that values are never negative."""
    difference: Annotated[int, Meta(ge=0, le=1 << 16)] = 0
    """Model differences over this many steps: 1, or the length of a season; 0 models the values
    themselves."""
    centre: Annotated[int, Meta(ge=0, le=1 << 16)] = 0
    """Model differences from the mean of the last N values, for series whose level drifts; 0 models
    the values themselves."""
    lags: tuple[Lag, ...] = ()
    """Additional inputs: for each N, the value N steps before the target."""
    counts: bool = False
    """Use whole numbers as targets, for a head of count data; only the inputs are scaled."""


class SeriesEncoder:
    """Series of K numbers a step to features, targets and log-Jacobians, and drawn targets back to numbers.

    Arguments:
        settings: how.
        target_size: K.

    Raises:
        SettingsError: settings that exclude one another.
    """

    name = "series.v1"

    def __init__(self, settings: SeriesEncoderSettings, target_size: int = 1) -> None:
        if settings.counts and settings.difference:
            raise SettingsError(
                "counts are not differenced",
                where="encoder.difference",
                hint="leave out difference, or counts",
            )
        if settings.centre and (settings.difference or settings.counts):
            other = "difference" if settings.difference else "counts"
            raise SettingsError(
                f"centre and {other} exclude one another",
                where="encoder.centre",
                hint="leave out one of them",
            )
        if len(set(settings.lags)) != len(settings.lags):
            raise SettingsError("a lag occurs twice", where="encoder.lags")
        self.settings = settings
        self.target_size = target_size
        self.lags = (1, *settings.lags)

    @property
    def span(self) -> int:
        """Steps back that a row of features depends on, what its values are compared with included."""
        return max(self.lags) + max(self.settings.difference, self.settings.centre)

    @property
    def feature_size(self) -> int:
        """D, the width of a row of features."""
        return self.target_size * (2 * len(self.lags) + 1)

    @property
    def counts(self) -> bool:
        """True if targets are counts, for a head of counts."""
        return self.settings.counts

    @property
    def spans_gaps(self) -> bool:
        """True if features depend on any distance where values are missing."""
        return bool(self.settings.difference)

    @property
    def refers(self) -> bool:
        """Whether what is modelled is the distance from values before."""
        return bool(self.settings.difference or self.settings.centre)

    @property
    def reach(self) -> int:
        """Steps back that the next row of features and the next value depend on."""
        return max(*self.lags, self.settings.difference, self.settings.centre)

    def to_mapping(self) -> dict[str, Any]:
        """Plain values that `from_mapping` reads back."""
        return {
            "name": self.name,
            "settings": to_mapping(self.settings),
            "target_size": self.target_size,
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> SeriesEncoder:
        """The encoder written by `to_mapping`.

        Raises:
            BundleError: the mapping is malformed.
        """
        settings, size = mapping.get("settings"), mapping.get("target_size")
        if mapping.get("name") != cls.name or not isinstance(settings, dict):
            raise BundleError("the encoder's description is malformed")
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= 1 << 12:
            raise BundleError("the encoder's number of targets is malformed")
        settings = from_mapping(SeriesEncoderSettings, settings, where="encoder", error=BundleError)
        try:
            return cls(settings, size)
        except SettingsError as problem:
            raise BundleError(problem.what, where=problem.where) from None

    def stats(self, history_TK: NDArray[np.floating]) -> SeriesStats:
        """The scale of a series, from its history alone.

        Arguments:
            history_TK: observed values, (T, K); NaN where missing. Nothing of what is to be forecast.
        """
        values_TK = self._checked(history_TK)
        levels_TK = self._levels(values_TK)
        changes_TK = levels_TK - self._references(levels_TK)
        pairs = [column_scale(column, self.settings.scaling) for column in changes_TK.T]
        known_K = np.maximum(np.isfinite(values_TK).sum(axis=0), 1)
        with np.errstate(over="ignore"):
            means_K = [column_scale(column, "mean_abs")[1] for column in values_TK.T]
        empty_K = ~(np.nan_to_num(values_TK) != 0).any(axis=0)
        return SeriesStats(
            np.array([shift for shift, _ in pairs]),
            np.array([scale for _, scale in pairs]),
            np.nan_to_num(levels_TK / known_K).sum(axis=0),
            # A history of n zeros speaks of a mean below 1 / n.
            np.where(empty_K, 1 / (known_K + 1), means_K),
        )

    def encode(self, values_TK: NDArray[np.floating], stats: SeriesStats) -> EncodedValues:
        """A series from its beginning on.

        Arguments:
            values_TK: (T, K), NaN (or an infinity) where missing.
            stats: the scale, as `stats` told it from the part that may be known.

        Raises:
            EncodingError: a negative value where `log` or `counts` declares that there is none, or a count that is
                not whole.
        """
        values_TK = self._checked(values_TK)
        levels_TK = self._levels(values_TK)
        z_TK = self._scaled(levels_TK - self._references(levels_TK), stats)
        return EncodedValues(
            self._features(z_TK, stats),
            *self._targets(values_TK, z_TK, stats),
        )

    def paths(self, stats: SeriesStats | Sequence[SeriesStats], copies: int = 1) -> SeriesPaths:
        """Paths of series that have no past yet.

        Arguments:
            stats: one series' scale, or several series'.
            copies: paths of each series; those of one series stand next to one another.
        """
        each = [stats] if isinstance(stats, SeriesStats) else list(stats)
        rows_4BK = np.stack([one.to_array() for one in each], axis=1).repeat(copies, axis=1)
        return SeriesPaths(self, SeriesStats(*rows_4BK))

    def paths_after(self, values_TK: NDArray[np.floating], stats: SeriesStats) -> SeriesPaths:
        """One path that has seen these values, as if each had been read in turn.

        Raises:
            EncodingError: as `encode`.
        """
        values_TK = self._checked(values_TK)
        levels_TK = self._levels(values_TK)
        references_TK = self._references(levels_TK)
        z_TK = self._scaled(levels_TK - references_TK, stats)
        paths = self.paths(stats)
        kept = min(len(z_TK), self.reach)
        if kept:
            filled_TK = levels_TK
            if self.settings.difference:
                filled_TK = np.where(np.isnan(levels_TK), references_TK, levels_TK)
            paths._z[-kept:, 0], paths._levels[-kept:, 0] = z_TK[-kept:], filled_TK[-kept:]
            paths._fed[:] = np.stack(_fed(paths._z), axis=1)
        return paths

    def _checked(self, given_TK: NDArray[np.floating]) -> NDArray[np.float64]:
        """The values as float64, what is not finite as NaN."""
        values_TK: NDArray[np.float64] = np.asarray(given_TK, dtype=np.float64)
        if values_TK.ndim != 2 or values_TK.shape[1] != self.target_size:
            raise ValueError(f"values of shape {values_TK.shape} for {self.target_size} targets")
        values_TK = np.where(np.isfinite(values_TK), values_TK, np.nan)
        if self.settings.log or self.settings.counts:
            self._refuse(values_TK < 0, values_TK, "negative")
        if self.settings.counts:
            self._refuse(values_TK != np.round(values_TK), values_TK, "not a whole number")
        return values_TK

    def _refuse(
        self, wrong_TK: NDArray[np.bool_], values_TK: NDArray[np.float64], what: str
    ) -> None:
        wrong_TK = wrong_TK & ~np.isnan(values_TK)
        if not wrong_TK.any():
            return
        step, target = (int(place[0]) for place in np.nonzero(wrong_TK))
        setting = "counts" if self.settings.counts else "log"
        raise EncodingError(
            f"{values_TK[step, target]:g} is {what}, which encoder.{setting} declares impossible",
            where=f"step {step + 1}",
            hint=f"set encoder.{setting} to false",
        )

    def _levels(self, values_TK: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log1p(values_TK) if self.settings.log else values_TK

    def _references(self, levels_TK: NDArray[np.float64]) -> NDArray[np.float64] | float:
        """What each level is compared with: the last one known a whole number of differences before, or NaN."""
        if self.settings.centre:
            return self._means(levels_TK)
        lag = self.settings.difference
        if not lag:
            return 0.0
        length = len(levels_TK)
        cycles = -(-length // lag) + 1
        padded = np.full((cycles * lag, levels_TK.shape[1]), np.nan)
        padded[lag : lag + length] = levels_TK[: (cycles - 1) * lag]
        shaped = padded.reshape(cycles, lag, -1)
        known = ~np.isnan(shaped)
        place = np.where(known, np.arange(cycles)[:, None, None], 0)
        filled = np.take_along_axis(shaped, np.maximum.accumulate(place, axis=0), axis=0)
        return filled.reshape(cycles * lag, -1)[:length]

    def _means(self, levels_TK: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean of what is known of the `centre` levels before each; NaN where nothing is."""
        reach, width = self.settings.centre, levels_TK.shape[1]
        length = len(levels_TK)
        padded = np.concatenate((np.full((reach, width), np.nan), levels_TK))
        return _known_mean((padded[back : back + length] for back in range(reach)), reach)

    def _scaled(self, changes_BK: NDArray[np.float64], stats: SeriesStats) -> NDArray[np.float64]:
        with np.errstate(over="ignore"):
            z_BK: NDArray[np.float64] = (changes_BK - stats.shift_K) / stats.scale_K
        return np.clip(z_BK, -LARGEST, LARGEST)

    def _features(self, z_TK: NDArray[np.float64], stats: SeriesStats) -> NDArray[np.float32]:
        length, width = z_TK.shape
        columns = []
        for lag in self.lags:
            past_TK = np.full((length, width), np.nan)
            past_TK[lag:] = z_TK[: max(0, length - lag)]
            columns.append(past_TK)
        return self._row(columns, stats, length)

    def _row(
        self, columns: Sequence[NDArray[np.float64]], stats: SeriesStats, rows: int
    ) -> NDArray[np.float32]:
        """Features (rows, D) of the past values at every lag."""
        parts: list[NDArray[np.float32]] = []
        for past in columns:
            parts += _fed(past)
        parts.append(np.broadcast_to(self._size(stats), (rows, self.target_size)))
        return np.concatenate(parts, axis=1)

    def _size(self, stats: SeriesStats) -> NDArray[np.float32]:
        """What the network is told of the scale."""
        size = np.log(stats.count_scale_K if self.settings.counts else stats.scale_K)
        return np.asarray(LOG_SCALE_UNIT * size, dtype=np.float32)

    def _targets(
        self, values_TK: NDArray[np.float64], z_TK: NDArray[np.float64], stats: SeriesStats
    ) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float64]]:
        """Targets, weights and log-Jacobians."""
        targets_TK = values_TK if self.settings.counts else z_TK
        known_TK = ~np.isnan(targets_TK)
        slope_TK = np.zeros_like(z_TK)
        if not self.settings.counts:
            slope_TK -= np.log(stats.scale_K)
            if self.settings.log:
                slope_TK -= np.log1p(values_TK)
        jacobian_T: NDArray[np.float64] = np.where(known_TK, slope_TK, 0.0).sum(axis=1)
        weights_T = np.asarray(known_TK.any(axis=1), dtype=np.float32)
        return targets_TK.copy(), weights_T, jacobian_T


def _fed(past: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Values as a network takes them, 0 where missing, and which are there."""
    known = ~np.isnan(past)
    held = np.where(known, np.clip(past, -FARTHEST, FARTHEST), 0.0)
    return held.astype(np.float32), known.astype(np.float32)


def _known_mean(rows: Iterable[NDArray[np.float64]], count: int) -> NDArray[np.float64]:
    """The mean of what is not NaN in `count` arrays, added in their order; NaN where nothing is."""
    total: Any = 0.0
    known: Any = 0
    for row in rows:
        there = ~np.isnan(row)
        # Each is divided before it is added: the sum of the largest numbers would be none.
        total = total + np.where(there, row, 0.0) / count
        known = known + there
    mean: NDArray[np.float64] = np.where(known > 0, total * (count / np.maximum(known, 1)), np.nan)
    return mean


class SeriesPaths:
    """Many series at the same step, each with what its next value depends on.

    Reading changes a path in place; `select` and `fork` give paths of their own.

    Arguments:
        encoder: the encoder.
        stats: the scales, (B, K) each.
    """

    def __init__(self, encoder: SeriesEncoder, stats: SeriesStats) -> None:
        self.encoder = encoder
        self.stats = stats
        shape = (encoder.reach, *stats.shift_K.shape)
        self._z = np.full(shape, np.nan)
        self._levels = np.full(shape, np.nan)
        # The same as features, so that a step need not make those of every lag anew.
        self._fed = np.zeros((shape[0], 2, *shape[1:]), dtype=np.float32)
        self._steps = 0

    def __len__(self) -> int:
        """B, the number of paths."""
        return len(self.stats.shift_K)

    def features(self) -> NDArray[np.float32]:
        """Features (B, D) of what comes next."""
        places = [(self._steps - lag) % len(self._z) for lag in self.encoder.lags]
        rows, width = len(self), self.encoder.target_size
        made = np.empty((rows, self.encoder.feature_size), dtype=np.float32)
        lagged = made[:, : 2 * len(places) * width].reshape(rows, len(places), 2, width)
        for number, place in enumerate(places):
            lagged[:, number] = self._fed[place].swapaxes(0, 1)
        made[:, -width:] = self.encoder._size(self.stats)
        return made

    def log_scale(self) -> NDArray[np.float64]:
        """Logarithm of what the mean of a count is multiplied by, (B, K), for `DensityHead.scaled`."""
        return np.log(self.stats.count_scale_K)

    def encode_next(
        self, values_BK: NDArray[np.floating]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Targets (B, K) and log-Jacobians (B,) of values that come next, without reading them."""
        values_BK = self.encoder._checked(values_BK)
        z_BK = self._scaled(values_BK)
        targets_BK, _, jacobian_B = self.encoder._targets(values_BK, z_BK, self.stats)
        return targets_BK, jacobian_B

    def decode_next(self, targets_BK: NDArray[np.floating]) -> NDArray[np.float64]:
        """Values (B, K), in the data's own units, of targets that were drawn for the next step; nothing is read.

        A path without anything to add a change to starts at its series' mean level.
        """
        drawn_BK = np.asarray(targets_BK, dtype=np.float64)
        if self.encoder.settings.counts:
            return drawn_BK.copy()
        with np.errstate(over="ignore", invalid="ignore"):
            level_BK = drawn_BK * self.stats.scale_K + self.stats.shift_K
            if self.encoder.refers:
                reference_BK = self._reference()
                start_BK = np.where(np.isnan(reference_BK), self.stats.level_K, reference_BK)
                level_BK += start_BK
            if self.encoder.settings.log:
                level_BK = np.maximum(np.expm1(np.minimum(level_BK, LARGEST_LOG)), 0.0)
        return np.clip(level_BK, -LARGEST, LARGEST)

    def push(self, values_BK: NDArray[np.floating]) -> None:
        """Read the next value of every path, (B, K); NaN where missing.

        Raises:
            EncodingError: as `SeriesEncoder.encode`.
        """
        values_BK = self.encoder._checked(values_BK)
        here = self._steps % len(self._z)
        z_BK = self._scaled(values_BK)
        level_BK = self.encoder._levels(values_BK)
        if self.encoder.settings.difference:
            # What is missing leaves what it would have been compared with in its place.
            level_BK = np.where(np.isnan(level_BK), self._reference(), level_BK)
        self._z[here], self._levels[here] = z_BK, level_BK
        self._fed[here] = _fed(z_BK)
        self._steps += 1

    def select(self, rows_R: NDArray[np.int64]) -> SeriesPaths:
        """Some of the paths, in that order; a row may occur twice."""
        stats = SeriesStats(*self.stats.to_array()[:, rows_R])
        chosen = SeriesPaths(self.encoder, stats)
        chosen._z, chosen._levels = self._z[:, rows_R], self._levels[:, rows_R]
        chosen._fed = self._fed[:, :, rows_R]
        chosen._steps = self._steps
        return chosen

    def fork(self) -> SeriesPaths:
        """The same paths, which never see what these read."""
        return self.select(np.arange(len(self)))

    @classmethod
    def join(cls, parts: Sequence[SeriesPaths]) -> SeriesPaths:
        """The paths of several, one behind the other, whatever number of steps each has seen."""
        rows = np.concatenate([part.stats.to_array() for part in parts], axis=1)
        joined = cls(parts[0].encoder, SeriesStats(*rows))
        joined._z = np.concatenate([part._in_order(part._z) for part in parts], axis=1)
        joined._levels = np.concatenate([part._in_order(part._levels) for part in parts], axis=1)
        joined._fed = np.concatenate([part._in_order(part._fed) for part in parts], axis=2)
        return joined

    def _in_order(self, ring: NDArray[Any]) -> NDArray[Any]:
        """The last steps, the oldest first."""
        return np.roll(ring, -self._steps % len(ring), axis=0)

    def _reference(self) -> NDArray[np.float64]:
        reach = self.encoder.settings.centre
        if reach:
            size = len(self._levels)
            last = (self._levels[(self._steps - back) % size] for back in range(reach, 0, -1))
            return _known_mean(last, reach)
        lag = self.encoder.settings.difference
        reference_BK: NDArray[np.float64] = self._levels[(self._steps - lag) % len(self._levels)]
        return reference_BK

    def _scaled(self, values_BK: NDArray[np.float64]) -> NDArray[np.float64]:
        changes_BK = self.encoder._levels(values_BK)
        if self.encoder.refers:
            changes_BK = changes_BK - self._reference()
        return self.encoder._scaled(changes_BK, self.stats)

"""Encoding of series: real numbers to features and targets, and back.

A row of features holds what is known before a value, and the row of targets is that value: nothing
has to be shifted, and the first value of a series is predicted like any other. A value x is
transformed to g = log(1 + x), if configured, then to d = g minus the g of `difference` steps before
(or minus the mean of the last `centre` ones), then to z = (d - shift) / scale. Log-Jacobians go
with the targets. `SeriesPaths` does the same step by step, for any number of paths side by side,
and inverts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rhapsode.config import from_mapping, to_mapping
from rhapsode.encoding.series.scaling import (
    LARGEST,
    Scaling,
    SeriesStats,
    column_extent,
    column_scale,
)
from rhapsode.encoding.series.series_paths import SeriesPaths, known_mean, network_inputs
from rhapsode.encoding.vectors import EncodedValues, Floats, Singles
from rhapsode.errors import BundleError, EncodingError, SettingsError

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
    amounts: bool = False
    """Use the values themselves as targets, for the head hurdle_gamma; requires that values are
    never negative. Only the inputs are scaled."""
    margin: Annotated[float, Meta(ge=0.0, le=1e6)] = 0.0
    """Limit of sample paths: ranges of its history by which a path may leave that range, more with
    every step; 0 for no limit. [default in training: twice the distance of the values after earlier
    parts of the series, at least 2]"""


class SeriesEncoder:
    """Encoder of series of K numbers a step.

    Arguments:
        settings: scaling, differences and lags.
        target_size: K.

    Raises:
        SettingsError: settings that exclude one another.
    """

    name = "series.v1"

    def __init__(self, settings: SeriesEncoderSettings, target_size: int = 1) -> None:
        own = "amounts" if settings.amounts else "counts"
        unscaled = settings.counts or settings.amounts
        if unscaled and settings.difference:
            raise SettingsError(
                f"{own} cannot be differenced",
                where="encoder.difference",
                hint=f"leave out difference, or {own}",
            )
        if settings.counts and settings.amounts:
            raise SettingsError("counts and amounts exclude one another", where="encoder.amounts")
        if settings.centre and (settings.difference or unscaled):
            other = "difference" if settings.difference else own
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
        # D, the width of a row of features.
        self.feature_size = target_size * (2 * len(self.lags) + 1)
        # True if targets are values in the data's own units, for a head of counts or amounts.
        self.counts = unscaled
        # True if features depend on any distance where values are missing.
        self.spans_gaps = settings.difference > 0
        # Steps back to the values that the next one is compared with; 0 if it stands for itself.
        self.compared = max(settings.difference, settings.centre)
        # Steps back that the next row of features and the next value depend on.
        self.reach = max(*self.lags, self.compared)
        # Steps back that a row of features depends on, comparisons included.
        self.span = max(self.lags) + self.compared

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
        if type(size) is not int or not 1 <= size <= 1 << 12:
            raise BundleError("the encoder's number of targets is malformed")
        settings = from_mapping(SeriesEncoderSettings, settings, where="encoder", error=BundleError)
        try:
            return cls(settings, size)
        except SettingsError as problem:
            raise BundleError(problem.what, where=problem.where) from None

    def stats(self, history_TK: NDArray[np.floating]) -> SeriesStats:
        """The scale of a series, from its history alone.

        Arguments:
            history_TK: observed values, (T, K); NaN where missing. They must not include values
                that are to be forecast.
        """
        values_TK = self.checked(history_TK)
        levels_TK = self.levels(values_TK)
        changes_TK = levels_TK - self._references(levels_TK)
        pairs_K2 = np.array(
            [column_scale(column, self.settings.scaling) for column in changes_TK.T]
        )
        known_K = np.maximum(np.isfinite(values_TK).sum(axis=0), 1)
        with np.errstate(over="ignore"):
            means_K = [column_scale(column, "mean_abs")[1] for column in values_TK.T]
        empty_K = ~(np.nan_to_num(values_TK) != 0).any(axis=0)
        low_K, high_K, width_K, step_K = np.array(
            [column_extent(column) for column in values_TK.T]
        ).T
        room_K = self.settings.margin * width_K if self.settings.margin else LARGEST
        return SeriesStats(
            pairs_K2[:, 0],
            pairs_K2[:, 1],
            np.nan_to_num(levels_TK / known_K).sum(axis=0),
            # A history of n zeros suggests a mean below 1 / n.
            np.where(empty_K, 1 / (known_K + 1), means_K),
            np.maximum(low_K - room_K, -LARGEST),
            np.minimum(high_K + room_K, LARGEST),
            np.minimum(self.settings.margin * step_K, LARGEST),
        )

    def encode(self, values_TK: NDArray[np.floating], stats: SeriesStats) -> EncodedValues:
        """Encode a series from its beginning.

        Arguments:
            values_TK: (T, K), NaN (or an infinity) where missing.
            stats: the scale, as `stats` computes it from the known part.

        Raises:
            EncodingError: a negative value where `log` or `counts` declares that there is none, or
                a count that is not whole.
        """
        values_TK = self.checked(values_TK)
        levels_TK = self.levels(values_TK)
        z_TK = self.scaled(levels_TK - self._references(levels_TK), stats)
        inputs = network_inputs(z_TK)
        padded = np.concatenate(
            (np.zeros((2, self.reach, self.target_size), np.float32), inputs), 1
        )
        lagged = (padded[:, self.reach - lag :][:, : len(z_TK)] for lag in self.lags)
        features_TD = self.features(lagged, stats, len(z_TK))
        return EncodedValues(features_TD, *self.targets(values_TK, z_TK, stats))

    def paths(self, stats: SeriesStats | Sequence[SeriesStats], copies: int = 1) -> SeriesPaths:
        """Paths of series that have no past yet.

        Arguments:
            stats: scale of one series, or of several.
            copies: paths of each series; those of one series are next to one another.
        """
        each = [stats] if isinstance(stats, SeriesStats) else list(stats)
        rows_7BK = np.stack([one.to_array() for one in each], axis=1).repeat(copies, axis=1)
        shape_BK = rows_7BK.shape[1:]
        return SeriesPaths(
            self,
            SeriesStats(*rows_7BK),
            np.full((self.reach, *shape_BK), np.nan),
            np.zeros((self.reach, 2, *shape_BK), dtype=np.float32),
        )

    def paths_after(self, values_TK: NDArray[np.floating], stats: SeriesStats) -> SeriesPaths:
        """A path that has read these values.

        It equals a path that has read them one by one.

        Raises:
            EncodingError: as `encode`.
        """
        values_TK = self.checked(values_TK)
        levels_TK = self.levels(values_TK)
        references_TK = self._references(levels_TK)
        z_TK = self.scaled(levels_TK - references_TK, stats)
        if self.settings.difference:
            levels_TK = np.where(np.isnan(levels_TK), references_TK, levels_TK)
        paths = self.paths(stats)
        first = max(0, len(z_TK) - self.reach)
        empty = max(0, self.reach - len(z_TK))
        paths.levels[empty:, 0] = levels_TK[first:]
        paths.inputs[empty:, :, 0] = network_inputs(z_TK[first:]).swapaxes(0, 1)
        return paths

    def checked(self, values_BK: NDArray[np.floating]) -> Floats:
        """Values as float64, with NaN for those that are not finite.

        Raises:
            EncodingError: as `encode`.
        """
        known_BK = np.asarray(values_BK, dtype=np.float64)
        if known_BK.ndim != 2 or known_BK.shape[1] != self.target_size:
            raise ValueError(f"values of shape {known_BK.shape} for {self.target_size} targets")
        known_BK = np.where(np.isfinite(known_BK), known_BK, np.nan)
        if self.settings.log or self.counts:
            self._refuse(known_BK < 0, known_BK, "negative")
        if self.settings.counts:
            wrong_BK = ~np.isnan(known_BK) & (known_BK != np.round(known_BK))
            self._refuse(wrong_BK, known_BK, "not a whole number")
        return known_BK

    def _refuse(self, wrong_BK: NDArray[np.bool_], values_BK: Floats, what: str) -> None:
        if not wrong_BK.any():
            return
        step, target = np.argwhere(wrong_BK)[0]
        setting = "amounts" if self.settings.amounts else "counts" if self.counts else "log"
        raise EncodingError(
            f"{values_BK[step, target]:g} is {what}, which encoder.{setting} declares impossible",
            where=f"step {step + 1}",
            hint=f"set encoder.{setting} to false",
        )

    def levels(self, values_BK: Floats) -> Floats:
        """The values, or their logarithms."""
        return np.log1p(values_BK) if self.settings.log else values_BK

    def _references(self, levels_TK: Floats) -> Floats | float:
        """Reference of each level; NaN without any.

        It is the mean of the last levels, or the last known level a multiple of the difference
        before.
        """
        length, width = levels_TK.shape
        back = self.compared
        if not back:
            return 0.0
        if self.settings.centre:
            padded = np.concatenate((np.full((back, width), np.nan), levels_TK))
            return known_mean((padded[start : start + length] for start in range(back)), back)
        cycles = -(-length // back) + 1
        padded = np.full((cycles * back, width), np.nan)
        padded[back : back + length] = levels_TK[: (cycles - 1) * back]
        shaped = padded.reshape(cycles, back, -1)
        place = np.where(np.isnan(shaped), 0, np.arange(cycles)[:, None, None])
        filled = np.take_along_axis(shaped, np.maximum.accumulate(place, axis=0), axis=0)
        return filled.reshape(cycles * back, -1)[:length]

    def scaled(self, changes_BK: Floats, stats: SeriesStats) -> Floats:
        """Changes in units of the scale, inside float64."""
        with np.errstate(over="ignore"):
            z_BK = (changes_BK - stats.shift_K) / stats.scale_K
        return np.clip(z_BK, -LARGEST, LARGEST)

    def features(self, lagged: Iterable[Singles], stats: SeriesStats, rows: int) -> Singles:
        """Features (B, D) of lagged network inputs and of the scale.

        The network inputs are (2, B, K) at every lag.
        """
        features_BD = np.empty((rows, self.feature_size), dtype=np.float32)
        columns = features_BD[:, : -self.target_size].reshape(
            rows, len(self.lags), 2, self.target_size
        )
        for number, inputs in enumerate(lagged):
            columns[:, number] = inputs.swapaxes(0, 1)
        size = np.log(stats.count_scale_K if self.counts else stats.scale_K)
        features_BD[:, -self.target_size :] = LOG_SCALE_UNIT * size
        return features_BD

    def targets(
        self, values_BK: Floats, z_BK: Floats, stats: SeriesStats
    ) -> tuple[Floats, Singles, Floats]:
        """Targets, weights and log-Jacobians."""
        targets_BK = values_BK if self.counts else z_BK
        known_BK = ~np.isnan(targets_BK)
        slope_BK = np.zeros_like(z_BK)
        if not self.counts:
            slope_BK -= np.log(stats.scale_K)
            if self.settings.log:
                slope_BK -= np.log1p(values_BK)
        jacobian_B: Floats = np.where(known_BK, slope_BK, 0.0).sum(axis=1)
        weights_B = np.asarray(known_BK.any(axis=1), dtype=np.float32)
        return targets_BK.copy(), weights_B, jacobian_B

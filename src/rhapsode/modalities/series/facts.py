"""Series in a model file: covariates, season, horizon, templates. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from rhapsode.bundle import Bundle, ValueFacts
from rhapsode.data import Condition
from rhapsode.data.tables import (
    CALENDAR_VALUES,
    Frequency,
    SeriesSet,
    TimeKind,
    calendar_features,
    calendar_names,
)
from rhapsode.encoding.series import SeriesEncoder
from rhapsode.errors import BundleError, DataError
from rhapsode.modalities.series.anomalies.scores import Tails

# Kinds beyond this many are not told apart: nothing would be learnt of each.
MOST_LEVELS = 256

Singles = NDArray[np.float32]
Steps = Annotated[int, Meta(ge=1, le=1 << 24)]


@dataclass(frozen=True)
class Covariates:
    """Inputs of a network besides the values, and their scaling.

    Arguments:
        calendar: names of the calendar features.
        known: names of the columns that are known ahead.
        known_shift: subtracted from each.
        known_scale: divisor of each, after the shift.
        static: names of the numbers that describe a whole series.
        static_shift: subtracted from each.
        static_scale: divisor of each, after the shift.
        categories: names of the categories of a whole series.
        levels: of each category, those that have a column of their own.
        conditioned: True if static attributes condition the network; False if they are inputs at
            every time.
    """

    calendar: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    known_shift: tuple[float, ...] = ()
    known_scale: tuple[float, ...] = ()
    static: tuple[str, ...] = ()
    static_shift: tuple[float, ...] = ()
    static_scale: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    levels: tuple[tuple[str, ...], ...] = ()
    conditioned: bool = False

    @property
    def size(self) -> int:
        """X, the number of covariates at a time."""
        fed = 0 if self.conditioned else len(self.static) + self.static_size
        return 2 * (len(self.calendar) + len(self.known)) + fed

    @property
    def static_size(self) -> int:
        """K, the number of static attributes, without indicators of missing ones."""
        return len(self.static) + sum(map(len, self.levels))

    def check(self, given: SeriesSet) -> None:
        """Refuse series that lack inputs of the model.

        Raises:
            DataError: a column is missing, or the calendar of these times differs.
        """
        for frequency in set(given.frequencies):
            if not set(self.calendar) <= set(calendar_names(frequency, given.kind)):
                raise DataError(
                    f"these series have {frequency.name}, without the "
                    f"{', '.join(self.calendar)} that the model needs",
                    hint="give a history with times, of the frequency of the training data",
                )
        for kind, wanted, there in (
            ("known", self.known, given.known_names),
            ("static", self.static, given.static_names),
            ("static", self.categories, given.category_names),
        ):
            for name in wanted:
                words = {each for each in given.known_of if each and kind == "known"}
                if name not in there and not any(name.startswith(f"{each}=") for each in words):
                    raise DataError(
                        f"this table has no column {name!r}, a {kind} column that the model needs",
                        hint="add it, or train a model without it",
                    )

    def rows(
        self, given: SeriesSet, series: int, times_T: NDArray[np.int64], known_TC: NDArray[Any]
    ) -> Singles:
        """Covariates (T, X) of one series at some times.

        Arguments:
            given: the set; only names, frequencies and static attributes are used.
            series: which of it.
            times_T: when.
            known_TC: its covariates then, in the set's order; NaN where missing.
        """
        length = len(times_T)
        frequency = given.frequencies[series]
        parts: list[NDArray[Any]] = [np.zeros((length, 0))]
        if self.calendar:
            names = calendar_names(frequency, given.kind)
            chosen = [names.index(name) for name in self.calendar]
            local_T = times_T if given.zone is None else given.zone.local(times_T)
            chosen_TF = calendar_features(local_T, frequency, given.kind)[:, chosen]
            # Places on a circle: the last hour of a day stands beside the first.
            # A feature over n values lies in -0.5 to 0.5: it is taken to an angle.
            counts = np.array([CALENDAR_VALUES[name] for name in self.calendar])
            turns = 2 * math.pi * (counts - 1) / counts
            parts += [np.sin(chosen_TF * turns), np.cos(chosen_TF * turns)]
        for place, name in enumerate(self.known):
            # A word that a table of words does not hold.
            column_T = np.zeros(length)
            if name in given.known_names:
                column_T = known_TC[:, given.known_names.index(name)]
            parts += _scaled(column_T, self.known_shift[place], self.known_scale[place])
        if not self.conditioned:
            numbers, kinds = self._static(given, np.full(length, series))
            parts += [*numbers, *kinds]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def condition(self, given: SeriesSet, which: NDArray[np.int64]) -> Condition | None:
        """Static attributes as rows (B, K); None if they are inputs.

        Arguments:
            given: the set; only static attributes are used.
            which: series of it, B.
        """
        if not self.conditioned:
            return None
        numbers, kinds = self._static(given, which)
        known = [
            np.where(known_B1 > 0, scaled_B1, np.nan)
            for scaled_B1, known_B1 in zip(numbers[::2], numbers[1::2], strict=True)
        ]
        return Condition(static_BK=np.concatenate([*known, *kinds], axis=1, dtype=np.float32))

    def _static(
        self, given: SeriesSet, which: NDArray[np.int64]
    ) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Columns of static numbers with their masks, and of categories."""
        numbers: list[NDArray[Any]] = []
        for place, name in enumerate(self.static):
            numbers += _scaled(
                given.static_SA[which, given.static_names.index(name)],
                self.static_shift[place],
                self.static_scale[place],
            )
        kinds: list[NDArray[Any]] = []
        for name, levels in zip(self.categories, self.levels, strict=True):
            column = given.category_names.index(name)
            place_of = {level: place for place, level in enumerate(levels)}
            places = [place_of.get(level, -1) for level in given.category_levels[column]]
            # A missing kind is -1, and stands at the end.
            place_B = np.array([*places, -1])[given.categories_SA[which, column]]
            kinds.append((place_B[:, None] == np.arange(len(levels))).astype(np.float64))
        return numbers, kinds


def _scaled(column_T: NDArray[Any], shift: float, scale: float) -> list[NDArray[Any]]:
    """A scaled column and whether it is known, (T, 1) each."""
    known_T = np.isfinite(column_T)
    scaled_T = np.where(known_T, (np.where(known_T, column_T, 0.0) - shift) / scale, 0.0)
    return [np.clip(scaled_T, -1e4, 1e4)[:, None], known_T[:, None].astype(float)]


def learn_covariates(given: SeriesSet) -> Covariates:
    """Covariates of series, scaled by them."""
    known = [_location(column) for column in given.known_NC.T]
    static = [_location(column) for column in given.static_SA.T]
    kept = [
        (name, tuple(levels))
        for name, levels in zip(given.category_names, given.category_levels, strict=True)
        if 1 < len(levels) <= MOST_LEVELS
    ]
    alike = len(set(given.frequencies)) == 1
    return Covariates(
        calendar=tuple(calendar_names(given.frequency, given.kind)) if alike else (),
        known=given.known_names,
        known_shift=tuple(shift for shift, _ in known),
        known_scale=tuple(scale for _, scale in known),
        static=given.static_names,
        static_shift=tuple(shift for shift, _ in static),
        static_scale=tuple(scale for _, scale in static),
        categories=tuple(name for name, _ in kept),
        levels=tuple(levels for _, levels in kept),
    )


def _location(column_N: NDArray[Any]) -> tuple[float, float]:
    column_N = column_N[np.isfinite(column_N)]
    if not len(column_N):
        return 0.0, 1.0
    spread = float(column_N.std())
    return float(column_N.mean()), spread if spread > 0 else 1.0


@dataclass(frozen=True)
class Template:
    """A training series as the template of a new one.

    Arguments:
        id: its name.
        length: steps.
        start: time of its first step.
        stats: its scale, rows of K numbers, as `SeriesStats.to_array` gives them.
        frequency: of its times.
        static: numbers that describe it; None where one is missing.
        categories: levels of its categories.
    """

    id: str
    length: Annotated[int, Meta(ge=0, le=1 << 20)]
    start: int
    stats: tuple[tuple[float, ...], ...]
    frequency: Frequency
    static: tuple[float | None, ...]
    categories: tuple[int, ...]


@dataclass(frozen=True)
class Templates:
    """Training series as templates, at most a few hundred.

    Arguments:
        kind: of their times.
        static_names: names of the numbers that describe a series.
        category_names: names of the categories.
        category_levels: levels of each.
        series: the templates.
    """

    kind: TimeKind
    static_names: tuple[str, ...]
    category_names: tuple[str, ...]
    category_levels: tuple[tuple[str, ...], ...]
    series: tuple[Template, ...]


@dataclass(frozen=True)
class SeriesFacts(ValueFacts):
    """Contents of a model file of series beside encoder and network.

    Arguments:
        covariates: inputs besides the values.
        season: values to a season; 1 for none.
        horizon: steps ahead that its metrics are of.
        run_up: maximum number of values of a history that are read before a forecast.
        frequency: of the series, in words.
        names: of the numbers of one time.
        templates: of new series; None if the training series are unknown.
        lowest: of the training values, for each number; None if it is not known.
        tails: calibrations of anomaly scores.
    """

    modality: ClassVar[str] = "series.v1"
    goes_on_with: ClassVar[str] = "series of numbers"
    command: ClassVar[str] = "rhapsode forecast"

    covariates: Covariates
    season: Steps
    horizon: Steps
    run_up: Steps
    frequency: str
    names: tuple[str, ...]
    templates: Templates | None = None
    lowest: tuple[float, ...] | None = None
    tails: Tails = field(default_factory=Tails)

    @property
    def covariate_size(self) -> int:
        return self.covariates.size

    @property
    def warm_up(self) -> int:
        return self.run_up

    @property
    def static_size(self) -> int:
        return self.covariates.static_size if self.covariates.conditioned else 0

    @classmethod
    def open_encoder(cls, table: Mapping[str, Any]) -> SeriesEncoder:
        return SeriesEncoder.from_mapping(table)

    def described(self, encoder: SeriesEncoder) -> dict[str, Any]:
        covariates = self.covariates
        fed = (*covariates.calendar, *covariates.known, *covariates.static, *covariates.categories)
        return {
            **super().described(encoder),
            "series": {
                "values": ", ".join(self.names),
                "frequency": self.frequency,
                "season": self.season,
                "horizon": self.horizon,
                "covariates": ", ".join(fed) or "none",
            },
        }

    def check_series(self, given: SeriesSet) -> SeriesSet:
        """Series as the model takes them, their numbers in its order.

        Raises:
            DataError: series that the model does not fit.
        """
        names = self.names
        given = self._with_frequency(given)
        if len(given.names) != len(names):
            raise DataError(
                f"{len(given.names)} values per step ({', '.join(given.names)}), the model has "
                f"{len(names)} ({', '.join(names)})",
                hint="name the columns with --value-columns, or use --joint as in training",
            )
        if given.names != names and len(names) > 1:
            if set(given.names) != set(names):
                raise DataError(
                    f"the values are {', '.join(given.names)}, the model has {', '.join(names)}",
                    hint="name the columns as in training",
                )
            columns = given.values_NK[:, [given.names.index(name) for name in names]]
            given = replace(given, names=names, values_NK=columns)
        self.covariates.check(given)
        if self.covariates.calendar and given.frequency.name != self.frequency:
            raise DataError(
                f"these series are {given.frequency.name}, "
                f"the model was trained on {self.frequency} ones",
                hint="give a history of that frequency",
            )
        return given

    def _with_frequency(self, given: SeriesSet) -> SeriesSet:
        """Series of which those of a single time have the frequency of the training series."""
        if self.templates is None or not self.templates.series or given.kind != self.templates.kind:
            return given
        common = self.templates.series[0].frequency
        frequencies = tuple(
            common if length == 1 and own.unit == "order" else own
            for length, own in zip(given.lengths.tolist(), given.frequencies, strict=True)
        )
        return replace(given, frequencies=frequencies)

    def check(self, encoder: SeriesEncoder) -> None:
        """Refuse facts that make no sense.

        Raises:
            BundleError: covariates, names or templates are malformed.
        """
        covariates = self.covariates
        pairs = (
            (covariates.known, covariates.known_shift, covariates.known_scale),
            (covariates.static, covariates.static_shift, covariates.static_scale),
            (covariates.categories, covariates.levels, covariates.levels),
        )
        sizes_fit = all(len(names) == len(a) == len(b) for names, a, b in pairs)
        scales = (*covariates.known_scale, *covariates.static_scale)
        numbers = (*scales, *covariates.known_shift, *covariates.static_shift)
        finite = all(map(math.isfinite, numbers))
        empty = covariates.conditioned and not covariates.static_size
        if not sizes_fit or empty or not finite or not all(scale > 0 for scale in scales):
            raise BundleError("the description of its covariates is malformed")
        super().check(encoder)


SeriesBundle = Bundle[SeriesEncoder, SeriesFacts]

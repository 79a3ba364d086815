"""Series of a run: their division in time, and their encoding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.data import ValueArrays
from rhapsode.data.tables import SeriesSet, read_series
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.encoding.series import SeriesEncoder
from rhapsode.errors import DataError, EncodingError
from rhapsode.log import log
from rhapsode.modalities.contract import SplitName
from rhapsode.modalities.series.facts import Covariates, SeriesBundle
from rhapsode.modalities.series.fitting.encoding_choice import season_error
from rhapsode.modalities.series.fitting.season_search import search_seasons
from rhapsode.modalities.series.output import times_in_words
from rhapsode.modalities.series.settings import SeriesDataSettings
from rhapsode.modalities.values.next_steps import ValuesSeen, plain_row

# Known values below which more of them are needed to choose the best weights.
FEW = 1_000
SHARE_OF_FEW = 0.2
NO_SEASON = 12
# Known values that there must be to learn anything.
LEAST = 8
# Longer seasons, by the unit of a frequency with its usual one.
SECOND_SEASONS = {"hour": 168, "day": 365, "business day": 260}
# Error of forecasts that know a season, as a share of that without, above which there is none.
HELPFUL = 0.98

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class SeriesPart:
    """Rows of series to score.

    Arguments:
        given: the series, up to the last scored row.
        first_S: rows of each before the first scored one.
        scaled_S: rows of each that set its scale.
        split: the scored rows, in words.
        learnt: number of scored values that were training data.
    """

    given: SeriesSet
    first_S: Ints
    scaled_S: Ints
    split: str
    learnt: int = 0


@dataclass(frozen=True)
class SeriesCorpus:
    """Series and how they are divided.

    Arguments:
        given: the series, without ends that hold no value.
        train_S: rows of each that are learnt from, from its beginning.
        chosen_S: rows before the test split. The validation slice lies between `train_S` and these.
        season: values to a season; 1 for none.
        second: values to a longer season; 1 for none.
        horizon: forecast steps of the metrics.
        sha256: of values, times and covariates.
        whole: the series as they were read.
    """

    given: SeriesSet
    train_S: Ints
    chosen_S: Ints
    season: int
    second: int
    horizon: int
    sha256: str
    whole: SeriesSet

    @property
    def bounds(self) -> dict[SplitName, tuple[Ints, Ints]]:
        """First row of every split in each series, and its end."""
        return {
            "train": (np.zeros_like(self.train_S), self.train_S),
            "validation": (self.train_S, self.chosen_S),
            "test": (self.chosen_S, self.given.lengths),
        }

    @property
    def points(self) -> int:
        """Number of known values of the training split."""
        return int(until(self.given, self.train_S).observed_NK.any(axis=1).sum())

    @property
    def documents(self) -> int:
        return len(self.given)

    @property
    def characters(self) -> int:
        return len(self.given.times_N)

    @property
    def validation_values(self) -> int:
        """Number of known values of the validation split."""
        return int(known_after(until(self.given, self.chosen_S), self.train_S).sum())

    def part(self, name: SplitName) -> SeriesPart:
        """A part to score.

        The first horizon of the training split is history only. Its scale is that of training.

        Raises:
            DataError: it is empty.
        """
        first_S, end_S = self.bounds[name]
        if name == "train":
            first_S = np.minimum(self.horizon, end_S)
        given = until(self.given, end_S)
        points = int(known_after(given, first_S).sum())
        if not points:
            raise DataError(f"the {name} split of this run is empty", where="--split")
        share = f"{points / max(1, int(self.given.observed_NK.sum())):.1%}"
        words = {
            "train": (
                f"train: {share} of the values, "
                "all that trained the model except the first of each series"
            ),
            "validation": (
                f"validation: {share} of the values, before the test split of every series"
            ),
            "test": f"test: the last {share} of the values, the end of every series",
        }
        scaled_S = self.chosen_S if name == "test" else self.train_S
        return SeriesPart(given, first_S, scaled_S, words[name], 0 if name == "test" else points)


def until(given: SeriesSet, rows_S: Ints) -> SeriesSet:
    """The first rows of every series, as many as given for each."""
    return given.cut(given.offsets[:-1], given.offsets[:-1] + rows_S)


def columns_of(given: SeriesSet) -> list[NDArray[np.float64]]:
    """Values (T,) of every number of every series."""
    return [
        column for number in range(len(given)) for column in given.values_NK[given.rows(number)].T
    ]


def known_after(given: SeriesSet, first_S: Ints) -> NDArray[np.bool_]:
    """Known values after the first rows of series, (N, K)."""
    firsts_N = np.repeat(first_S, given.lengths)
    return np.asarray(given.observed_NK & (_places(given) >= firsts_N)[:, None])


def observed_lengths(given: SeriesSet) -> Ints:
    """Rows of each series up to its last known value.

    Later rows hold covariates at most.
    """
    known_N: NDArray[np.bool_] = np.asarray(given.observed_NK.any(axis=1))
    lengths = np.zeros(len(given), dtype=np.int64)
    np.maximum.at(lengths, owners_of(given)[known_N], _places(given)[known_N] + 1)
    return lengths


def owners_of(given: SeriesSet) -> Ints:
    """The series of every row, (N,)."""
    return np.repeat(np.arange(len(given)), given.lengths)


def _places(given: SeriesSet) -> Ints:
    return np.arange(len(given.times_N)) - np.repeat(given.offsets[:-1], given.lengths)


def observed_part(whole: SeriesSet) -> SeriesSet:
    """The series that hold a value, each up to its last one."""
    lengths = observed_lengths(whole)
    if lengths.all() and (lengths == whole.lengths).all():
        return whole
    (kept,) = np.nonzero(lengths)
    return until(whole.select(kept), lengths[kept])


def read_one(
    sources: Sequence[Any], reading: SeriesSettings, opened: SeriesSet | None
) -> SeriesSet:
    """The only source of series, unless it was read already.

    Raises:
        DataError: more than one source, or one that cannot be read.
    """
    if len(sources) != 1:
        raise DataError("series are read from one table", hint="name a single file")
    (source,) = sources
    if isinstance(source, SeriesSet):
        return source
    return read_series(source, reading) if opened is None else opened


def divide(whole: SeriesSet, settings: SeriesDataSettings, *, where: str) -> SeriesCorpus:
    """Divide series in time into training, validation and test split.

    Raises:
        DataError: too few known values.
    """
    given = observed_part(whole)
    kept = set(given.ids)
    empty = [name for name in whole.ids if name not in kept]
    if empty:
        named = ", ".join(map(repr, empty[:5]))
        log.info(f"left out, without any value: {named}{', ...' if len(empty) > 5 else ''}")
    lengths = given.lengths
    total = int(given.observed_NK.any(axis=1).sum())
    if total < LEAST:
        raise DataError(
            f"{total} known values are too few to train a model",
            where=where,
            hint="give a longer series",
        )
    chosen_S = lengths - _tails(lengths, settings.test_share)
    share = settings.validation_share
    if share is None:
        share = SHARE_OF_FEW if total < FEW else 0.1
    train_S = chosen_S - _tails(chosen_S, share)
    season, second = _seasons(until(given, train_S), settings.season)
    longest = int((lengths - chosen_S).max()) or int(lengths.max() // 4) or 1
    horizon = settings.horizon or min(season if season > 1 else NO_SEASON, longest)
    return SeriesCorpus(given, train_S, chosen_S, season, second, horizon, digest(given), whole)


def _seasons(train: SeriesSet, season: int | None) -> tuple[int, int]:
    """The season and a longer one; 1 for none.

    They are those of the frequency, or else are searched in the values of the training split.

    Arguments:
        train: the training split.
        season: as requested; None to find it.
    """
    usual = train.period
    if usual > 1:
        same = season in (None, usual)
        return season or usual, SECOND_SEASONS.get(train.frequency.unit, 1) if same else 1
    columns = columns_of(train)
    found = search_seasons(columns)
    if season is not None:
        return season, 1 if found is None or found.first != season else found.second
    if found is None:
        return 1, 1
    share = season_error(columns, found.first)
    refused = share > HELPFUL
    told = "It is not used: the" if refused else "The"
    log.info(f"{found}. {told} error of forecasts with it is {share:.2f} of that without")
    if refused:
        return 1, 1
    return found.first, found.second


def _tails(lengths: Ints, share: float) -> Ints:
    """Rows at the end; at least one is left before them."""
    tails = np.rint(lengths * share).astype(np.int64)
    return np.asarray(np.minimum(tails, np.maximum(lengths - 1, 0)))


def digest(given: SeriesSet) -> str:
    """sha256 of values, times, covariates and names."""
    found = hashlib.sha256()
    for array in (given.offsets, given.times_N, given.values_NK, given.known_NC, given.static_SA):
        found.update(np.ascontiguousarray(array).tobytes())
    found.update("\0".join(given.ids).encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def encode_series(
    encoder: SeriesEncoder, covariates: Covariates, given: SeriesSet, scaled_S: Ints
) -> ValueArrays:
    """Series as a network takes them.

    Arguments:
        encoder: values to features and targets.
        covariates: inputs besides the values.
        given: the series.
        scaled_S: rows of each, from its beginning, that set its scale.

    Raises:
        EncodingError: a value that the encoder's settings declare impossible, with its series.
    """
    encoded, known, scales = [], [], []
    for series, name in enumerate(given.ids):
        rows = given.rows(series)
        values_TK = given.values_NK[rows]
        try:
            stats = encoder.stats(values_TK[: scaled_S[series]])
            encoded.append(encoder.encode(values_TK, stats))
        except EncodingError as problem:
            raise EncodingError(
                problem.what, where=f"series {name!r}, {problem.where}", hint=problem.hint
            ) from None
        known.append(covariates.rows(given, series, given.times_N[rows], given.known_NC[rows]))
        scales.append(np.log(stats.count_scale_K))
    return ValueArrays.join(
        encoded,
        known,
        log_scale_SK=np.stack(scales).astype(np.float32) if encoder.counts else None,
        condition=covariates.condition(given, np.arange(len(given))),
    )


def series_seen(bundle: SeriesBundle, given: SeriesSet) -> ValuesSeen:
    """The targets of all series.

    Arguments:
        bundle: its encoder is used.
        given: the series.
    """
    encoder = bundle.encoder
    given = until(given, observed_lengths(given))
    seen = []
    for series, name in enumerate(given.ids):
        rows = given.rows(series)
        values_TK = given.values_NK[rows]
        stats = encoder.stats(values_TK)
        seen.append(
            {
                "series": name,
                "shift": stats.shift_K.tolist(),
                "scale": stats.scale_K.tolist(),
                "times": times_in_words(given, series, given.times_N[rows]),
                "values": list(map(plain_row, values_TK)),
                "targets": list(map(plain_row, encoder.encode(values_TK, stats).targets_TK)),
            }
        )
    return ValuesSeen(encoder.name, seen)

"""Prompts of series: a table to continue, or a template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from rhapsode.data import Condition
from rhapsode.data.tables import SeriesSet
from rhapsode.encoding.series import SeriesStats
from rhapsode.errors import DataError
from rhapsode.modalities.series.corpus import observed_lengths, until
from rhapsode.modalities.series.forecasting.drawn_forecasts import future_covariates, state_after
from rhapsode.modalities.series.forecasting.series_forecast import SeriesForecast
from rhapsode.modalities.series.output import (
    check_table,
    csv_text,
    series_rows,
    times_in_words,
    write_table,
)
from rhapsode.modalities.values.prompts import Step, ValuePrompt

if TYPE_CHECKING:
    from rhapsode.modalities.series.model import SeriesModel


Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SeriesDocument:
    """Series as a document.

    Arguments:
        value: the series.
        seed: of the draw; None if nothing was drawn.
        finish_reason: "length"; None if it is not known.
    """

    value: SeriesSet
    seed: int | None = None
    finish_reason: str | None = None

    @property
    def elements(self) -> tuple[Step, ...]:
        return tuple(map(tuple, self.value.values_NK.tolist()))

    def text(self) -> str:
        return "".join(csv_text(series_rows(self.value)))

    def save(self, path: str | Path) -> None:
        check_table(Path(path))
        write_table(Path(path), series_rows(self.value))


class SeriesPrompt(ValuePrompt):
    """The beginning of series.

    Arguments:
        model: that continues them.
        series: their histories; a single empty one for a series that is new.
        place: scale and first time of a new series; None where there are histories.
    """

    def __init__(
        self, model: SeriesModel, series: SeriesSet, place: tuple[SeriesStats, int] | None = None
    ) -> None:
        super().__init__(model)
        self._encoder, self._facts = model.bundle.encoder, model.bundle.facts
        self.series = series
        self.place = place
        self.rows_S = observed_lengths(series)
        self.history = until(series, self.rows_S)
        self.head = "".join(csv_text((["time", *series.names], iter(()))))

    def only(self) -> int:
        """The index of the only series.

        Raises:
            DataError: there are several, or none with a value.
        """
        if self.place is not None:
            return 0
        (which,) = np.nonzero(self.rows_S)
        if len(which) != 1:
            raise DataError(
                f"one series is continued here, not {len(which):,}",
                where=", ".join(self.series.ids[:3]),
                hint="give a table of one series",
            )
        return int(which[0])

    @property
    def condition(self) -> Condition | None:
        return self._facts.covariates.condition(self.series, np.array([self.only()]))

    @property
    def stats(self) -> SeriesStats:
        if self.place is not None:
            return self.place[0]
        history = self.history
        return self._encoder.stats(history.values_NK[history.rows(self.only())])

    def start(self, predictor: Any) -> tuple[Any, tuple[Step, ...]]:
        if self.place is not None:
            return super().start(predictor)
        which = np.array([self.only()])
        return state_after(predictor, self.series, which, self.rows_S[which]), ()

    def _ahead(self, count: int, *, wanted: bool = False) -> tuple[Ints, NDArray[np.float32]]:
        """Times and covariates of the first steps.

        Arguments:
            count: how many.
            wanted: True if covariates that are not known ahead are an error.
        """
        covariates = self._facts.covariates
        series = self.only()
        if self.place is None:
            rows = int(self.rows_S[series])
            return future_covariates(self.series, covariates, series, rows, count, wanted=wanted)
        times = step_times(self.series, series, self.place[1], count)
        return times, covariates.rows(self.series, series, times, np.zeros((count, 0)))

    def times(self, first: int, count: int) -> list[str]:
        return times_in_words(self.series, self.only(), self._ahead(first + count)[0][first:])

    def known(self, first: int, count: int) -> NDArray[np.float32] | None:
        if not self._facts.covariates.size:
            return None
        return self._ahead(first + count, wanted=True)[1][None, first:]

    @property
    def title(self) -> str:
        return self.series.ids[self.only()]

    @property
    def name(self) -> str:
        if self.place is not None:
            return "0"
        series = self.only()
        return f"{self.series.ids[series]}:{self.rows_S[series]}"

    def line(self, place: int, step: Step) -> str:
        (time,) = self.times(place, 1)
        return f"{time},{super().line(place, step)}"

    def document(self, elements: Sequence[Step], text: str = "", **made: Any) -> SeriesDocument:
        history = self.history.select([self.only()])
        times_T = np.concatenate((history.times_N, self._ahead(len(elements))[0]))
        values_TK = np.concatenate((history.values_NK, self.stack(elements)[0]))
        return SeriesDocument(with_steps(history, [(times_T, values_TK)]), **made)

    def continued(self, elements: Sequence[Step], text: str = "", **made: Any) -> SeriesDocument:
        history = self.history.select([self.only()])
        steps = (self._ahead(len(elements))[0], self.stack(elements)[0])
        return SeriesDocument(with_steps(history, [steps]), **made)

    def saved(self) -> dict[str, Any]:
        series = msgspec.to_builtins(self.series, enc_hook=np.ndarray.tolist)
        place = None if self.place is None else [self.place[0].to_array().tolist(), self.place[1]]
        return {"series": series, "place": place}


def saved_series(saved: Any) -> SeriesSet:
    """The series that `SeriesPrompt.saved` has written as plain values."""

    def array(kind: Any, plain: Any) -> NDArray[Any]:
        (number,) = get_args(get_args(kind)[1])
        return np.array(plain, dtype=number)

    series: SeriesSet = msgspec.convert(saved, SeriesSet, dec_hook=array)
    steps, size = len(series.times_N), len(series.ids)
    return replace(
        series,
        values_NK=series.values_NK.reshape(steps, len(series.names)),
        known_NC=series.known_NC.reshape(steps, len(series.known_names)),
        static_SA=series.static_SA.reshape(size, len(series.static_names)),
        categories_SA=series.categories_SA.reshape(size, len(series.category_names)),
    )


def continued(forecast: SeriesForecast) -> SeriesSet:
    """Every series of a forecast, continued by its first sample path."""
    parts = []
    for place, times in enumerate(forecast.times):
        times_T, values_TK = forecast.history(place)
        path_HK = forecast.paths_BSHK[place, 0]
        parts.append((np.concatenate((times_T, times)), np.concatenate((values_TK, path_HK))))
    return with_steps(forecast.given.select(forecast.which), parts)


def with_steps(given: SeriesSet, parts: Sequence[tuple[Ints, Floats]]) -> SeriesSet:
    """The same series with other times and values, without covariates known ahead.

    Arguments:
        given: the series.
        parts: times (T,) and values (T, K) of each.
    """
    times_N = np.concatenate([times_T for times_T, _ in parts])
    return replace(
        given,
        offsets=np.cumsum([0, *(len(times_T) for times_T, _ in parts)]),
        times_N=times_N,
        values_NK=np.concatenate([values_TK for _, values_TK in parts]),
        known_NC=np.zeros((len(times_N), 0)),
        known_names=(),
    )


def step_times(given: SeriesSet, series: int, start: int, steps: int) -> Ints:
    """Times of the first steps of a new series.

    Arguments:
        given: the series, still empty.
        series: which of them.
        start: time of the first step.
        steps: how many.
    """
    frequency = given.frequencies[series]
    start_T, steps_T = np.full(steps, start, dtype=np.int64), np.arange(steps)
    ordered = given.kind == "order" or frequency.unit == "order"
    return start_T + steps_T if ordered else frequency.advance(start_T, steps_T)

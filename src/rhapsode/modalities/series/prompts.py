"""Beginnings of series: a table that is continued, or the place of a series that was learnt from."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import from_mapping, to_mapping
from rhapsode.data import Condition
from rhapsode.data.tables import Frequency, SeriesSet, format_time
from rhapsode.encoding.series import SeriesStats
from rhapsode.errors import DataError
from rhapsode.modalities.series.corpus import future_covariates, histories_of, observed_lengths
from rhapsode.modalities.values.prompts import Step, ValuePrompt

if TYPE_CHECKING:
    from rhapsode.modalities.series.model import SeriesForecast, SeriesModel

__all__ = ["SeriesDocument", "SeriesPrompt", "continued", "step_times"]

_INTS = ("offsets", "times_N", "categories_SA")
_FLOATS = ("values_NK", "known_NC", "static_SA")


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
        """Steps of all series, one after the other."""
        return tuple(map(tuple, self.value.values_NK.tolist()))

    def text(self) -> str:
        """A table in CSV."""
        from rhapsode.modalities.series.output import csv_text, series_rows

        return "".join(csv_text(series_rows(self.value)))

    def save(self, path: str | Path) -> None:
        """Write CSV, TSV or Parquet, by the suffix."""
        from rhapsode.modalities.series.output import check_table, series_rows, write_table

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
        head = io.StringIO()
        csv.writer(head, lineterminator="\n").writerow(["time", *series.names])
        self.head = head.getvalue()

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
        series = self.only()
        history_TK = self.series.values_NK[self.series.rows(series)][: self.rows_S[series]]
        return self._encoder.stats(history_TK)

    def start(self, predictor: Any) -> tuple[Any, tuple[Step, ...]]:
        if self.place is not None:
            return super().start(predictor)
        which = np.array([self.only()])
        rows, facts = self.rows_S[which], self._facts
        histories = histories_of(self.series, facts.covariates, which, rows, run_up=facts.run_up)
        return predictor.begin(histories, self.condition), ()

    def _times(self, count: int) -> NDArray[np.int64]:
        """Times of the first steps."""
        return self._ahead(count, wanted=False)[0]

    def _ahead(self, count: int, *, wanted: bool) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Times and covariates of the first steps.

        Arguments:
            count: how many.
            wanted: whether covariates that are not known ahead are an error.
        """
        covariates = self._facts.covariates
        series = self.only()
        if self.place is None:
            rows = int(self.rows_S[series])
            return future_covariates(self.series, covariates, series, rows, count, wanted=wanted)
        times = step_times(self.series, self.place[1], count)
        return times, covariates.rows(self.series, 0, times, np.zeros((count, 0)))

    def times(self, first: int, count: int) -> list[str]:
        frequency = self.series.frequencies[self.only()]
        return [
            format_time(int(time), self.series.kind, frequency)
            for time in self._times(first + count)[first:]
        ]

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
        series = self.only()
        rows = self.series.rows(series)
        history = slice(rows.start, rows.start + int(self.rows_S[series]))
        times_T = np.concatenate((self.series.times_N[history], self._times(len(elements))))
        values_TK = np.concatenate((self.series.values_NK[history], self.stack(elements)[0]))
        return SeriesDocument(
            replace(
                self.series.select([series]),
                offsets=np.array([0, len(times_T)], dtype=np.int64),
                times_N=times_T,
                values_NK=values_TK,
                known_NC=np.zeros((len(times_T), 0)),
                known_names=(),
            ),
            **made,
        )

    def saved(self) -> dict[str, Any]:
        columns = {each.name: getattr(self.series, each.name) for each in fields(self.series)}
        series = {
            name: value.tolist() if name in (*_INTS, *_FLOATS) else value
            for name, value in columns.items()
        }
        series["frequencies"] = [to_mapping(each) for each in self.series.frequencies]
        place = None if self.place is None else [self.place[0].to_array().tolist(), self.place[1]]
        return {"series": series, "place": place}

    @classmethod
    def of_saved(cls, model: SeriesModel, saved: Mapping[str, Any]) -> SeriesPrompt:
        """The beginning off what `saved` gave.

        Raises:
            DataError: it is none.
        """
        try:
            kept = dict(saved["series"])
            size, steps = len(kept["ids"]), len(kept["times_N"])
            shape = {
                "values_NK": steps,
                "known_NC": steps,
                "static_SA": size,
                "categories_SA": size,
            }
            for name in (*_INTS, *_FLOATS):
                kind = np.int64 if name in _INTS else np.float64
                array = np.array(kept[name], dtype=kind)
                width = array.shape[1] if array.ndim > 1 else len(kept["names"])
                kept[name] = array.reshape(shape[name], width) if name in shape else array
                if name in shape and not array.size:
                    columns = {"values_NK": "names", "known_NC": "known_names",
                               "static_SA": "static_names", "categories_SA": "category_names"}  # fmt: skip
                    kept[name] = np.zeros((shape[name], len(kept[columns[name]])), dtype=kind)
            kept["frequencies"] = tuple(
                from_mapping(Frequency, each, where="prompt") for each in kept["frequencies"]
            )
            kept["category_levels"] = tuple(tuple(levels) for levels in kept["category_levels"])
            for name in ("ids", "names", "known_names", "static_names", "category_names", "notes",
                         "left_out"):  # fmt: skip
                kept[name] = tuple(map(str, kept[name]))
            series = model.bundle.facts.check_series(SeriesSet(**kept))
            place = saved["place"]
            if place is None:
                return cls(model, series)
            stats_4K = np.array(place[0], dtype=np.float64)
            if stats_4K.shape != (4, len(series.names)):
                raise ValueError
            return cls(model, series, (SeriesStats.from_array(stats_4K), int(place[1])))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            raise DataError("what this session begins with is damaged") from None


def continued(forecast: SeriesForecast) -> SeriesSet:
    """Every forecast series with its first sample path behind its history."""
    parts = []
    for place in range(len(forecast.which)):
        times_T, values_TK = forecast.history(place)
        parts.append(
            (
                np.concatenate((times_T, forecast.times[place])),
                np.concatenate((values_TK, forecast.paths_BSHK[place, 0])),
            )
        )
    times_N = np.concatenate([times_T for times_T, _ in parts])
    return replace(
        forecast.given.select(forecast.which.tolist()),
        offsets=np.cumsum([0, *(len(times_T) for times_T, _ in parts)]),
        times_N=times_N,
        values_NK=np.concatenate([values_TK for _, values_TK in parts]),
        known_NC=np.zeros((len(times_N), 0)),
        known_names=(),
    )


def step_times(given: SeriesSet, start: int, steps: int) -> NDArray[np.int64]:
    """Times of the first steps of a new series.

    Arguments:
        given: the series, still empty.
        start: time of the first step.
        steps: how many.
    """
    frequency = given.frequencies[0]
    start_T, steps_T = np.full(steps, start, dtype=np.int64), np.arange(steps)
    ordered = given.kind == "order" or frequency.unit == "order"
    return start_T + steps_T if ordered else frequency.advance(start_T, steps_T)

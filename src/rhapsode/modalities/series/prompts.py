"""Beginnings of series: a table that is continued, or the place of a series that was learnt from."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import GenerateSettings, from_mapping, to_mapping
from rhapsode.data.tables import Frequency, SeriesSet, format_time
from rhapsode.encoding.series import SeriesStats
from rhapsode.errors import DataError, EncodingError
from rhapsode.generation.loop import DrawKey
from rhapsode.generation.paths import path_keys, path_seed
from rhapsode.modalities.opened import Fragments, Given, Prompt
from rhapsode.modalities.series.corpus import future_covariates, histories_of, observed_lengths

if TYPE_CHECKING:
    from rhapsode.modalities.series.model import SeriesModel

__all__ = ["SeriesDocument", "SeriesPrompt", "number_text", "step_times"]

_INTS = ("offsets", "times_N", "categories_SA")
_FLOATS = ("values_NK", "known_NC", "static_SA")

Step = tuple[float, ...]


@dataclass(frozen=True)
class SeriesDocument:
    """Series as a document.

    Arguments:
        value: the series.
    """

    value: SeriesSet

    def text(self) -> str:
        """A table in CSV."""
        from rhapsode.modalities.series.output import csv_text, series_rows

        return "".join(csv_text(series_rows(self.value)))

    def save(self, path: Path) -> None:
        """Write CSV, TSV or Parquet, by the suffix."""
        from rhapsode.modalities.series.output import check_table, series_rows, write_table

        check_table(path)
        write_table(path, series_rows(self.value))


class _Lines(Fragments):
    """A line of CSV for every step.

    Arguments:
        prompt: tells the times.
        first: steps before.
    """

    def __init__(self, prompt: SeriesPrompt, first: int) -> None:
        self._prompt = prompt
        self._first = first

    def feed(self, element: Step) -> str:
        (time,) = self._prompt.times(self._first, 1)
        self._first += 1
        return f"{time},{','.join(number_text(value) for value in element)}\n"


class SeriesPrompt(Prompt):
    """The beginning of series.

    Arguments:
        model: that continues them.
        series: their histories; a single empty one for a series that is new.
        place: scale and first time of a new series; None where there are histories.
    """

    def __init__(
        self, model: SeriesModel, series: SeriesSet, place: tuple[SeriesStats, int] | None = None
    ) -> None:
        self._model = model
        self.series = series
        self.place = place
        self.rows_S = observed_lengths(series)
        head = io.StringIO()
        csv.writer(head, lineterminator="\n").writerow(["time", *series.names])
        self.head = head.getvalue()

    @property
    def opening(self) -> Given:
        return Given((), "")

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
    def stats(self) -> SeriesStats:
        """The scale of the only series."""
        if self.place is not None:
            return self.place[0]
        series = self.only()
        history_TK = self.series.values_NK[self.series.rows(series)][: self.rows_S[series]]
        return self._model.bundle.encoder.stats(history_TK)

    def start(self, predictor: Any) -> tuple[Any, tuple[Step, ...]]:
        series = self.only()
        if self.place is not None:
            return predictor.start(1, self.place[0]), ()
        facts = self._model.bundle.facts
        which, rows = np.array([series]), self.rows_S[[series]]
        histories = histories_of(self.series, facts.covariates, which, rows, run_up=facts.run_up)
        return predictor.begin(histories), ()

    def stack(self, elements: Sequence[Step]) -> NDArray[np.float64]:
        width = len(self.series.names)
        return np.array(elements, dtype=np.float64).reshape(1, len(elements), width)

    def restored(self, plain: Any) -> Step:
        numbers = isinstance(plain, list | tuple) and len(plain) == len(self.series.names)
        if not numbers or not all(isinstance(value, int | float) for value in plain):
            raise DataError("a step that is not made of the numbers of this model")
        return tuple(float(value) for value in plain)

    def _times(self, count: int) -> NDArray[np.int64]:
        """Times of the first steps."""
        return self._ahead(count, wanted=False)[0]

    def _ahead(self, count: int, *, wanted: bool) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Times and covariates of the first steps.

        Arguments:
            count: how many.
            wanted: whether covariates that are not known ahead are an error.
        """
        covariates = self._model.bundle.facts.covariates
        series = self.only()
        if self.place is None:
            rows = int(self.rows_S[series])
            return future_covariates(self.series, covariates, series, rows, count, wanted=wanted)
        times = step_times(self.series, self.place[1], count)
        return times, covariates.rows(self.series, 0, times, np.zeros((count, 0)))

    def times(self, first: int, count: int) -> list[str]:
        """The times of some steps."""
        frequency = self.series.frequencies[self.only()]
        return [
            format_time(int(time), self.series.kind, frequency)
            for time in self._times(first + count)[first:]
        ]

    def known(self, first: int, count: int) -> NDArray[np.float32] | None:
        if not self._model.bundle.facts.covariates.size:
            return None
        return self._ahead(first + count, wanted=True)[1][None, first:]

    def keys(self, seed: int, sequence: int) -> tuple[DrawKey, DrawKey]:
        series = self.only()
        name = "0" if self.place is not None else f"{self.series.ids[series]}:{self.rows_S[series]}"
        return path_keys(
            np.array([path_seed(seed, name)], dtype=np.uint64), np.array([sequence]), seed
        )

    def fragments(self, before: Sequence[Step], settings: GenerateSettings) -> Fragments:
        return _Lines(self, len(before))

    def given(self, text: str, settings: GenerateSettings) -> Given:
        steps = read_steps(text, len(self.series.names))
        if steps:
            self._model.bundle.encoder.encode(np.array(steps, dtype=np.float64), self.stats)
        return Given(steps, "")

    def document(self, elements: Sequence[Step]) -> SeriesDocument:
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
            )
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
    times: NDArray[np.int64] = start_T + steps_T if ordered else frequency.advance(start_T, steps_T)
    return times


def read_steps(text: str, width: int) -> tuple[Step, ...]:
    """Steps as a person types them: numbers of a step by commas, steps by semicolons or line ends.

    A series of single numbers takes commas between steps, too. What is empty or nan is missing.

    Arguments:
        text: what was typed.
        width: numbers of a step.

    Raises:
        EncodingError: something is no number, or a step has more or fewer of them.
    """
    lines = [line for part in text.splitlines() for line in part.split(";") if line.strip()]
    steps: list[Step] = []
    for line in lines:
        numbers = tuple(_number(word) for word in line.split(","))
        if width == 1:
            steps += [(number,) for number in numbers]
        elif len(numbers) != width:
            raise EncodingError(
                f"a step of this model has {width} numbers, not {len(numbers)}",
                where=line.strip(),
                hint="commas stand between numbers, semicolons between steps",
            )
        else:
            steps.append(numbers)
    return tuple(steps)


def _number(word: str) -> float:
    if word.strip().lower() in ("", "nan"):
        return math.nan
    try:
        return float(word)
    except ValueError:
        raise EncodingError(
            f"{word.strip()!r} is no number", hint="as 112, 118.5 with commas between steps"
        ) from None


def number_text(value: float) -> str:
    """A number as tables hold it."""
    return f"{value:.10g}" if math.isfinite(value) else ""

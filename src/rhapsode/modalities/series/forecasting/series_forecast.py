"""Forecasts of series: sample paths, quantiles and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables import SeriesSet
from rhapsode.modalities.series.forecasting.forecast_frames import FrameKind, make_frame
from rhapsode.modalities.series.output import Rows, csv_text, times_in_words
from rhapsode.modalities.values.next_steps import LEVELS, plain_row, quantile_tables
from rhapsode.views.display import Shown

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
# Series that a terminal shows.
MOST_SHOWN = 5


@dataclass(frozen=True, repr=False)
class SeriesForecast(Shown):
    """A forecast of series.

    Arguments:
        given: the series, with their histories.
        which: of them, B.
        rows: how many rows of each were history, B.
        times: of the steps to come, H each.
        paths_BSHK: sample paths, in the data's own units.
        levels: of the quantiles that are shown.
        kind: library and names of its frames.
    """

    given: SeriesSet
    which: Ints
    rows: Ints
    times: tuple[Ints, ...]
    paths_BSHK: Floats
    levels: tuple[float, ...] = LEVELS
    kind: FrameKind = field(default_factory=FrameKind)

    def to_mapping(self) -> dict[str, Any]:
        quantiles_QBHK, mean_BHK = self.quantiles(self.levels), self.mean()
        return {
            "horizon": self.paths_BSHK.shape[2],
            "samples": self.paths_BSHK.shape[1],
            "levels": list(self.levels),
            "forecasts": [
                {
                    "series": name,
                    "times": forecast_times(self, place),
                    "values": {
                        own: {
                            "mean": plain_row(mean_BHK[place, :, number]),
                            "quantiles": {
                                f"{level:g}": plain_row(quantiles_BHK[place, :, number])
                                for level, quantiles_BHK in zip(
                                    self.levels, quantiles_QBHK, strict=True
                                )
                            },
                        }
                        for number, own in enumerate(self.given.names)
                    },
                }
                for place, name in enumerate(self.ids)
            ],
        }

    def shown(self, width: int) -> Sequence[Any]:
        quantiles_QBHK, ids = self.quantiles(self.levels), self.ids
        blocks: list[Any] = []
        for place, name in enumerate(ids[:MOST_SHOWN]):
            times, quantiles_QHK = forecast_times(self, place), quantiles_QBHK[:, place]
            blocks += quantile_tables(
                name, self.given.names, times, self.levels, quantiles_QHK, width=width
            )
        if len(ids) > MOST_SHOWN:
            blocks.append(f"{len(ids) - MOST_SHOWN:,} more series")
        return blocks

    def frame(
        self, levels: Sequence[float] = (), *, paths: bool = False, library: str | None = None
    ) -> Any:
        """A data frame with a row for every series, time and number.

        It has the library of the frame that the history came in, and its names `unique_id` and `ds`
        if that frame had them.

        Arguments:
            levels: of the quantiles, a column each beside the mean. [default: those of the
                forecast]
            paths: the sample paths instead, a row each.
            library: pandas, polars or pyarrow. [default: that of the history, else the first one
                that is installed]

        Raises:
            MissingExtraError: the library is not installed.
        """
        kind = self.kind if library is None else replace(self.kind, library=library)
        each = len(self.given.names) * (self.paths_BSHK.shape[1] if paths else 1)
        rows = forecast_rows(self, levels or self.levels, paths=paths)
        return make_frame(kind, rows, self.given, self.times, each)

    def csv(self, *, paths: bool = False) -> Iterator[str]:
        """The forecast as CSV, in pieces: its quantiles, or the sample paths."""
        return csv_text(forecast_rows(self, self.levels, paths=paths))

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the series."""
        return tuple(self.given.ids[series] for series in self.which.tolist())

    def quantiles(self, levels: Sequence[float] = LEVELS) -> Floats:
        """Quantiles of the paths, (Q, B, H, K).

        They are whole numbers if all paths are.
        """
        paths_BSHK = self.paths_BSHK
        quantiles_QBHK = np.quantile(paths_BSHK, levels, axis=1, method="weibull")
        whole_B1K = (paths_BSHK == np.rint(paths_BSHK)).all(axis=(1, 2))[:, None]
        return np.where(whole_B1K, np.rint(quantiles_QBHK), quantiles_QBHK)

    def mean(self) -> Floats:
        """Means of the paths, (B, H, K)."""
        first_BHK = self.paths_BSHK[:, 0]
        same_BHK = (self.paths_BSHK == first_BHK[:, None]).all(axis=1)
        return np.where(same_BHK, first_BHK, self.paths_BSHK.mean(axis=1))

    def history(self, place: int) -> tuple[Ints, Floats]:
        """Times (T,) and values (T, K) of the history of one forecast."""
        first = int(self.given.offsets[self.which[place]])
        known = slice(first, first + int(self.rows[place]))
        return self.given.times_N[known], self.given.values_NK[known]

    def times_in_words(self, place: int, times_T: Ints) -> list[str]:
        """Times of the series of one forecast, as its frequency writes them."""
        return times_in_words(self.given, int(self.which[place]), times_T)


def forecast_times(forecast: SeriesForecast, place: int) -> list[str]:
    """The times of the steps to come of one series, in words."""
    return forecast.times_in_words(place, forecast.times[place])


def forecast_rows(
    forecast: SeriesForecast, levels: Sequence[float], *, paths: bool = False
) -> Rows:
    """A header, and a row per series, time, number and path.

    Arguments:
        forecast: the forecast.
        levels: quantiles, a column each.
        paths: give the sample paths themselves, a row each.
    """
    names = forecast.given.names
    several = len(names) > 1
    head = ["series", "time", "step", *(["name"] if several else [])]
    ends = ["path", "value"] if paths else ["mean", *(f"q{level:g}" for level in levels)]

    def rows() -> Iterator[list[Any]]:
        quantiles_QBHK = None if paths else forecast.quantiles(levels)
        mean_BHK = forecast.mean()
        for place, series in enumerate(forecast.ids):
            for step, time in enumerate(forecast_times(forecast, place)):
                for number, name in enumerate(names):
                    lead = [series, time, step + 1, *([name] if several else [])]
                    if quantiles_QBHK is None:
                        drawn = forecast.paths_BSHK[place, :, step, number].tolist()
                        yield from ([*lead, path, value] for path, value in enumerate(drawn, 1))
                    else:
                        own = quantiles_QBHK[:, place, step, number].tolist()
                        yield [*lead, float(mean_BHK[place, step, number]), *own]

    return [*head, *ends], rows()

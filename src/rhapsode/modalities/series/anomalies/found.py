"""Anomalies of series: scores of every value, the worst, tables and pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.data.tables import SeriesSet
from rhapsode.log import log
from rhapsode.modalities.scoring import Metrics
from rhapsode.modalities.series.anomalies.scores import (
    LEAST_PROBABILITY,
    TailCalibration,
    Tails,
    normal_scores,
    two_sided,
    window_p_values,
)
from rhapsode.modalities.series.corpus import SeriesPart
from rhapsode.modalities.series.facts import SeriesBundle, SeriesFacts
from rhapsode.modalities.series.forecasting.forecast_frames import FrameKind, make_frame
from rhapsode.modalities.series.output import (
    Rows,
    check_table,
    csv_text,
    times_in_words,
    write_table,
)
from rhapsode.modalities.series.settings import SeriesEvaluationSettings
from rhapsode.modalities.values.modality import protocol_of
from rhapsode.modalities.values.next_steps import plain_number
from rhapsode.views.pictures import check_picture

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValuePredictor
    from rhapsode.modalities.series.anomalies.one_step import OneStep

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PICTURES = (".png", ".svg")
NO_SEASON = 12
FALSE_ALARMS = 0.001
# Rows that calibrate the tails, at most.
MOST_CALIBRATED = 8_000
# Anomalies that a terminal shows.
SHOWN = 20


@dataclass(frozen=True)
class Anomaly:
    """Consecutive rows that are flagged.

    Arguments:
        series: its place in the set.
        number: which of the values of a row.
        kind: "value", or "window" if only windows that end here are flagged.
        first: first row of the window or value, over all series.
        last: last row.
        worst: row with the smallest p-value; of windows, the last one.
        p_value: the smallest.
    """

    series: int
    number: int
    kind: str
    first: int
    last: int
    worst: int
    p_value: float


@dataclass(frozen=True, repr=False)
class Anomalies(Metrics):
    """Anomaly scores of series.

    Arguments:
        given: the series.
        expected_NK: medians of the one-step distributions; NaN where nothing is scored.
        p_NK: calibrated two-sided tail probabilities of the values.
        window_p_NK: of the windows that end there.
        rate: share of ordinary rows that are flagged.
        window: values to a window.
        learnt: number of scored values that were training data.
        loss: nats a value, in the data's own units.
        protocol: how the values were scored.
        kind: library and names of its frames.
    """

    given: SeriesSet
    expected_NK: Floats
    p_NK: Floats
    window_p_NK: Floats
    rate: float
    window: int
    learnt: int
    loss: float
    protocol: dict[str, Any]
    kind: FrameKind = field(default_factory=FrameKind)

    @property
    def perplexity(self) -> float:  # type: ignore[override]
        return math.exp(self.loss)

    @property
    def cut(self) -> float:
        """The p-value below which a value or a window is flagged.

        It is half the false-alarm rate, divided by the number of values in a row (Bonferroni).
        """
        return self.rate / (2 * len(self.given.names))

    @property
    def values_NK(self) -> NDArray[np.bool_]:
        """Flags of single values."""
        return self.p_NK < self.cut

    @property
    def windows_NK(self) -> NDArray[np.bool_]:
        """Flags of windows, at their last value."""
        return self.window_p_NK < self.cut

    @property
    def scores_NK(self) -> Floats:
        """-log10 of the p-values of the values; NaN where none is scored."""
        return -np.log10(np.maximum(self.p_NK, LEAST_PROBABILITY))

    def found(self) -> list[Anomaly]:
        """The anomalies, the least probable first; consecutive rows are one."""
        found = []
        values_NK, windows_NK = self.values_NK, self.windows_NK
        for number in range(self.p_NK.shape[1]):
            for series in range(len(self.given)):
                rows = self.given.rows(series)
                for kind, flags_N, p_N, before in (
                    ("value", values_NK[rows, number], self.p_NK[rows, number], 0),
                    (
                        "window",
                        windows_NK[rows, number],
                        self.window_p_NK[rows, number],
                        self.window - 1,
                    ),
                ):
                    for first, last in _runs(flags_N):
                        worst = first + int(p_N[first:last].argmin())
                        begin, end = max(0, first - before), last - 1
                        places = (begin + rows.start, end + rows.start, worst + rows.start)
                        found.append(Anomaly(series, number, kind, *places, float(p_N[worst])))
        return sorted(found, key=lambda each: (each.p_value, each.first))

    def to_mapping(self) -> dict[str, Any]:
        return {
            "loss": self.loss,
            "elements": self.scored,
            "learnt": self.learnt,
            "false_alarms": self.rate,
            "expected_false_alarms": self.rate * self.scored,
            "window": self.window,
            "flagged": int((self.values_NK | self.windows_NK).sum()),
            "anomalies": [self.described(each) for each in self.found()],
            "protocol": self.protocol,
        }

    @property
    def scored(self) -> int:
        """Number of scored values."""
        return int(np.isfinite(self.p_NK).sum())

    def described(self, anomaly: Anomaly) -> dict[str, Any]:
        """An anomaly as plain values, its rows as times."""
        given, rows = self.given, np.array([anomaly.first, anomaly.last])
        first, last = times_in_words(given, anomaly.series, given.times_N[rows])
        return {
            "series": given.ids[anomaly.series],
            "name": given.names[anomaly.number],
            "kind": anomaly.kind,
            "first": first,
            "last": last,
            "rows": anomaly.last - anomaly.first + 1,
            "value": plain_number(given.values_NK[anomaly.worst, anomaly.number]),
            "expected": plain_number(self.expected_NK[anomaly.worst, anomaly.number]),
            "p_value": anomaly.p_value,
        }

    def csv(self) -> Iterator[str]:
        """The scores as CSV, in pieces; see `rows`."""
        return csv_text(self.rows())

    def frame(self, *, library: str | None = None) -> Any:
        """The scores as a data frame; see `rows` and `SeriesForecast.frame`.

        Arguments:
            library: pandas, polars or pyarrow. [default: that of the table]

        Raises:
            MissingExtraError: the library is not installed.
        """
        kind = self.kind if library is None else replace(self.kind, library=library)
        times = [self.given.times_N[self.given.rows(series)] for series in range(len(self.given))]
        return make_frame(kind, self.rows(), self.given, times, len(self.given.names))

    def rows(self) -> Rows:
        """A header, and a row for every series, time and number.

        The columns are the value, its expected median, its p-value, the score (-log10 of it), the
        p-value of the window that ends there, and the anomaly: "value", "window" or empty.
        """
        several = len(self.given.names) > 1
        head = ["series", "time", *(["name"] if several else []), "value", "expected"]
        kinds_NK = np.where(self.values_NK, "value", np.where(self.windows_NK, "window", ""))

        def rows() -> Iterator[list[Any]]:
            for series, name in enumerate(self.given.ids):
                rows = self.given.rows(series)
                times = times_in_words(self.given, series, self.given.times_N[rows])
                for row, time in enumerate(times, rows.start):
                    for number, own in enumerate(self.given.names):
                        yield [
                            *(name, time, *([own] if several else [])),
                            *(
                                plain_number(each[row, number])
                                for each in (
                                    self.given.values_NK,
                                    self.expected_NK,
                                    self.p_NK,
                                    self.scores_NK,
                                    self.window_p_NK,
                                )
                            ),
                            str(kinds_NK[row, number]),
                        ]

        return [*head, "p_value", "score", "window_p_value", "anomaly"], rows()

    def shown(self, width: int) -> Sequence[Any]:
        return list(self.report("anomalies"))

    def report(self, title: str) -> Iterator[Any]:
        from rhapsode.views.figures import number
        from rhapsode.views.tables import bare_table, number_columns

        found = self.found()
        by_chance = self.rate * self.scored
        yield title
        yield (
            f"{len(found):,} anomalies in {self.scored:,} values; false-alarm rate "
            f"{self.rate:g}: about {by_chance:.2g} flags by chance"
        )
        if not found:
            return
        rows = (
            (
                each["series"] if len(self.given.names) == 1 else each["name"],
                each["first"],
                f"{each['rows']}",
                each["kind"],
                number(each["value"], 6),
                number(each["expected"], 6),
                f"{each['p_value']:.1e}",
            )
            for each in map(self.described, found[:SHOWN])
        )
        names = ("rows", "kind", "value", "expected", "p-value")
        yield bare_table("series", "from", *number_columns(*names), rows=rows)
        if len(found) > SHOWN:
            yield f"{len(found) - SHOWN:,} more anomalies"

    def notes(self) -> Iterator[str]:
        if self.learnt:
            yield (
                f"warning: {self.learnt:,} of the scored values were used to train the model "
                "or to select its weights; anomalies among them may be learnt"
            )

    def plot(self, path: str | Path) -> int:
        """Draw the series with their anomalies as PNG or SVG.

        Returns:
            Number of panels left out.
        """
        from rhapsode.modalities.series.anomalies.picture import draw_panels

        return draw_panels(Path(path), self)


def _runs(flags_T: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First place and end of every run of flags."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags_T, [False])).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def find_anomalies(
    predictor: ValuePredictor[SeriesBundle], part: SeriesPart, settings: SeriesEvaluationSettings
) -> Anomalies:
    """Score every value of a part, and write the requested files.

    Arguments:
        predictor: the model.
        part: the series, of which rows after the first ones are scored.
        settings: false-alarm rate, window and files.

    Raises:
        RhapsodeError: a file that cannot be written.
    """
    from rhapsode.modalities.series.anomalies.one_step import one_step

    output = None if settings.output is None else Path(settings.output)
    plots = [] if settings.plot is None else [Path(settings.plot)]
    if output is not None and output.suffix.lower() in PICTURES:
        plots, output = [output, *plots], None
    for plot in plots:
        check_picture(plot)
    if output is not None:
        check_table(output)
    facts, given = predictor.bundle.facts, part.given
    window = settings.window or usual_window(facts)
    found = one_step(predictor, given, part.first_S, part.scaled_S)
    values = int(np.isfinite(found.at_most).sum())
    p_NK, window_p_NK = p_values(found, given, window)
    tails = facts.tails
    anomalies = Anomalies(
        given,
        found.expected,
        tails.value(p_NK),
        tails.window(window_p_NK),
        settings.false_alarms or FALSE_ALARMS,
        window,
        part.learnt,
        float(np.nansum(found.nats) / max(1, values)),
        protocol_of(predictor.bundle, part.split),
    )
    if output is not None:
        write_table(output, anomalies.rows())
        log.info(f"scores: {output}")
    for plot in plots:
        left = anomalies.plot(plot)
        log.info(f"picture: {plot}" + (f" (without {left} more series)" if left else ""))
    return anomalies


def p_values(found: OneStep, given: SeriesSet, window: int) -> tuple[Floats, Floats]:
    """P-values of values, and of the windows that end there, (N, K).

    Arguments:
        found: the values under their one-step distributions.
        given: the series.
        window: values to a window.
    """
    scores_NK = normal_scores(found.at_most, found.at_least)
    window_p_NK = np.full_like(scores_NK, np.nan)
    for series in range(len(given)):
        rows = given.rows(series)
        for number, scores_T in enumerate(scores_NK[rows].T):
            window_p_NK[rows, number] = window_p_values(scores_T, window)
    return two_sided(found.at_most, found.at_least), window_p_NK


def calibrate_tails(
    predictor: ValuePredictor[SeriesBundle], given: SeriesSet, first_S: Ints
) -> Tails:
    """Calibrate the tails of one-step distributions by values that were not learnt.

    Arguments:
        predictor: the model.
        given: the series.
        first_S: rows of each that were learnt, from its beginning.
    """
    from rhapsode.modalities.series.anomalies.one_step import one_step

    rows = int((given.lengths - first_S).sum())
    if rows > MOST_CALIBRATED:
        step = -(-rows // MOST_CALIBRATED)
        chosen = np.arange(0, len(given), step)
        given, first_S = given.select(chosen), first_S[chosen]
        first_S = np.maximum(first_S, given.lengths - MOST_CALIBRATED)
    if not TailCalibration.possible(int((given.lengths - first_S).sum())):
        return Tails()
    found = one_step(predictor, given, first_S, first_S)
    p_NK, window_p_NK = p_values(found, given, usual_window(predictor.bundle.facts))
    return Tails(TailCalibration.of(p_NK), TailCalibration.of(window_p_NK))


def usual_window(facts: SeriesFacts) -> int:
    """One season, or 12 values without a season."""
    return facts.season if facts.season > 1 else NO_SEASON

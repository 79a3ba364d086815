"""Series for people: the card of a run, surveys, previews and panels of forecasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.config import SampleSettings
from rhapsode.data.statistics import lengths_summary
from rhapsode.data.tables import SeriesSet, format_time, read_series
from rhapsode.errors import DataError
from rhapsode.files import source_name
from rhapsode.generation.paths import sample_paths
from rhapsode.modalities.contract import Surveyed
from rhapsode.modalities.series.corpus import (
    SeriesCorpus,
    divide,
    future_covariates,
    histories_of,
)
from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.modalities.series.model import SeriesForecast
from rhapsode.modalities.series.settings import SeriesTrainSettings
from rhapsode.views.blocks import sparkline
from rhapsode.views.card import Card, markdown_table
from rhapsode.views.figures import (
    METHOD_COLUMNS,
    method_rows,
)
from rhapsode.views.pictures.forecast_chart import MOST, Fan, draw_fans

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValuePredictor

__all__ = ["card_of", "preview_path", "survey_series", "write_chart"]
NAMED = 20
"""Columns of values that are told one by one."""
SHOWN = 32
"""Values of history that are shown, and steps that follow, at most."""


def card_of(bundle: SeriesBundle, summary: Mapping[str, Any]) -> Card:
    """Contents of the card of a run.

    Arguments:
        bundle: the model.
        summary: as in `summary.json`.
    """
    facts = bundle.provenance
    if summary["loss"] is None:
        figures = [f"None: {summary['reason']}."]
    else:
        figures = [
            f"{summary['protocol']['split']}; {summary['protocol']['context']}.",
            "",
            f"Density: {summary['loss']:.4f} nats a value over {summary['elements']:,} values.",
        ]
        forecasts = summary["forecasts"]
        if forecasts:
            figures += [
                "",
                f"{forecasts['forecasts']:,} forecasts, {forecasts['horizon']} steps ahead:",
                "",
                *markdown_table(("", *METHOD_COLUMNS), method_rows(forecasts)),
            ]
            if forecasts["warning"]:
                figures += ["", f"**{forecasts['warning'][0].upper()}{forecasts['warning'][1:]}.**"]
    return Card(
        title="A model of series",
        summary=f"Trained with rhapsode {facts.rhapsode} for {summary['seconds']:.0f} s "
        f"({summary['steps']:,} updates); {summary['parameters']:,} parameters.",
        data=[
            f"{facts.series:,} series, {facts.values:,} values, {bundle.facts.frequency}; "
            f"a season of {bundle.facts.season}. Values: {', '.join(bundle.facts.names)}.",
            f"SHA-256 of the data: `{facts.data_sha256}`.",
        ],
        made_of=[
            f"{bundle.config.model.name}; {bundle.config.head.name}",
            *summary["plan"]["reasons"],
            f"selected on {facts.selected_on}",
        ],
        figures=figures,
        limits=[
            "It has seen nothing but these series. Forecasts are sample paths: they say what would follow if what "
            "comes is like what was. A history that is shorter than a few seasons tells it little.",
        ],
        use=[
            f"rhapsode forecast . history.csv --horizon {bundle.facts.horizon} --plot forecast.svg"
        ],
    )


def survey_series(
    sources: Sequence[Any], settings: SeriesTrainSettings, opened: SeriesSet | None
) -> Surveyed[SeriesCorpus]:
    """Contents of a table, and the corpus that training would make of it.

    Arguments:
        sources: one table.
        settings: as for training; `series` and `data` are used.
        opened: the table, where it was read already.

    Returns:
        Plain values. sources: what was asked for. series, rows, values, missing: how many. kind: "time" or "order".
        frequencies: series by frequency. period: values to a season. first, last: times. reading: `lines`, what was
        noticed. lengths: `rows` of series, order statistics and a histogram. columns: of each column of values `name`,
        `values`, `missing`, `min`, `median`, `max`. known, static, categories: names of covariates. shares: of
        `train`, `validation` and `test` rows and values.

    Raises:
        DataError: more than one source, or one that cannot be read.
    """
    if len(sources) != 1:
        raise DataError("series are learnt from one table", hint="name a single file")
    given = read_series(sources[0], settings.series) if opened is None else opened
    observed = given.observed_NK
    found: dict[str, Any] = {
        "sources": [source_name(source) for source in sources],
        "series": len(given),
        "rows": len(given.times_N),
        "values": int(observed.sum()),
        "missing": int(observed.size - observed.sum()),
        "kind": given.kind,
        "frequencies": dict(Counter(f.name for f in given.frequencies).most_common()),
        "period": given.period,
        **_ends(given),
        "reading": {"lines": list(given.notes)},
        "lengths": {"rows": lengths_summary(given.lengths)},
        "columns": [_column(given, number) for number in range(min(NAMED, len(given.names)))],
        "known": list(given.known_names),
        "static": list(given.static_names),
        "categories": list(given.category_names),
        "shares": None,
    }
    try:
        corpus = divide(given, settings.data, where=found["sources"][0])
    except DataError as problem:
        return Surveyed(found, None, problem.what)
    found["shares"] = _shares(corpus)
    return Surveyed(found, corpus)


def _ends(given: SeriesSet) -> dict[str, str | None]:
    """The first and the last time of all."""
    if not len(given.times_N):
        return {"first": None, "last": None}
    times = (given.times_N.min(), given.times_N.max())
    first, last = (format_time(int(time), given.kind, given.frequency) for time in times)
    return {"first": first, "last": last}


def _column(given: SeriesSet, number: int) -> dict[str, Any]:
    values_N = given.values_NK[:, number]
    known = values_N[np.isfinite(values_N)]
    figures = (known.min(), np.median(known), known.max()) if len(known) else (None,) * 3
    low, middle, high = (None if figure is None else float(figure) for figure in figures)
    return {
        "name": given.names[number],
        "values": len(known),
        "missing": len(values_N) - len(known),
        "min": low,
        "median": middle,
        "max": high,
    }


def _shares(corpus: SeriesCorpus) -> dict[str, dict[str, int]]:
    """Rows and values of each part."""
    given, zeros = corpus.given, np.zeros_like(corpus.train_S)
    bounds = {
        "train": (zeros, corpus.train_S),
        "validation": (corpus.train_S, corpus.chosen_S),
        "test": (corpus.chosen_S, given.lengths),
    }
    shares = {}
    for name, (first_S, end_S) in bounds.items():
        part = given.cut(given.offsets[:-1] + first_S, given.offsets[:-1] + end_S)
        shares[name] = {"rows": len(part.times_N), "values": int(part.observed_NK.sum())}
    return shares


def preview_path(
    predictor: ValuePredictor[SeriesBundle],
    corpus: SeriesCorpus,
    series: int,
    settings: SampleSettings,
    temperature: float,
) -> str:
    """The end of the training part of a series and one path after it, as bars.

    Arguments:
        predictor: the network as it is now.
        corpus: the series.
        series: which of them.
        settings: how many steps, at most.
        temperature: of the draw.
    """
    given, rows = corpus.given, int(corpus.train_S[series])
    covariates = predictor.bundle.facts.covariates
    horizon = min(max(corpus.horizon, 12), SHOWN, settings.length)
    if given.known_names:
        horizon = min(horizon, max(1, int(given.lengths[series]) - rows))
    _, known_HX = future_covariates(given, covariates, series, rows, horizon, wanted=False)
    which = np.array([series])
    histories = histories_of(given, covariates, which, np.array([rows]))
    path = sample_paths(
        predictor,
        predictor.begin(histories, covariates.condition(given, which)),
        known_HX[None],
        samples=1,
        seeds=[0],
        temperature=temperature,
    )
    before = given.values_NK[given.rows(series)][:rows, 0][-SHOWN:]
    return f"{given.ids[series]}  {sparkline(before, path[0, 0, :, 0])}"


def write_chart(
    path: Path, found: SeriesForecast, *, title: str, actual: SeriesSet | None = None
) -> int:
    """Draw a panel for every series and number, the first twelve, as PNG or SVG.

    Arguments:
        path: where; its suffix says which.
        found: the forecast.
        title: above all.
        actual: the same series with what came, drawn beside the forecast; None: nobody knows.

    Returns:
        How many panels were left out.
    """
    numbers = range(len(found.given.names))
    panels = [(place, number) for place in range(len(found.which)) for number in numbers]
    fans = [_fan(found, place, number, actual) for place, number in panels[:MOST]]
    draw_fans(path, fans, title=title)
    return len(panels) - len(fans)


def _fan(found: SeriesForecast, place: int, number: int, actual: SeriesSet | None) -> Fan:
    names, horizon = found.given.names, found.paths_BSHK.shape[2]
    times, values_TK = found.history(place)
    kept = max(4 * horizon, 3 * max(1, found.given.period), 24)
    came = None
    if actual is not None:
        first = int(actual.offsets[found.which[place]]) + int(found.rows[place])
        stop = min(first + horizon, int(actual.offsets[found.which[place] + 1]))
        came = actual.values_NK[first:stop, number]
    return Fan(
        found.ids[place] if len(names) == 1 else f"{found.ids[place]}, {names[number]}",
        _axis_times(found, times[-kept:]),
        values_TK[-kept:, number],
        _axis_times(found, found.times[place]),
        found.paths_BSHK[place, :, :, number],
        came,
    )


def _axis_times(found: SeriesForecast, times: Any) -> Any:
    return times.astype("datetime64[ns]") if found.given.kind == "time" else times

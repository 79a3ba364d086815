"""Reports of series: card, survey, preview and picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.config import SampleSettings
from rhapsode.data.statistics import lengths_summary
from rhapsode.data.tables import SeriesSet, format_time
from rhapsode.errors import DataError
from rhapsode.files import source_name
from rhapsode.generation.paths import sample_paths
from rhapsode.modalities.contract import SplitName, Surveyed
from rhapsode.modalities.series.corpus import SeriesCorpus, divide, known_after, read_one, until
from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.modalities.series.forecasting.drawn_forecasts import future_covariates, state_after
from rhapsode.modalities.series.forecasting.series_forecast import SeriesForecast
from rhapsode.modalities.series.settings import SeriesTrainSettings
from rhapsode.views.blocks import sparkline
from rhapsode.views.card import Card, markdown_table
from rhapsode.views.figures import METHOD_COLUMNS, method_rows
from rhapsode.views.pictures.forecast_chart import MOST, Fan, draw_fans

if TYPE_CHECKING:
    from rhapsode.bundle.value_predictor import ValuePredictor

# Columns of values that are told one by one.
NAMED = 20
# Values of history that are shown, and steps that follow, at most.
SHOWN = 32


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
            f"Density: {summary['loss']:.4f} nats per value over {summary['elements']:,} values.",
        ]
        forecasts = summary["forecasts"]
        if forecasts:
            figures += [
                "",
                f"{forecasts['forecasts']:,} forecasts, {forecasts['horizon']} steps ahead:",
                "",
                *markdown_table(("", *METHOD_COLUMNS), method_rows(forecasts)),
            ]
            if "calibration" in summary:
                words = summary["calibration"]["words"]
                figures += ["", f"{words[0].upper()}{words[1:]}."]
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
            "The model was trained on these series only. Forecasts are sample paths: they assume "
            "that the future resembles the past. They are uncertain if the history is shorter "
            "than a few seasons.",
        ],
        use=[
            f"rhapsode forecast . history.csv --horizon {bundle.facts.horizon} --plot forecast.svg"
        ],
    )


def survey_series(
    sources: Sequence[Any], settings: SeriesTrainSettings, opened: SeriesSet | None
) -> Surveyed[SeriesCorpus]:
    """Contents of a table, and its corpus for training.

    Arguments:
        sources: one table.
        settings: as for training; `series` and `data` are used.
        opened: the table, where it was read already.

    Returns:
        Plain values. sources: as given. series, rows, values, missing: how many. kind:
        "time" or "order". frequencies: series by frequency. period: values to a season. first,
        last: times. reading: `lines`, notes on reading. lengths: `rows` of series, order statistics
        and a histogram. columns: of each column of values `name`, `values`, `missing`, `min`,
        `median`, `max`. known, static, categories: names of covariates. shares: rows and values of
        `train`, `validation` and `test`.

    Raises:
        DataError: more than one source, or one that cannot be read.
    """
    given = read_one(sources, settings.series, opened)
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
    found["period"] = corpus.season
    return Surveyed(found, corpus)


def _ends(given: SeriesSet) -> dict[str, str | None]:
    if not len(given.times_N):
        return {"first": None, "last": None}
    ends = {"first": int(given.times_N.min()), "last": int(given.times_N.max())}
    return {
        end: format_time(time, given.kind, given.frequency, given.zone)
        for end, time in ends.items()
    }


def _column(given: SeriesSet, number: int) -> dict[str, Any]:
    values_N = given.values_NK[:, number]
    known = values_N[np.isfinite(values_N)]
    figures: dict[str, Any] = {"min": np.min, "median": np.median, "max": np.max}
    return {
        "name": given.names[number],
        "values": len(known),
        "missing": len(values_N) - len(known),
        **{name: float(of(known)) if len(known) else None for name, of in figures.items()},
    }


def _shares(corpus: SeriesCorpus) -> dict[SplitName, dict[str, int]]:
    shares = {}
    for name, (first_S, end_S) in corpus.bounds.items():
        values = int(known_after(until(corpus.given, end_S), first_S).sum())
        shares[name] = {"rows": int((end_S - first_S).sum()), "values": values}
    return shares


def preview_path(
    predictor: ValuePredictor[SeriesBundle],
    corpus: SeriesCorpus,
    settings: SampleSettings,
    temperature: float,
) -> str:
    """The end of the longest series and one path, as bars.

    Arguments:
        predictor: the network as it is now.
        corpus: the series.
        settings: how many steps, at most.
        temperature: of the draw.
    """
    series = int(np.argmax(corpus.train_S))
    given, rows = corpus.given, int(corpus.train_S[series])
    covariates = predictor.bundle.facts.covariates
    horizon = min(max(corpus.horizon, 12), SHOWN, settings.length)
    if given.known_names:
        horizon = min(horizon, max(1, int(given.lengths[series]) - rows))
    _, known_HX = future_covariates(given, covariates, series, rows, horizon, wanted=False)
    path = sample_paths(
        predictor,
        state_after(predictor, given, np.array([series]), np.array([rows])),
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
    """Draw the first twelve panels of a forecast as PNG or SVG.

    Arguments:
        path: a .png or .svg file.
        found: the forecast.
        title: above all.
        actual: the same series with later observations, drawn beside the forecast; None if unknown.

    Returns:
        Number of panels left out.
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

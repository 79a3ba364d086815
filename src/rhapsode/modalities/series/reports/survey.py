"""Survey of a table of series: lengths, frequency, missing values, parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from rhapsode.data.statistics import lengths_summary
from rhapsode.data.tables import SeriesSet, format_time, read_series
from rhapsode.errors import DataError
from rhapsode.files import source_name
from rhapsode.modalities.contract import Tell
from rhapsode.modalities.scoring import Surveyed
from rhapsode.modalities.series.corpus import SeriesCorpus, divide
from rhapsode.modalities.series.settings import SeriesTrainSettings

__all__ = ["survey_series"]

NAMED = 20
"""Columns of values that are told one by one."""


def survey_series(
    sources: Sequence[Any], settings: SeriesTrainSettings, tell: Tell, opened: SeriesSet | None
) -> Surveyed[SeriesCorpus]:
    """Contents of a table, and the corpus that training would make of it.

    Arguments:
        sources: one table.
        settings: as for training; `series` and `data` are used.
        tell: takes lines of progress.
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
        corpus = divide(given, settings.data, tell, where=found["sources"][0])
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

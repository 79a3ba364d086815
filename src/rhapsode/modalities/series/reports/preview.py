"""A series and a path after it on one line."""

from __future__ import annotations

import numpy as np

from rhapsode.bundle.value_predictor import ValuePredictor
from rhapsode.config import SampleSettings
from rhapsode.generation.paths import sample_paths
from rhapsode.modalities.series.corpus import SeriesCorpus, future_covariates, histories_of
from rhapsode.modalities.series.facts import SeriesBundle
from rhapsode.views.blocks import sparkline

__all__ = ["preview_path"]

SHOWN = 32
"""Values of history that are shown, and steps that follow, at most."""


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

"""The verb `forecast`, by a model or straight from a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from rhapsode.bundle import modality_of
from rhapsode.config import from_mapping
from rhapsode.data.tables.settings import SeriesSettings
from rhapsode.errors import SettingsError
from rhapsode.files import is_there
from rhapsode.log import log
from rhapsode.modalities.series.settings import ForecastSettings

if TYPE_CHECKING:
    from rhapsode.data.tables import SeriesSet
    from rhapsode.keywords import ForecastOptions
    from rhapsode.modalities.series.forecasting.series_forecast import SeriesForecast
    from rhapsode.modalities.series.model import SeriesModel
    from rhapsode.workflows.runs.training import Training

__all__ = ["ForecastSettings", "SeriesSettings", "forecast"]

DIRECT_BUDGET = "1m"
MODALITY = "series.v1"


def _train_whole(training: Training) -> bool:
    """Train and finish a run; False if a signal stopped it."""
    with training.stopped_by_signals():
        for _ in training.events():
            pass
    if training.interrupted:
        return False
    training.finish()
    return True


def forecast(
    model: Any,
    history: Any = "",
    settings: ForecastSettings | None = None,
    *,
    reading: Mapping[str, Any] | None = None,
    output: str | None = None,
    plot: str | None = None,
    budget: str | None = None,
    train: Callable[[Training], bool] = _train_whole,
    began: float | None = None,
    **options: Unpack[ForecastOptions],
) -> SeriesForecast:
    """Forecast series, and write a table and a picture if asked to.

    Arguments:
        model: a run folder, model file or open model; or a table, frame or array to learn from.
        history: a table, frame or array of past values. [default: the training data]
        settings: horizon, paths, quantiles, samplers.
        reading: settings of reading a table by name; the others are as in training.
        output: a .csv, .tsv or .parquet file.
        plot: a .png or .svg file.
        budget: training time, if `model` is a table.
        train: trains a run to its end and finishes it; False where it was interrupted.
        began: moment of the monotonic clock at which the budget begins; None for now.
        options: those of `ForecastSettings` by name, in place of `settings`.

    Raises:
        RhapsodeError: a model, table or setting that does not fit.
        KeyboardInterrupt: learning was interrupted; the run is saved.
    """
    from rhapsode.modalities.series.forecasting.forecast_frames import frame_kind
    from rhapsode.modalities.series.forecasting.series_forecast import forecast_rows
    from rhapsode.modalities.series.output import check_table, write_table
    from rhapsode.modalities.values.model import chain_of_values
    from rhapsode.views.pictures import check_picture

    if settings is not None and options:
        raise SettingsError("give settings or single options, not both")
    for name in ("paths", "format"):
        if name in options:
            raise SettingsError("this setting exists only on the command line", where=name)
    settings = settings or from_mapping(ForecastSettings, options, where="forecast")
    reading = dict(reading or {})
    from_mapping(SeriesSettings, reading, where="options")  # refused here where it makes no sense
    if plot is not None:
        check_picture(Path(plot))
    if output is not None:
        check_table(Path(output))
    opened = _opened(model, budget)
    source = history
    told: tuple[str, ...] = ()
    if opened is None:
        spent = 0.0 if began is None else time.monotonic() - began
        opened, table = _learn(model, settings, reading, budget, train=train, spent=spent)
        source, told = (table if _is_empty(history) else history), table.notes
    elif _is_empty(history):
        source = opened.own_source()
    given = opened.read(source, reading)
    for line in given.notes:
        if line not in told:
            log.info(line)
    chain = chain_of_values(settings, opened.bins)
    if settings.explain:
        density = f"draw from the density, temperature {settings.temperature:g}"
        log.info(density if chain is None else chain.explain())
    kind = frame_kind(model if opened is not model and _is_empty(history) else history)
    found = replace(opened.forecast(given, settings), kind=kind)
    if plot is not None:
        from rhapsode.modalities.series.reports import write_chart

        _, paths, horizon, _ = found.paths_BSHK.shape
        left = write_chart(Path(plot), found, title=f"{horizon} steps ahead, {paths:,} paths")
        log.info(f"picture: {Path(plot)}" + (f" (without {left} more series)" if left else ""))
    if output is not None:
        write_table(Path(output), forecast_rows(found, found.levels, paths=settings.paths))
        log.info(f"forecast: {output}")
    return found


def _is_empty(history: Any) -> bool:
    return history is None or (isinstance(history, str) and not history)


def _opened(name: Any, budget: str | None) -> SeriesModel | None:
    from rhapsode.modalities.series.model import SeriesModel

    if isinstance(name, SeriesModel):
        return name
    if not isinstance(name, str | Path):
        return None
    path = Path(name)
    is_model = modality_of(name) == MODALITY or (is_there(path) and path.is_dir())
    if is_model and budget is not None:
        raise SettingsError(
            "a model is trained already", where="--budget", hint="name a table to train on"
        )
    return SeriesModel(name) if is_model or path.suffix == ".safetensors" else None


def _learn(
    table: Any,
    settings: ForecastSettings,
    reading: dict[str, Any],
    budget: str | None,
    *,
    train: Callable[[Training], bool],
    spent: float,
) -> tuple[SeriesModel, SeriesSet]:
    """Train on a table; also returns its series."""
    from rhapsode.modalities.series.model import SeriesModel
    from rhapsode.modalities.values.model import chain_of_values
    from rhapsode.workflows.runs.run import prepare_training

    asked: dict[str, Any] = {
        "modality": MODALITY,
        "budget": budget or DIRECT_BUDGET,
        "seed": settings.seed,
        **({"series": reading} if reading else {}),
        **({} if settings.horizon is None else {"data": {"horizon": settings.horizon}}),
    }
    chain_of_values(settings, None)  # refused before anything is learnt
    training = prepare_training((table,), asked, spent=spent)
    if not train(training):
        raise KeyboardInterrupt
    log.info(f"model saved in {training.folder.path}")
    return SeriesModel(training.folder.path), training.run.planned.corpus.whole

"""Training on series of numbers, from a table to a finished run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rhapsode import __version__
from rhapsode.bundle import Member, Provenance, write_bundle
from rhapsode.bundle.network import Network, build_network, network_arrays
from rhapsode.bundle.series_facts import SeriesBundle, SeriesFacts
from rhapsode.bundle.series_predictor import SeriesPredictor
from rhapsode.config import (
    SeriesTrainSettings,
    from_mapping,
    to_mapping,
)
from rhapsode.data import SeriesStream
from rhapsode.errors import RunError
from rhapsode.evaluation.losses import value_losses
from rhapsode.files import is_there, write_atomically
from rhapsode.training import (
    BudgetClock,
    CappedClock,
    Clock,
    Event,
    LoopHooks,
    StepClock,
    TrainingLoop,
    join_group,
    matmul_rates,
    prepare_process,
    read_checkpoint,
)
from rhapsode.workflows.hooks import begin_with
from rhapsode.workflows.resume import find_run
from rhapsode.workflows.run_folder import RunFolder
from rhapsode.workflows.running import Running
from rhapsode.workflows.series.backtest import Backtest, backtest, origins_of
from rhapsode.workflows.series.corpus import (
    SeriesCorpus,
    encode_series,
    histories_of,
    source_name,
)
from rhapsode.workflows.series.linear import start_linear
from rhapsode.workflows.series.making import learn_templates
from rhapsode.workflows.series.model import SeriesModel
from rhapsode.workflows.series.planning import PlannedSeries, plan_training
from rhapsode.workflows.series.report import card, sparkline
from rhapsode.workflows.texts import silent
from rhapsode.workflows.tracking import check_trackers

__all__ = [
    "SeriesTraining",
    "prepare_series_training",
    "train_series",
]

FORECAST_PATHS = 1
FINISHING_FORECASTS = 400
"""Forecasts of the test share when training ends, at most; `rhapsode evaluate` makes more."""
SHOWN = 32
STRETCH_WINDOWS = 8


@dataclass(kw_only=True)
class SeriesTraining(Running):
    """A run on series that is ready to go.

    Arguments:
        corpus: what it learns from.
    """

    settings: SeriesTrainSettings
    stream: SeriesStream
    corpus: SeriesCorpus

    def finish(self, tell: Callable[[str], None] = silent) -> dict[str, Any]:
        """Sweep the test share with the best weights, forecast it, write summary and card.

        Arguments:
            tell: takes lines of progress.

        Returns:
            What `summary.json` holds.
        """
        assert self._last is not None, "finish comes after the events"
        began = time.monotonic()
        self.loop.release()
        model = SeriesModel(self.folder.path)
        figures = self._test_figures(model)
        summary: dict[str, Any] = {
            **figures,
            **self._facts(
                self.stream.elements_per_epoch,
                encoder=dict(self.settings.encoder),
                head=dict(self.settings.head),
            ),
        }
        facts = replace(model.bundle.provenance, test=figures)
        write_bundle(self.folder.model, replace(model.bundle, provenance=facts))
        write_atomically(self.folder.curve, self._course({}, test=figures["loss"]))
        write_atomically(self.folder.card, card(model.bundle, summary).encode())
        summary["finishing_seconds"] = round(time.monotonic() - began, 3)
        self.folder.write_summary(summary)
        return summary

    def _test_figures(self, model: SeriesModel) -> dict[str, Any]:
        corpus = self.corpus
        if (corpus.chosen_S >= corpus.given.lengths).all():
            return {"loss": None, "reason": "no test share"}
        loss, points = model.loss(corpus.given, corpus.chosen_S)
        which, rows = origins_of(
            corpus.given,
            corpus.chosen_S,
            corpus.horizon,
            origins=None,
            stride=None,
            most=FINISHING_FORECASTS,
        )
        found: Backtest | None = None
        if len(which):
            found = backtest(
                model.predictor,
                corpus.given,
                which,
                rows,
                horizon=corpus.horizon,
                season=corpus.season,
                samples=self.settings.data.samples,
            )
        share = f"{points / max(1, int(corpus.given.observed_NK.sum())):.1%}"
        return {
            "loss": loss,
            "elements": points,
            "forecasts": None if found is None else found.to_mapping(),
            "protocol": {
                "split": f"test: the last {share} of the values, the end of every series, swept once",
                "selected_on": model.bundle.provenance.selected_on,
                "context": f"carried, at most {model.bundle.facts.run_up} values before the first scored one",
                "normalisation": "none: nats of the values in their own units",
                "unknown_cost": "missing values are not scored",
            },
        }


def train_series(
    *sources: Any,
    output: str | None = None,
    resume: bool = False,
    watch: Callable[[Event], None] | None = None,
    **settings: Any,
) -> SeriesModel:
    """Train on a table of numbers.

    Arguments:
        sources: one table: CSV, TSV, Parquet, .npy, .npz, or a name; a data frame, an array, or a mapping of arrays by
            name; or a set that was read already.
        output: the run folder [default: runs/<name>].
        resume: go on with the run in `output`.
        watch: called with every event.
        settings: those of `SeriesTrainSettings` by name, sections as mappings.

    Returns:
        The trained model, opened.

    Raises:
        RhapsodeError: a source, setting or folder that does not fit.
    """
    training = prepare_series_training(sources, settings, output=output, resume=resume)
    for event in training.events():
        if watch is not None:
            watch(event)
    with training.group.first_goes():
        if training.group.first:
            training.finish()
    return SeriesModel(training.folder.path)


def prepare_series_training(
    sources: tuple[Any, ...],
    asked: Mapping[str, Any],
    *,
    output: str | None = None,
    resume: bool = False,
    spent: float = 0.0,
    tell: Callable[[str], None] = silent,
    clock: Clock | None = None,
) -> SeriesTraining:
    """Everything up to the first update. A new folder appears only when all input has been found good.

    Arguments:
        sources: one table; may be left out with `resume`.
        asked: settings by name, as in `SeriesTrainSettings`.
        output: the run folder.
        resume: go on with the run in `output`.
        spent: seconds of the budget that are gone already.
        tell: takes lines of progress.
        clock: replaces the run's clock.

    Raises:
        RhapsodeError: a source, setting or folder that does not fit.
    """
    began = time.monotonic() - spent
    group = join_group()
    kept = None
    if resume:
        kept = find_run(output, sources, asked)
        folder, sources, asked = kept.folder, kept.sources, kept.settings
    else:
        folder = RunFolder(
            Path(
                group.agree(
                    lambda: str(
                        RunFolder.place(output, [source_name(s) for s in sources or ("",)]).path
                    )
                )
            )
        )
    settings = from_mapping(SeriesTrainSettings, asked, where="settings")
    seconds = settings.budget_seconds()
    check_trackers(settings.track)
    prepare_process()
    planned = plan_training(sources, settings, tell)
    settings, corpus = planned.settings, planned.corpus
    if kept is not None and kept.sha256 != corpus.sha256:
        raise RunError(
            "the series are not those this run began with",
            where=str(folder.path),
            hint="restore them, or start a new run",
        )
    machine = group.agree(matmul_rates)
    torch.manual_seed(settings.seed)
    network = build_network(planned.config)
    training = settings.training
    assert training.batch_size is not None
    assert training.window is not None
    if kept is None or not folder.checkpoint.exists():
        start_linear(network, planned.fitted)
    stream = SeriesStream(
        planned.fitted,
        batch_size=group.divide(
            training.batch_size, asked="batch_size" in asked.get("training", {})
        ),
        window=training.window,
        longest=STRETCH_WINDOWS * training.window,
        seed=settings.seed,
    )
    hooks = _hooks(folder, planned, network)
    going_on = kept is not None and folder.checkpoint.exists()
    if kept is None and group.first:
        mapping = to_mapping(settings)
        run = {
            "sources": [
                str(Path(source).resolve())
                if isinstance(source, str | Path) and is_there(Path(source))
                else source_name(source)
                for source in sources
            ],
            "sha256": corpus.sha256,
            "documents": len(corpus.given),
            "characters": len(corpus.given.times_N),
            "rhapsode": __version__,
        }
        folder.create({**mapping, "run": run})
    if clock is None:
        clock = _clock(
            planned, stream, seconds, time.monotonic() - began, folder if going_on else None
        )
    loop = TrainingLoop(network, stream, clock, training, hooks, group=group)
    if going_on:
        loop.resume(folder.checkpoint)
    elif hooks.evaluate is not None and group.size == 1:
        # A linear model may be the best there is.
        before = hooks.evaluate()
        tell(f"before the first update: validation {before:.4f}")
        begin_with(before, loop, hooks, folder, group)
    if kept is not None and group.first:
        folder.rewind(loop.step)
    for line in (
        f"{settings.model}: {network.parameter_count():,} parameters",
        *planned.plan.reasons,
    ):
        tell(line)
    return SeriesTraining(
        folder=folder,
        settings=settings,
        corpus=corpus,
        network=network,
        stream=stream,
        loop=loop,
        plan=planned.plan,
        machine=machine,
        group=group,
    )


def _hooks(folder: RunFolder, planned: PlannedSeries, network: Network) -> LoopHooks:
    corpus, settings = planned.corpus, planned.settings
    values = sum(
        int(corpus.given.observed_NK[corpus.given.offsets[s] :][train:chosen].sum())
        for s, (train, chosen) in enumerate(zip(corpus.train_S, corpus.chosen_S, strict=True))
    )
    chooses = values > 0
    # What lies behind the validation slice must not be scored, nor read.
    valid = encode_series(
        planned.encoder, planned.covariates, corpus.until(corpus.chosen_S), corpus.train_S
    )
    base = SeriesBundle(
        planned.config,
        planned.encoder,
        SeriesFacts(
            planned.covariates,
            corpus.season,
            corpus.horizon,
            planned.run_up,
            corpus.given.frequency.name,
            corpus.given.names,
            learn_templates(planned.encoder, corpus.until(corpus.train_S)),
        ),
        provenance=Provenance(
            data_sha256=corpus.sha256,
            series=len(corpus.given),
            values=int(corpus.given.observed_NK.sum()),
            test_share=settings.data.test_share,
            selected_on="a validation slice: the end of the training share of every series"
            if chooses
            else "nothing: the last weights",
            settings=to_mapping(settings),
            rhapsode=__version__,
        ),
    )
    predictor = SeriesPredictor(base, network)

    def evaluate() -> float:
        network.eval()
        first = valid.offsets[:-1] + corpus.train_S
        nats_N = value_losses(predictor, valid, first, warm_up=base.facts.run_up)
        return float(np.nansum(nats_N) / values)

    def keep_best(step: int, loss: float | None) -> None:
        facts = replace(base.provenance, step=step, validation_loss=loss)
        members = (Member(network_arrays(network)),)
        write_bundle(folder.model, replace(base, members=members, provenance=facts))

    shown = int(np.argmax(corpus.train_S))

    def sample() -> tuple[tuple[float, str], ...]:
        network.eval()
        return ((1.0, _look(predictor, corpus, shown)),)

    return LoopHooks(
        evaluate=evaluate if chooses else None,
        sample=sample,
        keep_best=keep_best,
        checkpoint=folder.checkpoint,
        secure=folder.secure,
    )


def _look(predictor: SeriesPredictor, corpus: SeriesCorpus, series: int) -> str:
    """A series' end and one path behind it, as a line of small bars."""
    from rhapsode.generation.paths import sample_paths
    from rhapsode.workflows.series.corpus import future_covariates

    given, rows = corpus.given, int(corpus.train_S[series])
    horizon = min(max(corpus.horizon, 12), SHOWN)
    horizon = (
        min(horizon, max(1, int(given.lengths[series]) - rows)) if given.known_names else horizon
    )
    covariates = predictor.bundle.facts.covariates
    _, known_HX = future_covariates(given, covariates, series, rows, horizon, wanted=False)
    which = np.array([series])
    state = predictor.begin(
        histories_of(given, covariates, which, np.array([rows])), covariates.condition(given, which)
    )
    path = sample_paths(predictor, state, known_HX[None], samples=FORECAST_PATHS, seeds=[0])
    before = given.values_NK[given.rows(series)][:rows, 0][-SHOWN:]
    return f"{given.ids[series]}  {sparkline(before, path[0, 0, :, 0])}"


def _clock(
    planned: PlannedSeries,
    stream: SeriesStream,
    seconds: float | None,
    before: float,
    resumed: RunFolder | None,
) -> Clock:
    """The run's clock; a resumed one starts where its checkpoint left it."""
    settings, origin = planned.settings, None
    if resumed is not None:
        kept = read_checkpoint(resumed.checkpoint).values
        before += float(kept["spent"])
        origin = float(kept["origin"])
    if seconds is not None:
        timed = BudgetClock(seconds, spent=before, origin=origin)
        return timed if planned.most_steps is None else CappedClock(timed, planned.most_steps)
    steps = settings.steps
    if steps is None:
        assert settings.epochs is not None
        steps = max(1, stream.steps(settings.epochs) // settings.training.accumulate)
    return StepClock(steps, spent=before)

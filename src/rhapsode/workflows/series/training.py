"""Training on series of numbers, from a table to a finished run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rhapsode import __version__
from rhapsode.bundle import Component, NetworkConfig
from rhapsode.bundle.network import Network, build_network, network_arrays
from rhapsode.bundle.series_bundle import (
    Covariates,
    SeriesBundle,
    learn_covariates,
    write_series_bundle,
)
from rhapsode.bundle.series_predictor import SeriesPredictor
from rhapsode.config import (
    DEFAULT_BUDGET,
    OptimisationSettings,
    SeriesTrainSettings,
    dump_toml,
    from_mapping,
    suggest,
    to_mapping,
)
from rhapsode.data import SeriesStream
from rhapsode.encoding import SeriesEncoder, SeriesEncoderSettings
from rhapsode.errors import RunError, SettingsError
from rhapsode.files import write_atomically
from rhapsode.heads import HEADS, DensityHead
from rhapsode.models import MODELS
from rhapsode.training import (
    BudgetClock,
    CappedClock,
    Clock,
    Event,
    Finished,
    Group,
    LoopHooks,
    Plan,
    StepClock,
    TrainingLoop,
    enough_steps,
    family_settings,
    join_group,
    matmul_rates,
    plan_series,
    prepare_process,
    read_checkpoint,
)
from rhapsode.workflows.curve import draw_course, read_course
from rhapsode.workflows.hooks import begin_with
from rhapsode.workflows.resume import find_run
from rhapsode.workflows.run_folder import RunFolder
from rhapsode.workflows.series.backtest import Backtest, backtest, origins_of
from rhapsode.workflows.series.choosing import Encoding, choose_encoding, planned_lags
from rhapsode.workflows.series.corpus import (
    SeriesCorpus,
    encode_series,
    histories_of,
    open_series,
    source_name,
)
from rhapsode.workflows.series.linear import start_linear
from rhapsode.workflows.series.model import SeriesModel, keepsakes
from rhapsode.workflows.series.report import card, sparkline
from rhapsode.workflows.texts import silent

__all__ = [
    "SeriesTraining",
    "prepare_series_training",
    "series_plan_in_toml",
    "train_series",
]

FORECAST_PATHS = 1
FINISHING_FORECASTS = 400
"""Forecasts of the test share when training ends, at most; `rhapsode evaluate` makes more."""
SHOWN = 32
RUN_UP_WINDOWS = 4
STRETCH_WINDOWS = 8
SECOND_SEASONS = {"hour": 168, "day": 365, "business day": 260}


@dataclass
class SeriesTraining:
    """A run that is ready to go.

    Arguments:
        folder: where it writes.
        settings: resolved.
        corpus: what it learns from.
        network: what is fitted.
        stream: what it reads.
        loop: the loop.
        plan: what was planned.
        machine: measured matmul rates, GFLOP/s.
        group: the processes that train together; only the first one writes and finishes.
    """

    folder: RunFolder
    settings: SeriesTrainSettings
    corpus: SeriesCorpus
    network: Network
    stream: SeriesStream
    loop: TrainingLoop
    plan: Plan
    machine: dict[str, float]
    group: Group
    _last: Finished | None = None

    def events(self) -> Iterator[Event]:
        """Train; every event is in the run folder before it is given on.

        Raises:
            RunError: a file cannot be written, or the loss is no longer a number.
        """
        try:
            for event in self.loop.run():
                if self.group.first:
                    self.folder.record(event)
                if isinstance(event, Finished):
                    self._last = event
                    if event.reason == "diverged":
                        raise RunError(
                            f"the loss stopped being a number at step {event.step}",
                            where=str(self.folder.path),
                            hint="train anew with a smaller --set training.learning_rate",
                        )
                yield event
        finally:
            self.folder.close()

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
            "validation_loss": self.loop.best,
            "steps": self._last.step,
            "ended": self._last.reason,
            "seconds": round(self._last.elapsed, 3),
            "elements_per_second": round(
                self.stream.scored(self._last.step) / max(self._last.elapsed, 1e-9), 1
            ),
            "epochs": round(
                self.stream.scored(self._last.step) / self.stream.elements_per_epoch, 3
            ),
            "parameters": self.network.parameter_count(),
            "plan": {
                "network": dict(self.settings.network),
                "encoder": dict(self.settings.encoder),
                "head": dict(self.settings.head),
                "training": to_mapping(self.settings.training),
                "reasons": list(self.plan.reasons),
            },
            "machine": {
                "matmul_gflops": self.machine,
                "threads": torch.get_num_threads(),
                "processes": self.group.size,
            },
            "rhapsode": __version__,
        }
        facts = {**model.bundle.provenance, "test": figures}
        write_series_bundle(self.folder.model, replace(model.bundle, provenance=facts))
        drawn = draw_course(
            read_course(self.folder.metrics),
            title=f"{self.folder.path.resolve().name}: {self.settings.model.partition('.')[0]}, "
            f"{self.network.parameter_count():,} parameters",
            floors={},
            test=figures["loss"],
        )
        write_atomically(self.folder.curve, drawn.encode("utf-8", "backslashreplace"))
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
                "selected_on": model.bundle.provenance["selected_on"],
                "context": f"carried, at most {model.bundle.run_up} values before the first scored one",
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


@dataclass(frozen=True)
class _Planned:
    """Everything that decides a run."""

    settings: SeriesTrainSettings
    corpus: SeriesCorpus
    encoder: SeriesEncoder
    covariates: Covariates
    config: NetworkConfig
    plan: Plan
    run_up: int
    most_steps: int | None


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
    prepare_process()
    planned = _plan(sources, settings, seconds, tell)
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
    fitted = encode_series(
        planned.encoder, planned.covariates, corpus.until(corpus.train_S), corpus.train_S
    )
    if kept is None or not folder.checkpoint.exists():
        start_linear(network, fitted)
    stream = SeriesStream(
        fitted,
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
            "sources": [source_name(source) for source in sources],
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
        folder, settings, corpus, network, stream, loop, planned.plan, machine, group
    )


def _plan(
    sources: tuple[Any, ...],
    settings: SeriesTrainSettings,
    seconds: float | None,
    tell: Callable[[str], None],
) -> _Planned:
    family = MODELS.full_name(settings.model)
    if settings.encoding != "auto":
        raise SettingsError(
            f"series have no encoding {settings.encoding!r}",
            where="--encoding",
            hint="leave it out; --set encoder.log=true and the like set how numbers are scaled",
        )
    corpus = open_series(sources, settings.series, settings.data, tell)
    given = corpus.given
    train = corpus.until(corpus.train_S)
    columns = [
        train.values_NK[train.rows(series), number]
        for series in range(len(train))
        for number in range(train.values_NK.shape[1])
    ]
    encoder, head, how = _encoding(settings, columns, corpus)
    covariates = learn_covariates(train)
    plan = plan_series(
        points=corpus.points,
        series=len(given),
        longest=int(corpus.train_S.max()),
        season=corpus.season,
        horizon=corpus.horizon,
        hidden_size=_asked_width(settings.network),
    )
    training = from_mapping(
        OptimisationSettings,
        {
            **plan.training,
            "precision": "float32",
            "counts_share": 0.0,
            **to_mapping(settings.training),
        }
        | ({"precision": "float32"} if settings.training.precision == "auto" else {}),
        where="[training]",
    )
    network = {**family_settings(family, plan.network, training.window or 1), **settings.network}
    input_size = encoder.feature_size + covariates.size
    config = _config(family, network, head, input_size, encoder.target_size)
    plan = replace(plan, network=network, reasons=(how, *plan.reasons))
    timed = settings.epochs is None and settings.steps is None
    assert training.window is not None
    assert training.batch_size is not None
    enough = enough_steps(corpus.points, training.window * training.batch_size) if timed else None
    if enough is not None:
        plan = replace(
            plan,
            reasons=(*plan.reasons, f"at most {enough:,} updates: more would only learn by heart"),
        )
    settings = replace(
        settings,
        model=family,
        training=training,
        network=network,
        encoder=to_mapping(encoder.settings),
        head={"name": config.head.name, **_without(config.head.settings, "target_size")},
        data=replace(settings.data, horizon=corpus.horizon, season=corpus.season),
        budget=(settings.budget or DEFAULT_BUDGET) if timed else None,
    )
    run_up = settings.data.run_up or RUN_UP_WINDOWS * training.window
    return _Planned(settings, corpus, encoder, covariates, config, plan, run_up, enough)


def series_plan_in_toml(
    sources: tuple[str, ...], asked: Mapping[str, Any], tell: Callable[[str], None]
) -> str:
    """The resolved settings, as `--config` reads them, behind the reasons for what was planned, as comments.

    Arguments:
        sources: one table.
        asked: settings by name, as in `SeriesTrainSettings`.
        tell: takes lines of progress.

    Raises:
        RhapsodeError: a source or setting that does not fit.
    """
    settings = from_mapping(SeriesTrainSettings, asked, where="settings")
    planned = _plan(sources, settings, settings.budget_seconds(), tell)
    about = "".join(f"# {line}\n" for line in planned.plan.reasons)
    return about + "\n" + dump_toml(to_mapping(planned.settings))


def _without(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def _asked_width(network: Mapping[str, Any]) -> int | None:
    size = network.get("hidden_size")
    return size if type(size) is int and size > 0 else None


def _encoding(
    settings: SeriesTrainSettings, columns: list[Any], corpus: SeriesCorpus
) -> tuple[SeriesEncoder, dict[str, Any], str]:
    """The encoder, the head's settings, and why."""
    head = dict(settings.head)
    name = head.get("name")
    entry = None if name is None else HEADS.get(HEADS.full_name(str(name)))
    if entry is not None and not issubclass(entry, DensityHead):
        raise SettingsError(
            f"{name!r} is a distribution over a vocabulary, not over numbers",
            where="[head] name",
            hint="laplace, gaussian, student_t, gaussian_mixture, quantiles, poisson or negative_binomial",
        )
    asked = dict(settings.encoder)
    found = Encoding({}, "as asked for")
    if not {"log", "difference", "centre", "counts"} & set(asked):
        # What the encoding declares impossible must not come later: sign and wholeness of all values, and no more.
        every = corpus.given.values_NK[corpus.given.observed_NK]
        found = choose_encoding(
            columns,
            corpus.season,
            corpus.horizon,
            negative=bool((every < 0).any()),
            broken=bool((every != np.round(every)).any()),
        )
    planned = dict(found.settings)
    if entry is not None and entry.counts:
        planned = {"counts": True}
    elif entry is not None and planned.pop("counts", False):
        found = Encoding({}, f"the values themselves: {name} is no distribution of counts")
    unit = corpus.given.frequency.unit
    second = SECOND_SEASONS.get(unit, 1) if corpus.season == corpus.given.period else 1
    longest = int(corpus.train_S.max())
    planned["lags"] = planned_lags(corpus.season, second, longest)
    encoder_settings = from_mapping(SeriesEncoderSettings, {**planned, **asked}, where="[encoder]")
    encoder = SeriesEncoder(encoder_settings, corpus.given.values_NK.shape[1])
    if name is None:
        head["name"] = "negative_binomial" if encoder_settings.counts else "student_t"
    counts = HEADS.get(HEADS.full_name(str(head["name"]))).counts  # type: ignore[attr-defined]
    if counts != encoder_settings.counts:
        raise SettingsError(
            f"{head['name']} is {'a' if counts else 'no'} distribution of counts, and encoder.counts is "
            f"{str(encoder_settings.counts).lower()}",
            where="[head] name",
            hint="set both, or neither",
        )
    return encoder, head, found.reason


def _config(
    family: str,
    network: Mapping[str, Any],
    head: Mapping[str, Any],
    input_size: int,
    target_size: int,
) -> NetworkConfig:
    own = dict(network)
    fed = {"value_size": input_size}
    embedding = own.pop("embedding_size", None)
    if embedding is not None:
        fed["embedding_size"] = embedding
    known = set(MODELS.get(family).Config.__dataclass_fields__) - {"input_size"}
    for name in own:
        if name not in known:
            raise SettingsError(
                f"unknown setting 'network.{name}' for {family}",
                hint=suggest(name, [*sorted(known), "embedding_size"]),
            )
    shape = _without(head, "name")
    return NetworkConfig(
        Component("values.v1" if embedding is None else "linear.v1", fed),
        Component(family, own),
        Component(HEADS.full_name(str(head["name"])), {**shape, "target_size": target_size}),
        "carried",
    )


def _hooks(folder: RunFolder, planned: _Planned, network: Network) -> LoopHooks:
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
        planned.covariates,
        corpus.season,
        corpus.horizon,
        planned.run_up,
        corpus.given.frequency.name,
        corpus.given.names,
        {
            "data_sha256": corpus.sha256,
            "series": len(corpus.given),
            "values": int(corpus.given.observed_NK.sum()),
            "test_share": settings.data.test_share,
            "selected_on": "a validation slice: the end of the training share of every series"
            if chooses
            else "nothing: the last weights",
            "settings": to_mapping(settings),
            "keepsakes": keepsakes(planned.encoder, corpus.until(corpus.train_S)),
            "rhapsode": __version__,
        },
    )
    predictor = SeriesPredictor(base, network)

    def evaluate() -> float:
        network.eval()
        first = valid.offsets[:-1] + corpus.train_S
        nats_N = predictor.losses(valid, first)
        return float(np.nansum(nats_N) / values)

    def keep_best(step: int, loss: float | None) -> None:
        facts = {**base.provenance, "step": step, "validation_loss": loss}
        write_series_bundle(
            folder.model, replace(base, provenance=facts, arrays=network_arrays(network))
        )

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
    _, known_HX = future_covariates(
        given, predictor.bundle.covariates, series, rows, horizon, wanted=False
    )
    which = np.array([series])
    state = predictor.start(
        histories_of(given, predictor.bundle.covariates, which, np.array([rows]))
    )
    path = sample_paths(predictor, state, known_HX[None], samples=FORECAST_PATHS, seeds=[0])
    before = given.values_NK[given.rows(series)][:rows, 0][-SHOWN:]
    return f"{given.ids[series]}  {sparkline(before, path[0, 0, :, 0])}"


def _clock(
    planned: _Planned,
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

"""Training, from sources to a finished run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rhapsode import __version__
from rhapsode.bundle import Calibration, Mixture, write_bundle
from rhapsode.config import TrainSettings, to_mapping
from rhapsode.data import Stream
from rhapsode.errors import SettingsError
from rhapsode.evaluation import Figures, Protocol, evaluate_store, floors_of
from rhapsode.files import write_atomically
from rhapsode.training import (
    BudgetClock,
    Clock,
    Event,
    LoopHooks,
    StepClock,
    TrainingLoop,
    give_back_memory,
    join_group,
    read_checkpoint,
)
from rhapsode.workflows.ancestor import (
    Ancestor,
)
from rhapsode.workflows.card import card
from rhapsode.workflows.corpus import Corpus
from rhapsode.workflows.counting import Counted, ngram_part
from rhapsode.workflows.evaluating import normalisation_of, text_facts
from rhapsode.workflows.hooks import ValidationPart, begin_with, loop_hooks
from rhapsode.workflows.mixing import choose_mixture, no_mixture
from rhapsode.workflows.model import Model
from rhapsode.workflows.planning import count_corpus, plan_training
from rhapsode.workflows.resume import find_run
from rhapsode.workflows.run_folder import RunFolder
from rhapsode.workflows.running import Running
from rhapsode.workflows.series.corpus import is_series_run
from rhapsode.workflows.series.model import SeriesModel
from rhapsode.workflows.series.training import train_series
from rhapsode.workflows.texts import silent
from rhapsode.workflows.writing import (
    index_fingerprint,
    learn_text_index,
    measure_model,
    read_real_text,
)

__all__ = ["Training", "prepare_training", "train"]

FINISHING_READS = 1_500_000
"""Elements that the sweep of the test share reads in windows, about half a minute's; `rhapsode evaluate` reads all."""


@dataclass(kw_only=True)
class Training(Running):
    """A run on texts that is ready to go.

    Arguments:
        corpus: what it learns from.
        counted: the best n-gram model, or None where it is made when training is over, or cannot be.
        start: the model it began as: `model`, `sha256`, `validation_loss` before the first update; None for fresh
            weights.
    """

    settings: TrainSettings
    stream: Stream
    corpus: Corpus
    counted: Counted | None = None
    start: dict[str, Any] | None = None

    def finish(self, tell: Callable[[str], None] = silent) -> dict[str, Any]:
        """Sweep the test share with the best weights, measure what they write, write summary and card.

        Of several processes only the first does this.

        Arguments:
            tell: takes a line where what generates had to be compiled first.

        Returns:
            What `summary.json` holds.
        """
        assert self._last is not None, "finish comes after the events"
        began = time.monotonic()
        self.loop.release()
        give_back_memory()
        model = Model(self.folder.path)
        model.predictor_for("auto", tell)
        if self.counted is None:
            self.counted = count_corpus(self.corpus, model.bundle.context)
        mixture = self._mixture(model)
        ngram = None if self.counted is None else self.counted.model
        part = None if ngram is None else ngram_part(ngram)
        bundle = replace(
            model.bundle,
            facts=replace(model.bundle.facts, ngram=part),
            calibration=Calibration(mixture),
        )
        model = Model(self.folder.path, bundle, ngram)
        figures = self._test_figures(model)
        index = learn_text_index(self.corpus)
        if not isinstance(index, str):
            index.save(self.folder.text_index)
        real = read_real_text(self.corpus.texts, self.corpus.split.test, self.corpus.encoder)
        writing = measure_model(model.predictor, model.bundle, index, real)
        provenance = replace(
            bundle.provenance,
            test=None if figures is None else figures.to_mapping(),
            text_index=None if isinstance(index, str) else index_fingerprint(index),
        )
        beside = ngram is not None and part is None
        if ngram is not None and beside:
            ngram.save(self.folder.ngram)
        write_bundle(self.folder.model, replace(bundle, provenance=provenance))
        if not beside:
            self.folder.ngram.unlink(missing_ok=True)
        summary: dict[str, Any] = {
            **(figures.to_mapping() if figures else {"loss": None, "reason": "no test share"}),
            "mixture": mixture.to_mapping(),
            "writing": writing,
            **self._facts(len(self.corpus.train)),
        }
        if self.start is not None:
            summary["from"] = self.start
        self._draw(figures)
        write_atomically(self.folder.card, card(model.bundle, summary).encode())
        summary["finishing_seconds"] = round(time.monotonic() - began, 3)
        self.folder.write_summary(summary)
        return summary

    def _mixture(self, model: Model) -> Mixture:
        asked = self.settings.training.counts_share
        if asked == 0:
            return no_mixture("training.counts_share is 0")
        part = ValidationPart.of(self.corpus, self.network, model.bundle.context)
        if self.counted is None or not len(part):
            return no_mixture("no n-gram model was counted: there is nothing to choose it by")
        return choose_mixture(model.network_scorer, self.counted.model, part, asked)

    def _draw(self, figures: Figures | None) -> None:
        """The course of the run beside what needs no learning, on the same share."""
        validation = self.corpus.validation
        floors: dict[str, Any] = {}
        if len(validation):
            found_V = validation.counts_V
            floors = floors_of(found_V, self.corpus.counts_V())
            floors["ngram"] = None if self.counted is None else self.counted.loss
        elif figures is not None:
            floors = figures.floors
        drawn = self._course(
            {
                "n-gram model": floors.get("ngram"),
                "unigram model": floors.get("unigram"),
            },
            test=None if figures is None else (figures.network or figures).loss,
            mixed=None if figures is None or figures.network is None else figures.loss,
            before=None if self.start is None else self.start.get("validation_loss"),
        )
        write_atomically(self.folder.curve, drawn)

    def _test_figures(self, model: Model) -> Figures | None:
        if len(self.corpus.test) == 0:
            return None
        protocol = Protocol(
            split=_test_in_words(self.settings, self.corpus),
            selected_on=str(model.bundle.provenance.selected_on),
            context=model.bundle.config.context,
            normalisation=normalisation_of(model.bundle.encoder),
            unknown_cost="the unknown element's own",
        )
        corpus, encoder = self.corpus, self.corpus.encoder
        every = max(1, len(corpus.test) * model.bundle.context.size // FINISHING_READS)
        figures, _ = evaluate_store(
            model.scorer,
            corpus.test,
            model.bundle.facts.counts_V,
            protocol,
            model.bundle.context,
            text=text_facts(corpus.texts, corpus.split.test, encoder, unknown=corpus.test.unknown),
            ngram=None if self.counted is None else self.counted.model,
            every=every,
        )
        return figures


def _test_in_words(settings: TrainSettings, corpus: Corpus) -> str:
    """The test share, for a protocol."""
    parts = corpus.split.test
    characters = int((parts[:, 2] - parts[:, 1]).sum())
    share = f"{characters / max(1, corpus.characters):.2%}"
    if settings.data.split == "documents":
        return f"test: documents chosen by their hash, {share} of the corpus, swept once"
    return f"test: the last {share} of the corpus, swept once"


def train(
    *sources: str,
    output: str | None = None,
    resume: bool = False,
    start: str | Path | None = None,
    watch: Callable[[Event], None] | None = None,
    **settings: Any,
) -> Model | SeriesModel:
    """Train on files, folders or catalogue names; a table of numbers makes a model of series, as `train_series` does.

    Arguments:
        sources: what to learn from.
        output: the run folder [default: runs/<name>].
        resume: go on with the run in `output`.
        start: a run folder or model file to begin as, with its elements and its network.
        watch: called with every event.
        settings: those of `TrainSettings` by name, sections as mappings: `budget="3m"`,
            `network={"hidden_size": 256}`.

    Returns:
        The trained model, opened.

    Raises:
        RhapsodeError: a source, setting or folder that does not fit.
    """
    if is_series_run(sources, settings, output if resume else None):
        if start is not None:
            raise SettingsError("series are not learnt from an older model", where="start")
        return train_series(*sources, output=output, resume=resume, watch=watch, **settings)
    training = prepare_training(sources, settings, output=output, resume=resume, start=start)
    for event in training.events():
        if watch is not None:
            watch(event)
    with training.group.first_goes():
        if training.group.first:
            training.finish()
    return Model(training.folder.path)


def prepare_training(
    sources: tuple[str, ...],
    asked: Mapping[str, Any],
    *,
    output: str | None = None,
    resume: bool = False,
    start: str | Path | None = None,
    spent: float = 0.0,
    tell: Callable[[str], None] = silent,
    clock: Clock | None = None,
) -> Training:
    """Everything up to the first update. A new folder appears only when all input has been found good.

    Arguments:
        sources: what to learn from; may be left out with `resume`.
        asked: settings by name, as in `TrainSettings`.
        output: the run folder.
        resume: go on with the run in `output`.
        start: a run folder or model file to begin as.
        spent: seconds of the budget that are gone already.
        tell: takes lines of progress.
        clock: replaces the run's clock, to replay one.

    Raises:
        RhapsodeError: a source, setting or folder that does not fit.
    """
    began = time.monotonic() - spent
    group = join_group()
    if group.size > 1 and "-" in sources:
        raise SettingsError(
            "several processes cannot share standard input", hint="name a file instead"
        )
    kept = None
    if resume:
        if start is not None:
            raise SettingsError("a resumed run knows what it began as", hint="leave out --from")
        kept = find_run(output, sources, asked)
        folder, sources, asked = kept.folder, kept.sources, kept.settings
    else:
        # Only the first process places and makes the folder: another would find it there already.
        folder = RunFolder(
            Path(group.agree(lambda: str(RunFolder.place(output, sources or ("",)).path)))
        )
    planned = plan_training(sources, asked, kept=kept, start=start, tell=tell, group=group)
    settings, corpus, ancestor = planned.settings, planned.corpus, planned.ancestor
    network, stream = planned.network, planned.stream
    ancestors = () if ancestor is None else ancestor.line
    hooks = loop_hooks(folder, settings, corpus, planned.config, network, ancestors=ancestors)
    going_on = kept is not None and folder.checkpoint.exists()
    began_as: dict[str, Any] | None = None
    if kept is not None and kept.start is not None:
        began_as = dict(kept.start)
    elif ancestor is not None:
        began_as = group.agree(partial(_before, ancestor, hooks, tell))
    if kept is None and group.first:
        folder.create(_config_of(sources, corpus, settings, began_as))
    if clock is None:
        clock = _clock(settings, stream, time.monotonic() - began, folder if going_on else None)
    loop = TrainingLoop(network, stream, clock, settings.training, hooks, group=group)
    if going_on:
        loop.resume(folder.checkpoint)
    elif began_as is not None:
        begin_with(began_as.get("validation_loss"), loop, hooks, folder, group)
    if kept is not None and group.first:
        # Without a checkpoint too: a run that was killed before its first one begins again.
        folder.rewind(loop.step)
    tell(
        f"{settings.model}: {network.parameter_count():,} parameters; "
        f"{'; '.join(planned.plan.reasons)}; {settings.training.precision}"
    )
    return Training(
        folder=folder,
        settings=settings,
        corpus=corpus,
        network=network,
        stream=stream,
        loop=loop,
        plan=planned.plan,
        machine=planned.machine,
        counted=planned.counted,
        start=began_as,
        group=group,
    )


def _config_of(
    sources: tuple[str, ...],
    corpus: Corpus,
    settings: TrainSettings,
    began_as: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What the run's `config.toml` holds."""
    run: dict[str, Any] = {
        "sources": [str(Path(s).resolve()) if Path(s).exists() else s for s in sources],
        "sha256": corpus.sha256,
        "documents": corpus.documents,
        "characters": corpus.characters,
        "rhapsode": __version__,
    }
    if began_as is not None:
        run["from"] = {name: value for name, value in began_as.items() if value is not None}
    return {"run": run, **to_mapping(settings)}


def _before(ancestor: Ancestor, hooks: LoopHooks, tell: Callable[[str], None]) -> dict[str, Any]:
    """The model a run begins as, and what it makes of the new text."""
    loss = None if hooks.evaluate is None else hooks.evaluate()
    if loss is not None:
        tell(f"before: validation {loss:.4f} on the new text, by {ancestor.path}")
    return {
        "model": str(ancestor.path.resolve()),
        "sha256": ancestor.sha256,
        "validation_loss": loss,
    }


def _clock(
    settings: TrainSettings, stream: Stream, before: float, resumed: RunFolder | None
) -> Clock:
    """The run's clock; a resumed one starts where its checkpoint left it.

    Arguments:
        settings: budget, epochs or steps.
        stream: how many steps an epoch has.
        before: seconds this process has spent.
        resumed: the folder with the checkpoint.
    """
    origin = None
    if resumed is not None:
        kept = read_checkpoint(resumed.checkpoint).values
        before += float(kept["spent"])
        origin = float(kept["origin"])
    seconds = settings.budget_seconds()
    if seconds is not None:
        return BudgetClock(seconds, spent=before, origin=origin)
    steps = settings.steps
    if steps is None:
        assert settings.epochs is not None
        steps = max(1, stream.steps(settings.epochs) // settings.training.accumulate)
    return StepClock(steps, spent=before)

"""Training, from sources to a finished run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rhapsode import __version__
from rhapsode.bundle import write_bundle
from rhapsode.bundle.network import Network, build_network
from rhapsode.config import SeenContext, TrainSettings, from_mapping, to_mapping
from rhapsode.data import Stream
from rhapsode.errors import EncodingError, RunError
from rhapsode.evaluation import Figures, Protocol, evaluate_store, ngram_in_words
from rhapsode.models import MODELS
from rhapsode.training import (
    BudgetClock,
    Clock,
    Event,
    Finished,
    Plan,
    StepClock,
    TrainingLoop,
    faster_precision,
    give_back_memory,
    matmul_rates,
    plan_run,
    prepare_process,
    read_checkpoint,
    training_loss,
)
from rhapsode.workflows.card import card
from rhapsode.workflows.components import (
    check_network,
    network_config,
    open_stream,
    planned_settings,
    seen_context,
)
from rhapsode.workflows.corpus import Corpus, prepare_corpus
from rhapsode.workflows.counting import Counted, learn_ngram
from rhapsode.workflows.evaluating import normalisation_of, text_facts
from rhapsode.workflows.hooks import loop_hooks
from rhapsode.workflows.model import Model
from rhapsode.workflows.resume import find_run
from rhapsode.workflows.run_folder import RunFolder
from rhapsode.workflows.texts import silent
from rhapsode.workflows.writing import (
    index_fingerprint,
    learn_text_index,
    measure_model,
    read_real_text,
)

__all__ = ["Training", "prepare_training", "train"]

COUNTING_SECONDS = 2e-6
"""About what counting takes per element."""
COUNTING_SHARE = 0.03
"""Of the budget, what counting may take before training; else it is done behind it."""


@dataclass
class Training:
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
        counted: the best n-gram model, or None where it is made when training is over, or cannot be.
    """

    folder: RunFolder
    settings: TrainSettings
    corpus: Corpus
    network: Network
    stream: Stream
    loop: TrainingLoop
    plan: Plan
    machine: dict[str, float]
    counted: Counted | None = None
    _last: Finished | None = None

    def events(self) -> Iterator[Event]:
        """Train; every event is in the run folder before it is given on.

        Raises:
            RunError: a file cannot be written, or the loss is no longer a number.
        """
        try:
            for event in self.loop.run():
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

    def finish(self) -> dict[str, Any]:
        """Sweep the test share with the best weights, measure what they write, write summary and card.

        Returns:
            What `summary.json` holds.
        """
        assert self._last is not None, "finish comes after the events"
        began = time.monotonic()
        self.loop.release()
        give_back_memory()
        model = Model(self.folder.path)
        if self.counted is None:
            self.counted = _counted(self.corpus, model.bundle.context)
        if self.counted is not None:
            self.counted.model.save(self.folder.ngram)
        figures = self._test_figures(model)
        index = learn_text_index(self.corpus)
        if not isinstance(index, str):
            index.save(self.folder.text_index)
        real = read_real_text(self.corpus.texts, self.corpus.split.test, self.corpus.encoder)
        writing = measure_model(model.predictor, model.bundle, index, real)
        provenance = {
            **model.bundle.provenance,
            "test": figures and figures.to_mapping(),
            "text_index": None if isinstance(index, str) else index_fingerprint(index),
        }
        write_bundle(self.folder.model, replace(model.bundle, provenance=provenance))
        updates = self._last.step * self.settings.training.accumulate
        elements = self.stream.scored(updates)
        summary: dict[str, Any] = {
            **(figures.to_mapping() if figures else {"loss": None, "reason": "no test share"}),
            "validation_loss": self.loop.best,
            "writing": writing,
            "steps": self._last.step,
            "seconds": round(self._last.elapsed, 3),
            "elements_per_second": round(elements / max(self._last.elapsed, 1e-9), 1),
            "epochs": round(elements / max(1, len(self.corpus.train)), 3),
            "parameters": self.network.parameter_count(),
            "plan": {
                "network": dict(self.settings.network),
                "training": to_mapping(self.settings.training),
                "reasons": list(self.plan.reasons),
            },
            "machine": {"matmul_gflops": self.machine, "threads": torch.get_num_threads()},
            "rhapsode": __version__,
        }
        self.folder.card.write_text(card(model.bundle, summary), encoding="utf-8")
        summary["finishing_seconds"] = round(time.monotonic() - began, 3)
        self.folder.write_summary(summary)
        return summary

    def _test_figures(self, model: Model) -> Figures | None:
        if len(self.corpus.test) == 0:
            return None
        protocol = Protocol(
            split=f"test: the last {self.settings.data.test_share:.0%} of the corpus, swept once",
            selected_on=str(model.bundle.provenance["selected_on"]),
            context=model.bundle.config.context,
            normalisation=normalisation_of(model.bundle.encoder),
            unknown_cost="the unknown element's own",
        )
        corpus, encoder = self.corpus, self.corpus.encoder
        figures, _ = evaluate_store(
            model.predictor,
            corpus.test,
            model.bundle.counts_V,
            protocol,
            model.bundle.context,
            text=text_facts(corpus.texts, corpus.split.test, encoder, unknown=corpus.test.unknown),
            ngram=None if self.counted is None else self.counted.model,
        )
        return figures


def train(
    *sources: str,
    output: str | None = None,
    resume: bool = False,
    watch: Callable[[Event], None] | None = None,
    **settings: Any,
) -> Model:
    """Train on files, folders or catalogue names.

    Arguments:
        sources: what to learn from.
        output: the run folder [default: runs/<name>].
        resume: go on with the run in `output`.
        watch: called with every event.
        settings: those of `TrainSettings` by name, sections as mappings: `budget="3m"`,
            `network={"hidden_size": 256}`.

    Returns:
        The trained model, opened.

    Raises:
        RhapsodeError: a source, setting or folder that does not fit.
    """
    training = prepare_training(sources, settings, output=output, resume=resume)
    for event in training.events():
        if watch is not None:
            watch(event)
    training.finish()
    return Model(training.folder.path)


def prepare_training(
    sources: tuple[str, ...],
    asked: Mapping[str, Any],
    *,
    output: str | None = None,
    resume: bool = False,
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
        spent: seconds of the budget that are gone already.
        tell: takes lines of progress.
        clock: replaces the run's clock, to replay one.

    Raises:
        RhapsodeError: a source, setting or folder that does not fit.
    """
    began = time.monotonic() - spent
    if resume:
        kept = find_run(output, sources, asked)
        folder, sources, asked = kept.folder, kept.sources, kept.settings
    else:
        folder = RunFolder.place(output, sources or ("",))
    settings = from_mapping(TrainSettings, asked, where="settings")
    seconds = settings.budget_seconds()
    family = MODELS.full_name(settings.model)
    check_network(settings, family)
    prepare_process()
    corpus = prepare_corpus(sources, settings, tell)
    if resume:
        kept.check(corpus.sha256)
    machine = matmul_rates()
    context = seen_context(settings, family, corpus.train, pairs=corpus.pairs)
    counted = None
    if seconds is None or len(corpus.train) * COUNTING_SECONDS < COUNTING_SHARE * seconds:
        counted = _counted(corpus, context)
        if counted is not None:
            tell(
                f"the best n-gram model ({ngram_in_words(counted.model)}): "
                f"validation {counted.loss:.4f}; counted in {counted.seconds:.1f} s"
            )
    give_back_memory()
    plan = plan_run(
        family=family,
        elements=len(corpus.train),
        documents=len(corpus.train.starts),
        vocab_size=corpus.encoder.vocab_size,
        context=context,
        seconds=seconds,
        epochs=settings.epochs,
        steps=settings.steps,
        fast=machine["bfloat16"] > 1.5 * machine["float32"],
    )
    settings = planned_settings(settings, plan, family, corpus.encoder, context)
    _check_prompt(settings, corpus)
    config = network_config(settings, corpus.encoder.vocab_size)
    torch.manual_seed(settings.seed)
    network = build_network(config)
    stream = open_stream(settings, corpus)
    if settings.training.precision == "auto":
        settings = _measured(settings, network, stream, tell)
    if not resume:
        folder.create(
            {
                "run": {
                    "sources": [str(Path(s).resolve()) if Path(s).exists() else s for s in sources],
                    "sha256": corpus.sha256,
                    "rhapsode": __version__,
                },
                **to_mapping(settings),
            }
        )
    going_on = resume and folder.checkpoint.exists()
    if clock is None:
        clock = _clock(settings, stream, time.monotonic() - began, folder if going_on else None)
    hooks = loop_hooks(folder, settings, corpus, config, network)
    loop = TrainingLoop(network, stream, clock, settings.training, hooks)
    if going_on:
        loop.resume(folder.checkpoint)
        folder.rewind(loop.step)
    tell(
        f"{settings.model}: {network.parameter_count():,} parameters; "
        f"{'; '.join(plan.reasons)}; {settings.training.precision}"
    )
    return Training(folder, settings, corpus, network, stream, loop, plan, machine, counted)


def _counted(corpus: Corpus, context: SeenContext) -> Counted | None:
    return learn_ngram(
        corpus.train, corpus.validation, corpus.encoder.vocab_size, fresh=context.kind == "fresh"
    )


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


def _check_prompt(settings: TrainSettings, corpus: Corpus) -> None:
    missing = corpus.encoder.unknown(settings.samples.prompt)
    if missing:
        raise EncodingError(
            f"the text has no {', '.join(map(repr, missing[:8]))}", where="[samples] prompt"
        )


def _measured(
    settings: TrainSettings, network: Network, stream: Stream, tell: Callable[[str], None]
) -> TrainSettings:
    """The settings with the faster precision, measured for two seconds on this very network."""

    def step(precision: str) -> None:
        loss, _ = training_loss(network, stream, 0, None, precision)
        torch.autograd.backward(loss)

    seconds = settings.budget_seconds()
    with torch.random.fork_rng():
        precision, ratio = faster_precision(step, seconds=min(2.0, (seconds or 120.0) / 60))
    network.zero_grad(set_to_none=True)
    tell(f"{precision}: bfloat16 is {ratio:.2f} x as fast on this machine")
    return replace(settings, training=replace(settings.training, precision=precision))

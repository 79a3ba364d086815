"""Training, from sources to a finished run folder."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rhapsode import __version__
from rhapsode.bundle import COUNTS, Bundle, Component, NetworkConfig, write_bundle
from rhapsode.bundle.network import Network, build_network, network_arrays
from rhapsode.bundle.torch_predictor import TorchPredictor
from rhapsode.config import (
    DEFAULT_BUDGET,
    GenerateSettings,
    OptimisationSettings,
    TrainSettings,
    from_mapping,
    merge,
    suggest,
    to_mapping,
)
from rhapsode.data import CarriedStream
from rhapsode.encoding import ENCODERS
from rhapsode.errors import EncodingError, RunError, SettingsError
from rhapsode.evaluation import Figures, Protocol, evaluate_store, total_loss
from rhapsode.models import INPUTS, MODELS
from rhapsode.training import (
    BudgetClock,
    Clock,
    Event,
    Finished,
    LoopHooks,
    Plan,
    StepClock,
    TrainingLoop,
    faster_precision,
    matmul_rates,
    plan_run,
    prepare_process,
    read_checkpoint,
    training_loss,
)
from rhapsode.workflows.card import card
from rhapsode.workflows.corpus import Corpus, prepare_corpus
from rhapsode.workflows.model import Model, continue_prompt
from rhapsode.workflows.run_folder import RunFolder

__all__ = ["Training", "prepare_training", "train"]

VALIDATION_LANES = 32
VALIDATION_RUN_UP = 256
SAMPLE_SEED = 0


@dataclass
class Training:
    """A run that is ready to go.

    Arguments:
        folder: where it writes.
        settings: resolved.
        corpus: what it learns from.
        network: what is fitted.
        loop: the loop.
        plan: what was planned.
        machine: measured matmul rates, GFLOP/s.
    """

    folder: RunFolder
    settings: TrainSettings
    corpus: Corpus
    network: Network
    loop: TrainingLoop
    plan: Plan
    machine: dict[str, float]
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
        """Sweep the test share with the best weights, write summary and card.

        Returns:
            What `summary.json` holds.
        """
        assert self._last is not None, "finish comes after the events"
        began = time.monotonic()
        model = Model(self.folder.path)
        figures = self._test_figures(model)
        provenance = {**model.bundle.provenance, "test": figures and figures.to_mapping()}
        write_bundle(self.folder.model, replace(model.bundle, provenance=provenance))
        elements = self._last.step * _stream_elements(self.settings)
        summary: dict[str, Any] = {
            **(figures.to_mapping() if figures else {"loss": None, "reason": "no test share"}),
            "validation_loss": self.loop.best,
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
            normalisation="none",
            unknown_cost="the unknown element's own",
        )
        return evaluate_store(model.predictor, self.corpus.test, model.bundle.counts_V, protocol)


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


def _silent(line: str) -> None:
    """Say nothing."""


def prepare_training(
    sources: tuple[str, ...],
    asked: Mapping[str, Any],
    *,
    output: str | None = None,
    resume: bool = False,
    spent: float = 0.0,
    tell: Callable[[str], None] = _silent,
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
        folder, sources, asked, expected = _resumed(output, sources, asked)
    else:
        folder, expected = RunFolder.place(output, sources or ("",)), None
    settings = from_mapping(TrainSettings, asked, where="settings")
    seconds = settings.budget_seconds()
    family = MODELS.full_name(settings.model)
    _check_network(settings, family)
    prepare_process()
    corpus = prepare_corpus(sources, settings, tell)
    _refuse_changed(expected, corpus, folder)
    machine = matmul_rates()
    plan = plan_run(
        family=family,
        elements=len(corpus.train),
        vocab_size=corpus.encoder.vocab_size,
        seconds=seconds,
        epochs=settings.epochs,
        steps=settings.steps,
        fast=machine["bfloat16"] > 1.5 * machine["float32"],
    )
    settings = _planned(settings, plan, family, corpus)
    _check_prompt(settings, corpus)
    config = network_config(settings, corpus.encoder.vocab_size)
    torch.manual_seed(settings.seed)
    network = build_network(config)
    optimisation = settings.training
    assert optimisation.batch_size is not None
    assert optimisation.window is not None
    stream = CarriedStream(
        corpus.train.elements_N,
        batch_size=optimisation.batch_size,
        window=optimisation.window,
        complete=corpus.train.complete,
    )
    if optimisation.precision == "auto":
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
    hooks = _hooks(folder, settings, corpus, config, network)
    loop = TrainingLoop(network, stream, clock, settings.training, hooks)
    if going_on:
        loop.resume(folder.checkpoint)
        folder.rewind(loop.step)
    tell(
        f"{settings.model}: {network.parameter_count():,} parameters; "
        f"{'; '.join(plan.reasons)}; {settings.training.precision}"
    )
    return Training(folder, settings, corpus, network, loop, plan, machine)


def _clock(
    settings: TrainSettings, stream: CarriedStream, before: float, resumed: RunFolder | None
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
        steps = stream.steps(settings.epochs)
    return StepClock(steps, spent=before)


def _resumed(
    output: str | None, sources: tuple[str, ...], asked: Mapping[str, Any]
) -> tuple[RunFolder, tuple[str, ...], dict[str, Any], str]:
    if output is None:
        raise SettingsError("--resume needs the run folder", hint="name it with -o")
    folder = RunFolder(Path(output))
    if not folder.path.is_dir():
        raise RunError("there is no run here to resume", where=output)
    kept = folder.read_config()
    try:
        run = kept.pop("run")
        known, expected = tuple(map(str, run["sources"])), str(run["sha256"])
    except (KeyError, TypeError):
        raise RunError(
            "the section [run] is missing or damaged", where=str(folder.config)
        ) from None
    merged = merge(kept, asked)
    if merged != kept:
        changed = sorted(_differences(kept, merged))
        raise RunError(
            f"a resumed run keeps its settings, these differ: {', '.join(changed)}",
            where=output,
            hint="leave them out, or start a new run",
        )
    return folder, sources or known, kept, expected


def _differences(kept: Mapping[str, Any], asked: Mapping[str, Any], path: str = "") -> list[str]:
    found: list[str] = []
    for key, value in asked.items():
        below = kept.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            found.extend(_differences(below, value, f"{path}{key}."))
        elif below != value:
            found.append(f"{path}{key} ({below} -> {value})")
    return found


def _refuse_changed(expected: str | None, corpus: Corpus, folder: RunFolder) -> None:
    if expected is not None and expected != corpus.sha256:
        raise RunError(
            "the text is not the one this run began with",
            where=str(folder.path),
            hint="restore it, or start a new run",
        )


def _planned(settings: TrainSettings, plan: Plan, family: str, corpus: Corpus) -> TrainSettings:
    """The settings with what was left open filled from the plan."""
    asked = to_mapping(settings.training)
    training = from_mapping(OptimisationSettings, {**plan.training, **asked}, where="[training]")
    return replace(
        settings,
        model=family,
        encoding=ENCODERS.full_name(corpus.encoder.name),
        encoder=corpus.encoder.settings,
        training=training,
        network=_own_network({**plan.network, **settings.network}),
        budget=settings.budget
        or (None if settings.epochs is not None or settings.steps is not None else DEFAULT_BUDGET),
    )


def _own_network(network: Mapping[str, Any]) -> dict[str, Any]:
    """`network` without what is planned for the table but has no place with one-hot input."""
    if network.get("input", "table").startswith("onehot"):
        return {key: value for key, value in network.items() if key != "embedding_size"}
    return dict(network)


def _check_prompt(settings: TrainSettings, corpus: Corpus) -> None:
    missing = corpus.encoder.unknown(settings.samples.prompt)
    if missing:
        raise EncodingError(
            f"the text has no {', '.join(map(repr, missing[:8]))}", where="[samples] prompt"
        )


def network_config(settings: TrainSettings, vocab_size: int) -> NetworkConfig:
    """The components that `[network]` describes.

    `input`, `embedding_size` and `input_dropout` belong to the input module, `head_bias` to the head, everything else
    to the family.
    """
    network = dict(settings.network)
    input_name = INPUTS.full_name(str(network.pop("input", "table")))
    input_settings: dict[str, Any] = {"vocab_size": vocab_size}
    if input_name.startswith("table") and "embedding_size" in network:
        input_settings["embedding_size"] = network.pop("embedding_size")
    if "input_dropout" in network:
        input_settings["dropout"] = network.pop("input_dropout")
    transformer = settings.model.startswith("transformer")
    if transformer and input_name.startswith("table"):
        # The residual stream starts small, as its branches do.
        input_settings["init_std"] = 0.02
    bias = network.pop("head_bias", not transformer)
    return NetworkConfig(
        Component(input_name, input_settings),
        Component(settings.model, network),
        Component("categorical.v1", {"vocab_size": vocab_size, "bias": bias}),
    )


def _check_network(settings: TrainSettings, family: str) -> None:
    """Find what is wrong with `[network]` before anything is read.

    Raises:
        SettingsError: a setting that this family lacks, or values that do not go together.
    """
    own = {field.name for field in dataclasses.fields(MODELS.get(family).Config)} - {"input_size"}
    known = [*sorted(own), "embedding_size", "head_bias", "input", "input_dropout"]
    for name in settings.network:
        if name not in known:
            raise SettingsError(
                f"unknown setting 'network.{name}' for {family}", hint=suggest(name, known)
            )
    plan = plan_run(
        family=family,
        elements=1 << 20,
        vocab_size=3,
        seconds=60.0,
        epochs=None,
        steps=None,
        fast=True,
    )
    asked = replace(
        settings, model=family, network=_own_network({**plan.network, **settings.network})
    )
    with torch.device("meta"):
        build_network(network_config(asked, 3))


def _measured(
    settings: TrainSettings, network: Network, stream: CarriedStream, tell: Callable[[str], None]
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


def _hooks(
    folder: RunFolder,
    settings: TrainSettings,
    corpus: Corpus,
    config: NetworkConfig,
    network: Network,
) -> LoopHooks:
    predictor = TorchPredictor(network, corpus.encoder.vocab_size)
    counts_V = corpus.counts_V()
    validation_N = np.asarray(corpus.validation.elements_N)
    provenance = {
        "data_sha256": corpus.sha256,
        "documents": corpus.documents,
        "characters": corpus.characters,
        "test_share": settings.data.test_share,
        "validation_share": settings.data.validation_share,
        "selected_on": "a validation slice of the training share"
        if len(validation_N)
        else "nothing: the last weights",
        "settings": to_mapping(settings),
        "rhapsode": __version__,
    }

    def evaluate() -> float:
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=settings.training.precision == "bfloat16"
        ):
            total, count = total_loss(
                predictor,
                validation_N,
                lanes=max(1, min(VALIDATION_LANES, len(validation_N) // 512)),
                run_up=VALIDATION_RUN_UP,
                window=256,
            )
        return total / count

    def bundle(step: int, loss: float | None) -> Bundle:
        arrays = {**network_arrays(network), COUNTS: counts_V}
        facts = {**provenance, "step": step, "validation_loss": loss}
        return Bundle(config, corpus.encoder, facts, arrays)

    def sample() -> tuple[tuple[float, str], ...]:
        if settings.samples.length == 0:
            return ()
        shown = Bundle(config, corpus.encoder, {}, {})
        texts: list[tuple[float, str]] = []
        for temperature in settings.samples.temperatures:
            options = GenerateSettings(
                length=settings.samples.length, temperature=temperature, seed=SAMPLE_SEED
            )
            pieces = continue_prompt(predictor, shown, settings.samples.prompt, options)
            texts.append(
                (temperature, settings.samples.prompt + "".join(piece.text for piece in pieces))
            )
        return tuple(texts)

    return LoopHooks(
        evaluate=evaluate if len(validation_N) else None,
        sample=sample,
        keep_best=lambda step, loss: write_bundle(folder.model, bundle(step, loss)),
        checkpoint=folder.checkpoint,
    )


def _stream_elements(settings: TrainSettings) -> int:
    assert settings.training.batch_size is not None
    assert settings.training.window is not None
    return settings.training.batch_size * settings.training.window

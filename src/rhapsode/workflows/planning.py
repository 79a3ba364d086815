"""Everything up to a run's plan: what is read, which network learns from it, how, and why. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from rhapsode.bundle import NetworkConfig, read_text_bundle
from rhapsode.bundle.network import Network, build_network, load_network
from rhapsode.config import SeenContext, TrainSettings, dump_toml, from_mapping, to_mapping
from rhapsode.data import Stream
from rhapsode.errors import EncodingError, RunError, SettingsError
from rhapsode.evaluation import ngram_in_words
from rhapsode.models import FAMILIES
from rhapsode.training import (
    Group,
    Plan,
    faster_precision,
    give_back_memory,
    machine_speed,
    matmul_rates,
    plan_run,
    prepare_process,
    runs,
    training_loss,
)
from rhapsode.workflows.ancestor import (
    Ancestor,
    gentler_plan,
    inherited,
    open_ancestor,
    unknown_lines,
)
from rhapsode.workflows.components import (
    check_network,
    network_config,
    open_stream,
    planned_settings,
    seen_context,
)
from rhapsode.workflows.corpus import Corpus, prepare_corpus
from rhapsode.workflows.counting import Counted, learn_ngram
from rhapsode.workflows.resume import ResumedRun
from rhapsode.workflows.tracking import check_trackers

__all__ = ["Planned", "count_corpus", "plan_in_toml", "plan_training"]

COUNTING_SECONDS = 2e-6
"""About what counting takes per element."""
COUNTING_SHARE = 0.03
"""Of the budget, what counting may take before training; else it is done behind it."""


@dataclass(frozen=True)
class Planned:
    """A run that is decided and has not begun.

    Arguments:
        settings: resolved.
        corpus: what is learnt from.
        context: what the model sees of the past.
        config: of the network.
        network: with the weights it begins with.
        stream: what it reads.
        plan: what was planned, and why.
        machine: measured matmul rates, GFLOP/s.
        counted: the best n-gram model, or None where counting waits for the end, or nothing can be counted.
        ancestor: the model it begins as.
    """

    settings: TrainSettings
    corpus: Corpus
    context: SeenContext
    config: NetworkConfig
    network: Network
    stream: Stream
    plan: Plan
    machine: dict[str, float]
    counted: Counted | None
    ancestor: Ancestor | None


def plan_training(
    sources: tuple[str, ...],
    asked: Mapping[str, Any],
    *,
    kept: ResumedRun | None,
    start: str | Path | None,
    tell: Callable[[str], None],
    group: Group,
) -> Planned:
    """Read the sources and decide on everything that was left open.

    Arguments:
        sources: what to learn from.
        asked: settings by name, as in `TrainSettings`.
        kept: the run that is gone on with.
        start: a run folder or model file to begin as.
        tell: takes lines of progress.
        group: the processes that train together.

    Raises:
        RhapsodeError: a source or setting that does not fit.
    """
    ancestor = _ancestor(start, kept)
    if ancestor is not None and kept is None:
        asked = inherited(asked, ancestor)
    settings = from_mapping(TrainSettings, asked, where="settings")
    seconds = settings.budget_seconds()
    family = FAMILIES.full_name(settings.model)
    check_network(settings, family)
    check_trackers(settings.track)
    if settings.samples.prompt and settings.samples.passage:
        raise SettingsError(
            "samples continue a prompt or a passage, not both",
            where="[samples]",
            hint="set prompt or passage",
        )
    prepare_process()
    encoder = None if ancestor is None else ancestor.bundle.encoder
    with group.first_goes():  # the others find what it has encoded in the cache
        corpus = prepare_corpus(sources, settings, tell, encoder=encoder)
    if corpus.sha256 != group.agree(lambda: corpus.sha256):
        raise RunError(
            "the text is not the one that the first process reads", where=", ".join(sources)
        )
    if kept is not None:
        kept.check(corpus.sha256, corpus.documents, corpus.characters)
    if ancestor is not None:
        for line in unknown_lines(corpus):
            tell(line)
    machine = group.agree(matmul_rates)
    context = seen_context(settings, family, corpus.train, pairs=corpus.pairs)
    counted = None
    soon = seconds is None or len(corpus.train) * COUNTING_SECONDS < COUNTING_SHARE * seconds
    if soon and group.first:
        counted = count_corpus(corpus, context)
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
        speed=machine_speed(machine, torch.get_num_threads()),
        hidden_size=_asked_width(settings.network),
    )
    if ancestor is not None:
        plan = gentler_plan(plan, ancestor, settings, len(corpus.train))
    by_hand = settings.training.batch_size is not None
    settings = planned_settings(settings, plan, family, corpus.encoder, context)
    settings = _shared(settings, group, asked=by_hand)
    _check_prompt(settings, corpus)
    torch.manual_seed(settings.seed)
    if ancestor is None:
        config = network_config(settings, corpus.encoder.vocab_size)
        network = build_network(config)
    else:
        config, network = ancestor.bundle.config, load_network(ancestor.bundle)
    stream = open_stream(settings, corpus)
    precision = group.agree(
        lambda: _precision(settings, network, stream, machine, tell, again=kept is not None)
    )
    settings = replace(settings, training=replace(settings.training, precision=precision))
    return Planned(
        settings, corpus, context, config, network, stream, plan, machine, counted, ancestor
    )


def _asked_width(network: Mapping[str, Any]) -> int | None:
    """Hidden units that were asked for, where they are a number; what else they may be is told of later."""
    size = network.get("hidden_size")
    return size if type(size) is int and size > 0 else None


def _ancestor(start: str | Path | None, kept: ResumedRun | None) -> Ancestor | None:
    """The model that a run begins as, or began as; None for fresh weights."""
    if kept is None:
        return None if start is None else open_ancestor(start)
    if kept.start is None:
        return None
    if kept.folder.checkpoint.exists() and kept.folder.model.exists():
        # The run's own file has the same elements and network; the first model may be gone by now.
        own = read_text_bundle(kept.folder.model)
        line = own.provenance.ancestors
        return Ancestor(Path(kept.start["model"]), kept.start["sha256"], own, line)
    return open_ancestor(kept.start["model"], sha256=kept.start["sha256"])


def _check_prompt(settings: TrainSettings, corpus: Corpus) -> None:
    missing = corpus.encoder.unknown(settings.samples.prompt)
    if missing:
        raise EncodingError(
            f"the text has no {', '.join(map(repr, missing[:8]))}", where="[samples] prompt"
        )


def _shared(settings: TrainSettings, group: Group, *, asked: bool) -> TrainSettings:
    """The settings with a batch that all processes can share.

    Raises:
        SettingsError: somebody asked for one that cannot be divided.
    """
    assert settings.training.batch_size is not None
    rows = group.divide(settings.training.batch_size, asked=asked)
    return replace(settings, training=replace(settings.training, batch_size=rows))


def count_corpus(corpus: Corpus, context: SeenContext) -> Counted | None:
    """The best n-gram model of a corpus; see `learn_ngram`."""
    return learn_ngram(
        corpus.train, corpus.validation, corpus.encoder.vocab_size, fresh=context.kind == "fresh"
    )


def _precision(
    settings: TrainSettings,
    network: Network,
    stream: Stream,
    machine: Mapping[str, float],
    tell: Callable[[str], None],
    *,
    again: bool,
) -> Literal["float32", "bfloat16"]:
    """What was asked for, or the faster precision, measured for a moment on this very network.

    Arguments:
        settings: what was asked for.
        network: what would be trained.
        stream: what it would read.
        machine: measured matmul rates, GFLOP/s.
        tell: takes a line.
        again: a run that was begun before, perhaps on another machine.

    Raises:
        SettingsError: this machine cannot do what was asked for.
    """

    def step(precision: str) -> None:
        loss, _ = training_loss(network, stream, 0, None, precision)
        torch.autograd.backward(loss)

    wanted = settings.training.precision
    if wanted == "float32":
        return wanted
    try:
        with torch.random.fork_rng():
            if wanted == "bfloat16":
                if runs(step, wanted):
                    return wanted
                if not again:
                    raise SettingsError(
                        "PyTorch has no bfloat16 kernel for this network on this machine",
                        where="[training] precision",
                        hint="leave it at auto, or set float32",
                    )
                tell("float32: this machine cannot go on in bfloat16")
                return "float32"
            if machine["bfloat16"] < machine["float32"]:
                tell("float32: this machine has no fast bfloat16")
                return "float32"
            seconds = min(2.0, (settings.budget_seconds() or 120.0) / 120)
            precision, ratio = faster_precision(step, seconds=seconds)
    finally:
        network.zero_grad(set_to_none=True)
    tell(f"{precision}: bfloat16 is {ratio:.2f} x as fast on this machine")
    return precision


def plan_in_toml(planned: Planned) -> str:
    """The resolved settings, as `--config` reads them, behind the reasons for what was planned, as comments."""
    network, stream = planned.network, planned.stream
    about = [
        f"{planned.settings.model}: {network.parameter_count():,} parameters",
        *planned.plan.reasons,
        f"one pass: {stream.steps(1.0):,} updates over {len(planned.corpus.train):,} elements",
    ]
    written = dump_toml(to_mapping(planned.settings))
    return "".join(f"# {line}\n" for line in about) + "\n" + written

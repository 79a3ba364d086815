"""The plan of a run over identifiers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from rhapsode import __version__
from rhapsode.bundle import IdBundle, IdFacts, Provenance
from rhapsode.config import IdSettings
from rhapsode.data import ElementStore
from rhapsode.errors import DataError, EncodingError
from rhapsode.evaluation import ngram_in_words
from rhapsode.log import log
from rhapsode.modalities.ids.components import network_config, own_network, seen_context
from rhapsode.modalities.ids.contract import IdCorpus
from rhapsode.modalities.ids.counting.beside_counts import why_not_beside
from rhapsode.modalities.ids.counting.ngram_sidecar import count_corpus
from rhapsode.modalities.run_contract import Planned, RunRequest, resolved
from rhapsode.models.families import FAMILIES
from rhapsode.models.output_layer import plan_output_layer
from rhapsode.training import give_back_memory, plan_id_run
from rhapsode.training.planner import gentler_plan
from rhapsode.views.figures import plural

# About what counting takes per element.
COUNTING_SECONDS = 2e-6
# Of the budget, what counting may take before training; else it is done after it.
COUNTING_SHARE = 0.03
# The same, where the network is trained beside the counts.
MOST_COUNTING_SHARE = 0.15
# Elements of a training split, at least, from which a run with a planned window learns.
LEAST_ELEMENTS = 8

S = TypeVar("S", bound=IdSettings)
C = TypeVar("C", bound=IdCorpus)


def plan_ids(
    corpus: C,
    request: RunRequest[S],
    facts: type[IdFacts],
    provenance: Callable[[C, S], Provenance],
) -> Planned[S, C, IdBundle]:
    """Fill all settings of a run that were left open.

    The corpus is counted where that is soon done.

    Arguments:
        corpus: training data, divided into splits.
        request: constraints on the plan.
        facts: class of the modality's contents of a model file.
        provenance: data and splits of a run, of a corpus and settings.

    Raises:
        DataError: the training split is too short.
        EncodingError: samples begin with a text that cannot be encoded.
    """
    settings, base = request.settings, request.base
    family = FAMILIES.full_name(settings.model)
    context = seen_context(settings, family, corpus.train, pairs=corpus.pairs)
    counted = None
    elements, seconds = len(corpus.train), request.seconds
    by_hand = (settings.training.window, settings.reading.context)
    if elements < LEAST_ELEMENTS and context.kind != "fresh" and by_hand == (None, None):
        raise DataError(
            f"the training split has {plural(elements, 'element')}: too little to learn from",
            hint=f"give more, {LEAST_ELEMENTS} at least",
        )
    output = plan_output_layer(
        corpus.train.counts_V, settings.network, accelerated=request.accelerator is not None
    )
    width = settings.network.get("hidden_size")
    plan = plan_id_run(
        family=family,
        elements=elements,
        documents=len(corpus.train.starts),
        vocab_size=corpus.encoder.vocab_size,
        context=context,
        seconds=seconds,
        epochs=settings.epochs,
        steps=settings.steps,
        speed=request.speed,
        hidden_size=width if type(width) is int and width > 0 else None,
        accelerator=request.accelerator,
        output=output,
        read_at_once=_read_at_once(corpus.train, settings.training.batch_size),
        has_sources=corpus.train.sources is not None,
    )
    if base is not None:
        plan = gentler_plan(plan, base, elements, asked=settings.training.learning_rate)
    unfit = why_not_beside(
        settings.training,
        request,
        output=output,
        passes=plan.passes,
        words=facts.has_words(corpus.encoder),
        context=context,
        train=corpus.train,
        validation=len(corpus.validation),
        grammar=facts.grammar(corpus.encoder) is not None,
    )
    share = COUNTING_SHARE if unfit is not None else MOST_COUNTING_SHARE
    soon = seconds is None or elements * COUNTING_SECONDS < share * seconds
    soon = soon or settings.training.beside_counts == "on"
    # Counts of documents that are written from sources are only a baseline.
    soon = soon and corpus.train.sources is None
    # Every process reads the counts that a network is trained beside.
    if soon and (request.first or unfit is None):
        counted = count_corpus(corpus, facts, fresh=context.kind == "fresh")
    if counted is not None and request.first:
        log.info(
            f"the best n-gram model ({ngram_in_words(counted.model)}): "
            f"validation {counted.loss:.4f}; counted in {counted.seconds:.1f} s"
        )
    give_back_memory()
    beside = unfit is None and counted is not None
    fixed: dict[str, Any] = {"beside_counts": "on" if beside else "off"}
    if context.kind == "window":
        fixed["window"] = context.size
    settings = resolved(
        settings,
        plan,
        fixed=fixed,
        encoding=corpus.encoder.name,
        encoder=corpus.encoder.settings,
        reading=replace(settings.reading, context=str(context)),
        network=own_network(plan.network, settings.network),
    )
    missing = corpus.encoder.unknown(settings.samples.prompt)
    if missing:
        raise EncodingError(
            f"the text has no {', '.join(map(repr, missing[:8]))}", where="[samples] prompt"
        )
    bundle = IdBundle(
        network_config(settings, corpus.encoder.vocab_size) if base is None else base.bundle.config,
        corpus.encoder,
        facts(corpus.train.counts_V),
        provenance=replace(
            provenance(corpus, settings),
            data_sha256=corpus.sha256,
            documents=corpus.documents,
            characters=corpus.characters,
            copies=corpus.copies,
            selected_on="a validation slice of the training data"
            if len(corpus.validation)
            else "nothing: the last weights",
            rhapsode=__version__,
        ),
    )
    return Planned(
        settings,
        corpus,
        bundle,
        plan,
        elements,
        most_steps=plan.most_steps,
        baseline=None if counted is None else counted.loss,
        own=counted,
    )


def _read_at_once(train: ElementStore, rows: int | None) -> int | None:
    """Elements of an update on pairs; None for other data or unknown rows."""
    if train.sources is None or rows is None:
        return None
    return max(1, rows * len(train) // max(1, len(train.starts)))

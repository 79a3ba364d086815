"""Networks that are trained beside the counts of their training split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.bundle import Component, IdBundle, Predictor, Provenance
from rhapsode.data import Batch
from rhapsode.errors import SettingsError

if TYPE_CHECKING:
    from rhapsode.bundle.network import Network
    from rhapsode.config import OptimisationSettings, SeenContext
    from rhapsode.counts import NGramModel
    from rhapsode.counts.chunks import Elements
    from rhapsode.data import ElementStore
    from rhapsode.modalities.ids.counting.ngram_sidecar import Counted
    from rhapsode.modalities.run_contract import Planned, RunRequest
    from rhapsode.models.output_layer import OutputLayer

# Elements with weights of full width, and elements of a training split, up to which a network is
# trained beside counts.
MOST_IDS, MOST_ELEMENTS = 5000, 8_000_000
# Passes over the training split up to which it pays for words and large vocabularies.
MOST_PASSES = 1.5


def why_not_beside(
    training: OptimisationSettings,
    request: RunRequest[Any],
    *,
    output: OutputLayer,
    passes: float,
    words: bool,
    context: SeenContext,
    train: ElementStore,
    validation: int,
    grammar: bool,
) -> str | None:
    """Reason not to train beside counts; None if there is none.

    Arguments:
        training: as requested.
        request: constraints on the plan.
        output: the planned output layer.
        passes: expected over the training split.
        words: whether elements are words or parts of words.
        context: past elements that the model sees.
        train: the training split.
        validation: number of elements of the validation split.
        grammar: whether a grammar says what may follow.

    Raises:
        SettingsError: it is requested and not possible.
    """
    reasons = (
        (training.beside_counts == "off", "beside_counts is off"),
        (training.counts_share is not None, "counts_share is set"),
        (not validation, "there is no validation split"),
        (context.kind == "window", "its contexts are windows"),
        (train.scored_N is not None, "parts of its documents are given"),
        (train.sources is not None, "its documents are written from sources"),
        (output.shortlist > MOST_IDS, f"there are more than {MOST_IDS:,} different elements"),
        (grammar and bool(output.settings), "a grammar says which rare elements may follow"),
        (len(train) > MOST_ELEMENTS, f"there are more than {MOST_ELEMENTS:,} elements"),
    )
    for holds, reason in reasons:
        if holds:
            if training.beside_counts == "on":
                raise SettingsError(
                    f"the network cannot be trained beside counts: {reason}",
                    where="[training] beside_counts",
                    hint="leave it at auto",
                )
            return reason
    if training.beside_counts == "auto" and request.accelerator is not None:
        return "a GPU trains"
    many = words or bool(output.settings)
    if training.beside_counts == "auto" and many and passes > MOST_PASSES:
        return f"about {passes:.1f} passes over words or a large vocabulary are expected"
    return None


def evidence_for(
    ngram: NGramModel, head: Component, elements_N: Elements, starts: Elements, *, counted: bool
) -> Callable[[Batch], Batch]:
    """Function that adds the evidence of counts to batches of a text.

    Arguments:
        ngram: the counts.
        head: of the network; an adaptive one takes rare elements as one.
        elements_N: the text.
        starts: where documents begin.
        counted: whether the text is the one that was counted; then each place is left out.
    """
    from rhapsode.counts.mixing.text_evidence import TextEvidence

    shortlist = head.settings.get("shortlist")
    evidence = TextEvidence(
        ngram,
        np.asarray(elements_N),
        None if ngram.trie.opening is None else starts,
        leave_out=counted,
        width=None if shortlist is None else shortlist + 1,
    )

    def fill(batch: Batch) -> Batch:
        assert batch.positions_BT is not None, "the batch must give positions of its targets"
        return replace(batch, evidence_BTV=evidence(batch.positions_BT))

    return fill


def mixed_as_trained(network: Predictor, ngram: NGramModel) -> Predictor:
    """Network and counts with the weights that they have in training."""
    from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
    from rhapsode.counts.mixing.experts import Experts
    from rhapsode.counts.mixing.text_evidence import STEP_WEIGHT, training_weights

    experts = Experts(ngram)
    # Contexts of elements read get no weight: training does not know them.
    weight_F = np.zeros(experts.size)
    weight_F[: experts.lead] = training_weights(experts)
    weight_F[experts.measures] = experts.measure_F
    weight_F[experts.measures.stop : experts.measures.stop + experts.steps] = STEP_WEIGHT
    return MixedPredictor(network, ngram, tuple(weight_F.tolist()))


def beside(planned: Planned[Any, Any, IdBundle]) -> NGramModel | None:
    """Counts beside which a network is trained; None without any."""
    counted: Counted | None = planned.own
    if counted is None or planned.settings.training.beside_counts != "on":
        return None
    return counted.model


def evidence_of(
    planned: Planned[Any, Any, IdBundle], elements_N: Elements, starts: Elements, *, counted: bool
) -> Callable[[Batch], Batch] | None:
    """Function that adds evidence to batches; None without counts."""
    ngram = beside(planned)
    if ngram is None:
        return None
    head = planned.bundle.config.head
    return evidence_for(ngram, head, elements_N, starts, counted=counted)


def trained_predictor(planned: Planned[Any, Any, IdBundle], network: Network) -> Predictor:
    """The predictor that training improves: the network, with its counts if any."""
    from rhapsode.bundle.torch_predictor import torch_predictor

    vocab_size = planned.corpus.encoder.vocab_size
    predictor: Predictor = torch_predictor(network, vocab_size, planned.bundle.context)
    ngram = beside(planned)
    return predictor if ngram is None else mixed_as_trained(predictor, ngram)


def without_counts(provenance: Provenance) -> str:
    """Consequence of missing counts, for a warning."""
    told = "metrics and text are those of the network alone"
    if provenance.section("training").get("beside_counts") == "on":
        told += ", which was trained beside the counts and predicts much worse without them"
    return told

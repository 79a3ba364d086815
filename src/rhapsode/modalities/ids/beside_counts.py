"""Networks that are trained beside the counts of their training split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rhapsode.bundle import Predictor, Provenance
from rhapsode.data import EvidenceStream, Stream
from rhapsode.errors import SettingsError

if TYPE_CHECKING:
    from rhapsode.config import OptimisationSettings, SeenContext
    from rhapsode.counts import NGramModel
    from rhapsode.data import ElementStore
    from rhapsode.modalities.contract import RunRequest

# Elements of a vocabulary, and of a training split, up to which a network is trained beside counts.
MOST_IDS, MOST_ELEMENTS = 2000, 8_000_000


def why_not_beside(
    training: OptimisationSettings,
    request: RunRequest[Any],
    *,
    vocab_size: int,
    context: SeenContext,
    train: ElementStore,
    validation: int,
) -> str | None:
    """Reason not to train beside counts; None if there is none.

    Arguments:
        training: as requested.
        request: constraints on the plan.
        vocab_size: V.
        context: past elements that the model sees.
        train: the training split.
        validation: number of elements of the validation split.

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
        (vocab_size > MOST_IDS, f"there are more than {MOST_IDS:,} different elements"),
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
    return None


def beside_counts(stream: Stream, ngram: NGramModel, train: ElementStore) -> EvidenceStream:
    """A stream of the training split with the evidence of its counts.

    Arguments:
        stream: batches of the split.
        ngram: its counts.
        train: the split.
    """
    from rhapsode.counts.text_evidence import TextEvidence

    starts = None if ngram.trie.opening is None else train.starts
    return EvidenceStream(stream, TextEvidence(ngram, np.asarray(train.elements_N), starts))


def mixed_as_trained(network: Predictor, ngram: NGramModel) -> Predictor:
    """Network and counts with the weights that they have in training."""
    from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
    from rhapsode.counts.experts import Experts
    from rhapsode.counts.text_evidence import training_weights

    experts = Experts(ngram)
    # Elements read get no weight: training does not know them.
    weight_F = np.zeros(experts.size)
    weight_F[: experts.lead] = training_weights(experts)
    return MixedPredictor(network, ngram, tuple(weight_F.tolist()))


def without_counts(provenance: Provenance) -> str:
    """Consequence of missing counts, for a warning."""
    told = "metrics and text are those of the network alone"
    if provenance.section("training").get("beside_counts") == "on":
        told += ", which was trained beside the counts and predicts much worse without them"
    return told

"""The validation split, and the choice of the n-gram weight on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import MixedPredictor, Mixture, Predictor
from rhapsode.config import SeenContext
from rhapsode.data import Batch, part_of
from rhapsode.evaluation import LEAST_GAIN, best_share, in_context, mixture_nats, part_losses

if TYPE_CHECKING:
    from rhapsode.bundle.network import Network
    from rhapsode.counts import NGramModel  # loads a compiler
    from rhapsode.encoding import Grammar
    from rhapsode.modalities.ids.contract import IdCorpus


VALIDATION_LANES = 32
VALIDATION_RUN_UP = 256
VALIDATION_WORK = 500_000
# Multiply-adds that a sweep of the validation split may take, about a second's; it is read in part
# if it wants more.
VALIDATION_PRODUCTS = 1e11
LEAST_VALIDATION = 8192


@dataclass(frozen=True)
class ValidationPart:
    """The validation slice, or what can be read in about a second.

    Arguments:
        elements_N: ids.
        starts: where documents begin among them.
        scored_N: which are scored; None: all.
        context: past elements that the model sees.
        grammar: elements that may follow; None: all.
    """

    elements_N: NDArray[np.unsignedinteger]
    starts: NDArray[np.int64]
    scored_N: NDArray[np.bool_] | None
    context: SeenContext
    grammar: Grammar | None = None

    @classmethod
    def of(
        cls,
        corpus: IdCorpus,
        network: Network,
        context: SeenContext,
        grammar: Grammar | None = None,
    ) -> ValidationPart:
        """The part that a network can read in about a second."""
        inner = network.parameter_count() - sum(p.numel() for p in network.input.parameters())
        most = max(LEAST_VALIDATION, int(VALIDATION_PRODUCTS / max(1, inner)))
        if context.kind == "window":
            most = len(corpus.validation)  # of which only some windows are read
        # A grammar reads documents from their beginning.
        whole = context.kind == "fresh" or grammar is not None
        return cls(*part_of(corpus.validation, most, fresh=whole), context, grammar)

    def __len__(self) -> int:
        """Number of elements."""
        return len(self.elements_N)

    def batches(self) -> Iterator[Batch]:
        """Batches of the part, in the model's own context."""
        return in_context(
            self.elements_N,
            self.starts,
            self.context,
            lanes=max(1, min(VALIDATION_LANES, len(self) // 512)),
            run_up=VALIDATION_RUN_UP,
            window=256,
            scored_N=self.scored_N,
            every=max(1, len(self) * self.context.size // VALIDATION_WORK),
            grammar=self.grammar,
        )


def choose_mixture(
    network: Predictor,
    ngram: NGramModel,
    part: ValidationPart,
    asked: float | None = None,
) -> Mixture:
    """Choose the weight of the n-gram model on the validation slice.

    Arguments:
        network: with the best weights.
        ngram: counted on the training split.
        part: of the validation slice; both models read it once, in parallel.
        asked: the requested weight; None chooses the best.

    Returns:
        The mixture with its losses on the same part; `reason` if the weight is 0.
    """
    network_N, ngram_N = part_losses(
        MixedPredictor(network, ngram, 0.5), part.batches(), part.context, elements=len(part)
    )
    share = best_share(network_N, ngram_N) if asked is None else asked
    return Mixture(
        share,
        ngram.fingerprint,
        _mean(mixture_nats(network_N, ngram_N, share)),
        _mean(network_N),
        _mean(ngram_N),
        None
        if share
        else f"the mixture gains less than {LEAST_GAIN:g} nats on the validation slice",
    )


def _mean(nats_N: NDArray[np.float32]) -> float | None:
    return None if np.isnan(nats_N).all() else float(np.nanmean(nats_N, dtype=np.float64))

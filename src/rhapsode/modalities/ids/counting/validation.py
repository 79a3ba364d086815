"""The validation split, and the choice of the n-gram weight on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Mixture, Predictor
from rhapsode.bundle.combined.mixed_predictor import remembers
from rhapsode.config import SeenContext
from rhapsode.data import Batch, SourceStore, part_of, sources_of_part
from rhapsode.evaluation import LEAST_GAIN, distributions_at, in_context

if TYPE_CHECKING:
    from rhapsode.bundle.network import Network
    from rhapsode.counts import NGramModel  # loads a compiler
    from rhapsode.encoding import Grammar
    from rhapsode.modalities.ids.contract import IdCorpus
    from rhapsode.modalities.ids.counting.ngram_sidecar import Counted
    from rhapsode.modalities.ids.model import IdModel


VALIDATION_LANES = 32
VALIDATION_WARM_UP = 256
VALIDATION_WORK = 500_000
# Multiply-adds that a sweep of the validation split may take, about a second's; it is read in part
# if it wants more.
VALIDATION_PRODUCTS = 1e11
LEAST_VALIDATION = 8192
# Elements, and numbers of their distributions, that weights of counts are fitted on; and their
# decimals.
MOST_PLACES, MOST_NUMBERS, DIGITS = 25_000, 1 << 26, 4


@dataclass(frozen=True)
class ValidationPart:
    """The validation slice, or what can be read in about a second.

    Arguments:
        elements_N: ids.
        starts: where documents begin among them.
        scored_N: which are scored; None: all.
        context: past elements that the model sees.
        grammar: elements that may follow; None: all.
        sources: what each document is written from; None where there is nothing.
    """

    elements_N: NDArray[np.unsignedinteger]
    starts: NDArray[np.int64]
    scored_N: NDArray[np.bool_] | None
    context: SeenContext
    grammar: Grammar | None = None
    sources: SourceStore | None = None

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
        part = part_of(corpus.validation, most, fresh=whole)
        return cls(*part, context, grammar, sources_of_part(corpus.validation, most))

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
            warm_up=VALIDATION_WARM_UP,
            window=256,
            scored_N=self.scored_N,
            every=max(1, len(self) * self.context.size // VALIDATION_WORK),
            grammar=self.grammar,
            sources=self.sources,
        )


def mixture_of_run(
    model: IdModel, counted: Counted | None, part: ValidationPart, asked: float | None
) -> Mixture:
    """The mixture of a trained network with the counts of its run.

    Arguments:
        model: of the network alone.
        counted: the counts; None without any.
        part: of the validation slice.
        asked: as for `choose_mixture`; 0 mixes nothing.
    """
    if asked == 0:
        return Mixture(reason="training.counts_share is 0")
    if part.sources is not None:
        return Mixture(reason="counts do not see what its documents are written from")
    if counted is None or not len(part):
        return Mixture(
            reason="no n-gram model was counted: there is no validation slice to select it by",
        )
    mixture = choose_mixture(model.network_scorer, counted.model, part, asked)
    return replace(mixture, ngram_validation_loss=counted.loss)


def choose_mixture(
    network: Predictor,
    ngram: NGramModel,
    part: ValidationPart,
    asked: float | None = None,
) -> Mixture:
    """Fit the weights of network and counts on the validation slice.

    Arguments:
        network: with the best weights.
        ngram: counted on the training split.
        part: of the validation slice; the network reads it once.
        asked: one weight for all counts, 0 to 1, and the rest for the network; None fits them.

    Returns:
        The mixture with its losses on the same part; `reason` if the counts add too little.
    """
    from rhapsode.counts.mixing.expert_weights import Evidence, fit_weights, fixed_weights
    from rhapsode.counts.mixing.experts import Experts

    most = min(MOST_PLACES, max(1, MOST_NUMBERS // network.vocab_size))
    places_N = np.arange(len(part)) % -(-len(part) // most) == 0
    places_N[0] &= len(places_N) == 1 or ngram.trie.opening is not None  # it has no history
    place_P, log_prob_PV = distributions_at(network, part.batches(), part.context, places_N)
    if len(place_P) < 2:
        return Mixture(reason="the validation slice is too short for weights of counts")
    starts = part.starts if part.context.kind == "fresh" else None
    text = (part.elements_N, starts, place_P, log_prob_PV)
    remember = remembers(ngram, network.window)
    experts = Experts(ngram, window=network.window, remember=remember)
    if asked is not None:
        weight_F = fixed_weights(experts, asked)
        evidence = Evidence(experts, *text)
        count = len(evidence)
        loss, alone = evidence.loss(weight_F, 0, count)[0] / count, evidence.network
        return _mixture(ngram, weight_F, () if network.window else weight_F, loss, alone)
    fitted = fit_weights(experts, *text)
    if fitted.network - fitted.loss < LEAST_GAIN:
        return Mixture(
            network_validation_loss=fitted.network,
            reason=f"counts gain less than {LEAST_GAIN:g} nats on the validation slice",
        )
    if network.window:
        return _mixture(ngram, fitted.weight_F, (), fitted.loss, fitted.network)
    adapting = Experts(ngram, remember=True, keep=True)
    weight_F = Evidence(adapting, *text).fit(adapting.size, begin=fitted.weight_F)
    return _mixture(ngram, fitted.weight_F, weight_F, fitted.loss, fitted.network)


def _mixture(
    ngram: NGramModel,
    weight_F: NDArray[np.float64],
    adapting_F: Sequence[float] | NDArray[np.float64],
    loss: float,
    network: float,
) -> Mixture:
    weights, adapting = (
        tuple(round(float(weight), DIGITS) for weight in each) for each in (weight_F, adapting_F)
    )
    return Mixture(weights, adapting, ngram.fingerprint, loss, network)

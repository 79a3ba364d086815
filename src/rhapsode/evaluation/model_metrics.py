"""Loss, perplexity and bits, with the protocol they were measured under."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.config import SeenContext
from rhapsode.data import Batch, ElementStore, sweep_lanes
from rhapsode.encoding import Grammar
from rhapsode.evaluation.intervals import Interval, interval_of
from rhapsode.evaluation.losses import (
    context_in_words,
    element_losses,
    in_context,
    part_losses,
    total_loss,
)

if TYPE_CHECKING:  # counting loads a compiler, which not everybody who scores needs
    from rhapsode.counts import NGramModel


NO_NGRAM = "no n-gram model was counted"


@dataclass(frozen=True)
class Protocol:
    """Protocol of a figure. Every reported figure has one.

    Arguments:
        split: scored part.
        selected_on: data that the weights were chosen on.
        context: elements that the model saw before each scored one.
        normalisation: of the text, before scoring.
        unknown_cost: cost of an element outside the vocabulary.
    """

    split: str
    selected_on: str
    context: str
    normalisation: str
    unknown_cost: str


@dataclass(frozen=True)
class Text:
    """Text statistics that an element store does not keep.

    Arguments:
        words: pieces between white space; None in scripts that do not set words apart.
        spelling: nats of spelling the unknown pieces.
        speller: the model that spelled it; None where nothing was unknown.
    """

    words: int | None = None
    spelling: float = 0.0
    speller: str | None = None


@dataclass(frozen=True)
class Order:
    """Batches of a store in another order than the context's.

    Arguments:
        batches: they score every element once.
        words: description, for the protocol.
    """

    batches: Iterable[Batch]
    words: str


@dataclass(frozen=True)
class NetworkFigures:
    """Losses of a model, without baselines.

    Arguments:
        loss: nats per element: the sum over all elements by their number.
        perplexity: exp(loss).
        bits_per_byte: all nats, those of spelling unknown pieces too, / ln 2 / UTF-8 bytes of the
            source.
        bits_per_character: the same by characters of the source.
        word_perplexity: exp(all nats / words of the source); None where a script does not set words
            apart.
    """

    loss: float
    perplexity: float
    bits_per_byte: float | None
    bits_per_character: float | None
    word_perplexity: float | None


@dataclass(frozen=True)
class Figures(NetworkFigures):
    """Figures of a sweep over a text, after those of `NetworkFigures`.

    Arguments:
        elements: how many were scored, ends of documents included.
        unknown_rate: fraction of elements outside the vocabulary.
        interval: of the loss, 95 %; None where there is too little text.
        baselines: nats per element of the baselines: uniform, unigram, ngram (null with a reason).
        protocol: how the figures were measured.
        network: figures of the network alone, under the same protocol; None where it is not mixed.
    """

    elements: int
    unknown_rate: float
    interval: Interval | None
    baselines: dict[str, Any]
    protocol: Protocol
    network: NetworkFigures | None

    def to_mapping(self) -> dict[str, Any]:
        return asdict(self)


def baselines_of(
    found_V: NDArray[np.int64],
    counts_V: NDArray[np.int64],
    ngram: dict[str, Any] | str = NO_NGRAM,
) -> dict[str, Any]:
    """Nats per element of baselines: uniform, unigram and n-gram.

    The unigram model adds one to each count, so that no element has probability 0.

    Arguments:
        found_V: how often each element is scored.
        counts_V: how often it occurs in the training split.
        ngram: the result of `_ngram_baseline`, or the reason why there is no n-gram model.
    """
    share_V = (counts_V + 1.0) / (counts_V.sum() + len(counts_V))
    return {
        "uniform": math.log(len(counts_V)),
        "unigram": float(-(found_V * np.log(share_V)).sum() / found_V.sum()),
        **({"ngram": None, "ngram_reason": ngram} if isinstance(ngram, str) else ngram),
    }


def _ngram_baseline(
    store: ElementStore, ngram: NGramModel, *, fresh: bool, grammar: Grammar | None = None
) -> dict[str, Any]:
    """Nats per scored element of an n-gram model, and which one.

    Arguments:
        store: scored elements.
        ngram: counted on the training split.
        fresh: True if every document is read without the previous ones.
        grammar: the model is normalised over the allowed elements.
    """
    if grammar is not None:
        loss = grammatical_loss(store, ngram, grammar, fresh=fresh)
    else:
        log_prob_N = ngram.log_prob(store.elements_N, store.starts if fresh else None)
        loss = -float(log_prob_N[... if store.scored_N is None else store.scored_N].mean())
    return {"ngram": loss, "ngram_model": ngram_in_words(ngram)}


def grammatical_loss(
    store: ElementStore, ngram: NGramModel, grammar: Grammar, *, fresh: bool
) -> float:
    """Nats per scored element of an n-gram model under a grammar.

    Arguments:
        store: scored elements.
        ngram: counted on the training split.
        grammar: over the same elements.
        fresh: True if every document is read without the previous ones.
    """
    from rhapsode.bundle.combined.mixed_predictor import NGramPredictor

    context = SeenContext("fresh" if fresh else "carried")
    batches = in_context(
        store.elements_N,
        store.starts,
        context,
        lanes=1,
        scored_N=store.scored_N,
        grammar=grammar,
    )
    total, count = total_loss(NGramPredictor(ngram), batches, context)
    return total / count


def ngram_in_words(ngram: NGramModel) -> str:
    """Order and smoothing, for people."""
    return f"order {ngram.order}, {ngram.smoothing.replace('_', ' ')}"


def figures_of(
    total: float,
    count: int,
    *,
    bytes: int,
    characters: int,
    unknown: int,
    baselines: dict[str, Any],
    protocol: Protocol,
    text: Text | None = None,
    interval: Interval | None = None,
) -> Figures:
    """Figures of a sum of nats over one or more elements."""
    text = text or Text()
    loss = total / count
    spelled = total + text.spelling
    bits = spelled / math.log(2)
    return Figures(
        loss=loss,
        perplexity=_exp(loss),
        bits_per_byte=bits / bytes if bytes else None,
        bits_per_character=bits / characters if characters else None,
        word_perplexity=_exp(spelled / text.words) if text.words else None,
        elements=count,
        unknown_rate=unknown / count,
        interval=interval,
        baselines=baselines,
        protocol=protocol,
        network=None,
    )


def _exp(nats: float) -> float:
    return math.exp(min(nats, 700.0))


def evaluate_store(
    predictor: Predictor,
    store: ElementStore,
    counts_V: NDArray[np.int64],
    protocol: Protocol,
    context: SeenContext,
    *,
    text: Text | None = None,
    ngram: NGramModel | str | None = None,
    every: int = 1,
    grammar: Grammar | None = None,
    order: Order | None = None,
) -> tuple[Figures, NDArray[np.float32]]:
    """Sweep a store once.

    Arguments:
        predictor: the model.
        store: elements to score, at least one.
        counts_V: element counts of the training split, for the baselines.
        protocol: split, selection and normalisation; context and unknown cost are
            completed here.
        context: past elements that the model sees.
        text: statistics of the text.
        ngram: the n-gram baseline, or the reason why there is none.
        every: for `window:N`, score only every n-th element after the first window; the others are
            taken to cost as much on average, and the protocol says so.
        grammar: elements that may follow; the predictor is normalised over them.
        order: other batches; None: those of the context.

    Returns:
        The figures, and the nats of every element, NaN where one is not scored.
    """
    text, count = text or Text(), len(store)
    lanes = sweep_lanes(count)
    if order is None:
        own = in_context(
            store.elements_N,
            store.starts,
            context,
            lanes=lanes,
            scored_N=store.scored_N,
            every=every,
            grammar=grammar,
            sources=store.sources,
        )
        order = Order(own, context_in_words(context, lanes, every))
    batches = order.batches
    mixed = predictor.mixed
    if mixed is None:
        nats_N = element_losses(predictor, batches, context, elements=count)
    else:
        alone_N, nats_N = part_losses(mixed, batches, context, elements=count)
    cost = protocol.unknown_cost
    if text.speller:
        cost += f"; bits and perplexity per word include its spelling by {text.speller}"
    found_V = store.counts_V
    if store.scored_N is not None:
        count = int(np.count_nonzero(store.scored_N))
        scored_S = np.asarray(store.elements_N)[store.scored_N]
        found_V = np.bincount(scored_S, minlength=len(counts_V)).astype(np.int64)
    counted: dict[str, Any] | str = ngram if isinstance(ngram, str) else NO_NGRAM
    if ngram is not None and not isinstance(ngram, str):
        counted = _ngram_baseline(store, ngram, fresh=context.kind == "fresh", grammar=grammar)
    size: dict[str, Any] = {
        "bytes": store.bytes,
        "characters": store.characters,
        "unknown": store.unknown,
        "baselines": baselines_of(found_V, counts_V, counted),
        "protocol": replace(protocol, context=order.words, unknown_cost=cost),
        "text": text,
    }
    read = int(np.count_nonzero(~np.isnan(nats_N)))
    nats = float(np.nansum(nats_N, dtype=np.float64)) / read * count
    figures = figures_of(nats, count, interval=interval_of(nats_N, store.starts), **size)
    if mixed is not None:
        nats = float(np.nansum(alone_N, dtype=np.float64)) / read * count
        alone = figures_of(nats, count, **size)
        network = NetworkFigures(*(getattr(alone, each.name) for each in fields(NetworkFigures)))
        figures = replace(figures, network=network)
    return replace(figures, elements=read), nats_N

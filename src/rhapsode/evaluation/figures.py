"""Loss, perplexity and bits, with the protocol they were measured under."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.config import SeenContext
from rhapsode.data import ElementStore, sweep, sweep_fresh, sweep_lanes, sweep_windows

__all__ = ["Figures", "Protocol", "evaluate_store", "figures_of", "floors_of", "total_loss"]

RUN_UP = 2048
WINDOW = 512
ROWS = 32


@dataclass(frozen=True)
class Protocol:
    """How a figure came about; a figure without one is not reported.

    Arguments:
        split: which share was scored.
        selected_on: what the weights were chosen on.
        context: what the model saw before each element.
        normalisation: what was done to the text before scoring.
        unknown_cost: what an element outside the vocabulary is charged.
    """

    split: str
    selected_on: str
    context: str
    normalisation: str
    unknown_cost: str


@dataclass(frozen=True)
class Figures:
    """What a sweep over a text gives.

    Arguments:
        loss: nats per element: the sum over all elements by their number.
        perplexity: exp(loss).
        bits_per_byte: all nats / ln 2 / UTF-8 bytes of the source.
        bits_per_character: all nats / ln 2 / characters of the source.
        elements: how many were scored, ends of documents included.
        unknown_rate: share of elements outside the vocabulary.
        floors: nats per element of what needs no learning: uniform, unigram, ngram (null with a reason).
        protocol: how.
    """

    loss: float
    perplexity: float
    bits_per_byte: float | None
    bits_per_character: float | None
    elements: int
    unknown_rate: float
    floors: dict[str, Any]
    protocol: Protocol

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def total_loss(
    predictor: Predictor,
    elements_N: NDArray[np.unsignedinteger],
    starts: NDArray[np.int64],
    context: SeenContext,
    *,
    lanes: int,
    window: int = WINDOW,
    run_up: int = RUN_UP,
    every: int = 1,
    scored_N: NDArray[np.bool_] | None = None,
) -> tuple[float, int]:
    """Nats over all elements, each scored once in the model's own context, and their number.

    Arguments:
        predictor: the model.
        elements_N: ids.
        starts: where each document begins; counts for `fresh`.
        context: what the model sees of the past.
        lanes: for `carried`: 1 is the plain pass in order; more read side by side, each behind `run_up` unscored
            elements.
        window: elements per call.
        run_up: elements read before a lane's first scored one.
        every: for `window:N`, score only a part.
        scored_N: for `fresh`: False where an element is given, not scored.
    """
    if context.kind == "fresh":
        batches = sweep_fresh(elements_N, starts, rows=ROWS, window=window, scored_N=scored_N)
    elif context.kind == "window":
        rows = max(1, ROWS * window // (2 * context.size))
        batches = sweep_windows(elements_N, size=context.size, rows=rows, every=every)
    else:
        batches = sweep(elements_N, lanes=lanes, window=window, run_up=run_up)
    state: Any = None
    total = 0.0
    count = 0
    for batch in batches:
        if context.kind == "window":
            state = None
        elif state is None:
            state = predictor.start(batch.rows)
        log_prob_BT, state = predictor.score(batch, state)
        scored_BT = batch.weights_BT > 0
        total -= float(log_prob_BT[scored_BT].sum(dtype=np.float64))
        count += int(scored_BT.sum())
    return total, count


def context_in_words(context: SeenContext, lanes: int) -> str:
    """How `total_loss` reads, for a protocol."""
    if context.kind == "fresh":
        return "fresh: every document from the zero state"
    if context.kind == "window":
        return f"window:{context.size}: every element from the {context.size} before it"
    if lanes == 1:
        return "carried, one pass in order"
    return f"carried, {lanes} parts side by side, each after {RUN_UP} elements of run-up"


def floors_of(found_V: NDArray[np.int64], counts_V: NDArray[np.int64]) -> dict[str, Any]:
    """Nats per element of models that learn nothing, or only frequencies.

    The unigram model has one count added to each element, so that nothing is impossible.

    Arguments:
        found_V: how often each element is scored.
        counts_V: how often it occurs in the training share.
    """
    share_V = (counts_V + 1.0) / (counts_V.sum() + len(counts_V))
    return {
        "uniform": math.log(len(counts_V)),
        "unigram": float(-(found_V * np.log(share_V)).sum() / found_V.sum()),
        "ngram": None,
        "ngram_reason": "the run has no n-gram index",
    }


def figures_of(
    total: float,
    count: int,
    *,
    bytes: int,
    characters: int,
    unknown: int,
    floors: dict[str, Any],
    protocol: Protocol,
) -> Figures:
    """Figures of a sum of nats over a number of elements (at least 1)."""
    loss = total / count
    bits = total / math.log(2)
    return Figures(
        loss=loss,
        perplexity=math.exp(min(loss, 700.0)),
        bits_per_byte=bits / bytes if bytes else None,
        bits_per_character=bits / characters if characters else None,
        elements=count,
        unknown_rate=unknown / count,
        floors=floors,
        protocol=protocol,
    )


def evaluate_store(
    predictor: Predictor,
    store: ElementStore,
    counts_V: NDArray[np.int64],
    protocol: Protocol,
    context: SeenContext,
) -> Figures:
    """Sweep a store once.

    Arguments:
        predictor: the model.
        store: what to score; at least one element.
        counts_V: element counts of the training share, for the floors.
        protocol: what to say of split, selection and normalisation; the context is completed here.
        context: what the model sees of the past.
    """
    lanes = sweep_lanes(len(store))
    total, count = total_loss(
        predictor, store.elements_N, store.starts, context, lanes=lanes, scored_N=store.scored_N
    )
    found_V = store.counts_V
    if store.scored_N is not None:
        scored_S = np.asarray(store.elements_N)[store.scored_N]
        found_V = np.bincount(scored_S, minlength=len(counts_V)).astype(np.int64)
    return figures_of(
        total,
        count,
        bytes=store.bytes,
        characters=store.characters,
        unknown=store.unknown,
        floors=floors_of(found_V, counts_V),
        protocol=Protocol(
            protocol.split,
            protocol.selected_on,
            context_in_words(context, lanes),
            protocol.normalisation,
            protocol.unknown_cost,
        ),
    )

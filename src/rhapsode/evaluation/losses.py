"""Losses of elements in a model's own context."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
from rhapsode.config import SeenContext
from rhapsode.data import (
    AllowedElements,
    Batch,
    SourceStore,
    ValueArrays,
    document_spans,
    sweep,
    sweep_fresh,
    sweep_values,
    sweep_windows,
)
from rhapsode.encoding import END_ID, FiniteGrammar, Grammar
from rhapsode.encoding.automata import Place

WARM_UP = 2048
WINDOW = 512
ROWS = 32
SERIES_WINDOW, SERIES_ROWS = 256, 256

DOCUMENTS_AT_ONCE = 256
NUMBERS_AT_ONCE = 1 << 22

T = TypeVar("T")
# Nats per element below which a mixture is not worth its sidecar.
LEAST_GAIN = 0.002


def in_context(
    elements_N: NDArray[np.unsignedinteger],
    starts: NDArray[np.int64],
    context: SeenContext,
    *,
    lanes: int,
    window: int = WINDOW,
    warm_up: int = WARM_UP,
    every: int = 1,
    scored_N: NDArray[np.bool_] | None = None,
    grammar: Grammar | None = None,
    sources: SourceStore | None = None,
) -> Iterator[Batch]:
    """Batches that score every element once, in a model's own context.

    Given elements are read with weight 0.

    Arguments:
        elements_N: ids.
        starts: where each document begins; counts for `fresh`.
        context: past elements that the model sees.
        lanes: for `carried`: 1 reads the text in order; more are read in parallel, each after
            `warm_up` unscored elements.
        window: elements per call.
        warm_up: elements read before a lane's first scored one.
        every: for `window:N`, score only a part.
        scored_N: False where an element is given, not scored; None: all are scored.
        grammar: fills the masks of the batches, which may begin within a document.
        sources: for `fresh`: what each document is written from.
    """
    if context.kind == "fresh":
        batches = sweep_fresh(elements_N, starts, rows=ROWS, window=window, scored_N=scored_N)
    elif context.kind == "window":
        rows = max(1, ROWS * window // (2 * context.size))
        batches = sweep_windows(elements_N, size=context.size, rows=rows, every=every)
    else:
        batches = sweep(elements_N, lanes=lanes, window=window, warm_up=warm_up)
    if scored_N is not None and context.kind != "fresh":
        batches = without_given(batches, scored_N)
    if sources is not None:
        batches = (sources.fill(batch, starts) for batch in batches)
    if grammar is None:
        return batches
    return map(allowed_elements(grammar, elements_N, starts).fill, batches)


def without_given(batches: Iterable[Batch], scored_N: NDArray[np.bool_]) -> Iterator[Batch]:
    """Batches of a sweep with weight 0 where an element is given.

    Arguments:
        batches: from a sweep, which says where its targets stand.
        scored_N: False where an element is given.
    """
    for batch in batches:
        assert batch.positions_BT is not None, "a sweep needs the positions of its targets"
        positions_BT = np.clip(batch.positions_BT, 0, len(scored_N) - 1)  # padding lies outside
        yield replace(batch, weights_BT=batch.weights_BT * scored_N[positions_BT])


def read_batches(
    predictor: Predictor,
    ask: Callable[[Batch, Any], tuple[T, Any]],
    batches: Iterable[Batch],
    context: SeenContext,
) -> Iterator[tuple[Batch, T]]:
    """Batches and the answers of a predictor, its state carried along.

    The state of a window is not carried.

    Arguments:
        predictor: the model.
        ask: a method of it, or a function around one, that takes a batch and a state.
        batches: from `in_context`.
        context: past elements that the model sees.
    """
    state: Any = None
    for batch in batches:
        if context.kind == "window":
            state = None
        elif state is None:
            state = predictor.start(batch.rows, batch.condition)
        answer, state = ask(batch, state)
        yield batch, answer


def total_loss(
    predictor: Predictor, batches: Iterable[Batch], context: SeenContext
) -> tuple[float, int]:
    """Nats over all scored elements, and their number."""
    total, count = 0.0, 0
    for batch, log_prob_BT in read_batches(predictor, predictor.score, batches, context):
        scored_BT = batch.weights_BT > 0
        total -= float(log_prob_BT[scored_BT].sum(dtype=np.float64))
        count += int(scored_BT.sum())
    return total, count


def element_losses(
    predictor: Predictor, batches: Iterable[Batch], context: SeenContext, *, elements: int
) -> NDArray[np.float32]:
    """Nats of every element, (N,); NaN where one is not scored.

    Arguments:
        predictor: the model.
        batches: from a sweep, which says where its targets stand.
        context: past elements that the model sees.
        elements: N.
    """
    answers = read_batches(predictor, predictor.score, batches, context)
    single = ((batch, (log_prob_BT,)) for batch, log_prob_BT in answers)
    return np.asarray(_laid_out(single, 1, elements)[0])


def _laid_out(
    answers: Iterable[tuple[Batch, Sequence[NDArray[np.float32]]]], kinds: int, elements: int
) -> NDArray[np.float32]:
    """Nats of every element under several models, (kinds, N), in text order."""
    nats_RN = np.full((kinds, elements), np.nan, dtype=np.float32)
    for batch, log_probs in answers:
        scored_BT = batch.weights_BT > 0
        assert batch.positions_BT is not None, "a sweep needs the positions of its targets"
        nats_RN[:, batch.positions_BT[scored_BT]] = [-each_BT[scored_BT] for each_BT in log_probs]
    return nats_RN


def value_losses(
    predictor: Predictor, arrays: ValueArrays, scored_S: NDArray[np.int64], *, warm_up: int
) -> NDArray[np.float64]:
    """Nats of known targets, (N,); NaN where none is scored.

    Arguments:
        predictor: the model.
        arrays: encoded series.
        scored_S: the first row that is scored in each, over all series.
        warm_up: rows read before it, at most.
    """
    starts_S = np.maximum(arrays.offsets[:-1], scored_S - warm_up)
    nats_N = np.full(int(arrays.offsets[-1]), np.nan)
    state: Any = None
    for fresh, batch in sweep_values(
        arrays, starts_S, arrays.offsets[1:], rows=SERIES_ROWS, window=SERIES_WINDOW
    ):
        log_prob_BT, state = predictor.score(batch, None if fresh else state)
        assert batch.positions_BT is not None, "a sweep needs the positions of its targets"
        scored_BT = (batch.weights_BT > 0) & (batch.positions_BT >= 0)
        nats_N[batch.positions_BT[scored_BT]] = -log_prob_BT[scored_BT].astype(np.float64)
    nats_N[np.arange(len(nats_N)) < np.repeat(scored_S, np.diff(arrays.offsets))] = np.nan
    return nats_N


def context_in_words(context: SeenContext, lanes: int, every: int = 1) -> str:
    """The order in which `in_context` reads, for a protocol."""
    if context.kind == "fresh":
        return "fresh: every document from the zero state"
    if context.kind == "window":
        which = "every element" if every == 1 else f"one element of {every},"
        return f"window:{context.size}: {which} from the {context.size} before it"
    if lanes == 1:
        return "carried, one pass in order"
    return f"carried, {lanes} parts in parallel, each after a warm-up context of {WARM_UP} elements"


def part_losses(
    predictor: MixedPredictor, batches: Iterable[Batch], context: SeenContext, *, elements: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Nats of every element, (N,), by network and mixture.

    NaN where an element is not scored.

    Arguments:
        predictor: the mixture, whose network reads every batch once.
        batches: from a sweep, which says where its targets stand.
        context: past elements that the network sees.
        elements: N.
    """
    answers = read_batches(predictor, predictor.score_parts, batches, context)
    network_N, mixed_N = _laid_out(answers, 2, elements)
    return network_N, mixed_N


def distributions_at(
    predictor: Predictor,
    batches: Iterable[Batch],
    context: SeenContext,
    places_N: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Log-probabilities of all elements at places of a text.

    Arguments:
        predictor: the model.
        batches: from a sweep, which says where its targets stand.
        context: past elements that the model sees.
        places_N: True at the places.

    Returns:
        The places that are scored there, ascending, (P,), and the log-probabilities (P, V).
    """

    def spread(
        batch: Batch, state: Any
    ) -> tuple[tuple[NDArray[np.int64], NDArray[np.float32]], Any]:
        assert batch.positions_BT is not None, "a sweep needs the positions of its targets"
        positions_BT = np.clip(batch.positions_BT, 0, len(places_N) - 1)  # padding lies outside
        wanted_BT = (batch.weights_BT > 0) & places_N[positions_BT]
        log_prob_PV, state = predictor.distributions_where(batch, wanted_BT, state)
        return (positions_BT[wanted_BT], log_prob_PV), state

    answers = [answer for _, answer in read_batches(predictor, spread, batches, context)]
    places, rows = zip(*answers, strict=True)
    place_P = np.concatenate(places)
    order_P = np.argsort(place_P)
    return place_P[order_P], np.concatenate(rows)[order_P]


def allowed_elements(
    grammar: Grammar, elements_N: NDArray[np.unsignedinteger], starts: NDArray[np.int64]
) -> AllowedElements:
    """Allowed elements at each place, by documents read from their beginning.

    Every document is read after an end-of-sequence element, as prompts are.

    Arguments:
        grammar: over the same elements.
        elements_N: ids, each document followed by end-of-sequence.
        starts: where documents begin; the array begins with one.
    """
    total = len(elements_N)
    which_N = np.zeros(total, dtype=np.int64)
    table = grammar.compiled()
    machine = None if table is None else FiniteGrammar(table)
    automata = 1 if table is None else len(table.starts)
    state_NK = np.zeros((total if table is not None else 0, automata), dtype=np.int32)
    known: dict[bytes, int] = {}
    spans = document_spans(np.union1d(np.zeros(1, dtype=np.int64), starts), total)
    spans = spans[np.argsort(spans[:, 0] - spans[:, 1], kind="stable")]  # the longest first
    for first in range(0, len(spans), DOCUMENTS_AT_ONCE):
        begins, ends = spans[first : first + DOCUMENTS_AT_ONCE].T
        longest = int((ends - begins).max())
        most = max(1, NUMBERS_AT_ONCE // (len(begins) * grammar.vocab_size))
        state = (machine or grammar).init(len(begins))
        for offset in range(0, longest, most):
            columns_T = np.arange(offset, min(longest, offset + most), dtype=np.int64)
            places_BT = begins[:, None] + columns_T
            inside_BT = places_BT < ends[:, None]
            read_BT = inside_BT & (columns_T > 0)
            before_BT = np.clip(places_BT - 1, 0, total - 1)
            inputs_BT = np.where(read_BT, elements_N[before_BT], END_ID).astype(np.int64)
            if machine is not None:  # each of its states has a mask
                state_BTK = machine.path(inputs_BT, state)[:, 1:]
                state_NK[places_BT[inside_BT]] = state_BTK[inside_BT]
                state = Place(state_BTK[:, -1].copy())
                continue
            allowed_BTV, state = grammar.masks(inputs_BT, state)
            distinct_MV, which_M = np.unique(allowed_BTV[inside_BT], axis=0, return_inverse=True)
            numbers_M = [known.setdefault(mask.tobytes(), len(known)) for mask in distinct_MV]
            which_N[places_BT[inside_BT]] = np.array(numbers_M)[which_M.reshape(-1)]
    if table is not None:
        if automata == 1:
            return AllowedElements(table.allowed_SV, state_NK[:, 0].astype(np.int64))
        which_N = state_NK[:, 0].astype(np.int64)
        for k in range(1, automata):  # numbers of the combinations of states
            code_N = which_N * len(table.next_SV) + state_NK[:, k]
            _, first_M, which_N = np.unique(code_N, return_index=True, return_inverse=True)
        return AllowedElements(table.allowed_by(state_NK[first_M]), which_N)
    if not known:
        return AllowedElements(np.ones((1, grammar.vocab_size), dtype=np.bool_), which_N)
    masks_MV = np.frombuffer(b"".join(known), dtype=np.bool_).reshape(len(known), -1)
    return AllowedElements(masks_MV, which_N)

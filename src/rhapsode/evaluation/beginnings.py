"""Whether the beginning of a document is still used later in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.config import SeenContext
from rhapsode.data import ElementStore, document_spans
from rhapsode.evaluation.losses import element_losses, in_context

DOCUMENTS = 500
# A document with a beginning and a rest has so many elements; a rest is scored up to so many.
LEAST, MOST = 8, 512
# Where no mark ends the beginning within this part of a document, it is that part.
LATEST, PART = 0.25, 0.1


@dataclass(frozen=True)
class BeginningUse:
    """Loss of documents under beginnings of others, minus that under their own.

    Arguments:
        nats: the difference, nats per element.
        standard_error: of that, over documents.
        documents: how many were measured.
        elements: elements of their rests.
    """

    nats: float
    standard_error: float
    documents: int
    elements: int


def use_of_beginnings(
    predictor: Predictor, store: ElementStore, context: SeenContext, mark_V: NDArray[np.bool_]
) -> BeginningUse | None:
    """Measure how much the beginnings of documents help to predict their rests.

    Every document is read under its own beginning and under that of the next one. The beginning
    is what is given, or else ends with the first mark.

    Arguments:
        predictor: a model that reads every document from its beginning.
        store: documents.
        context: past elements that the model sees.
        mark_V: elements that end a beginning.

    Returns:
        None if fewer than two documents have a beginning and a rest.
    """
    parts = []
    for begin, end in document_spans(store.starts, len(store)).tolist():
        elements_T = np.asarray(store.elements_N[begin:end]).astype(np.int64)
        if len(elements_T) < LEAST:
            continue
        cut = _length(elements_T, mark_V)
        if store.scored_N is not None:
            given = int(np.argmax(store.scored_N[begin:end]))
            cut = given or cut
        parts.append((elements_T[:cut], elements_T[cut : cut + MOST]))
        if len(parts) == DOCUMENTS:
            break
    if len(parts) < 2:
        return None
    beginnings, rests = zip(*parts, strict=True)
    own_D, other_D = (
        _losses(predictor, context, heads, rests)
        for heads in (beginnings, (*beginnings[1:], beginnings[0]))
    )
    size_D = np.array([len(rest) for rest in rests])
    mean = float((other_D - own_D).sum() / size_D.sum())
    apart_D = (other_D - own_D) - mean * size_D
    error = float(np.sqrt(np.square(apart_D).sum()) / size_D.sum())
    return BeginningUse(mean, error, len(parts), int(size_D.sum()))


def _length(elements_T: NDArray[np.int64], mark_V: NDArray[np.bool_]) -> int:
    """Elements of the beginning of a document."""
    marks = np.flatnonzero(mark_V[elements_T[: int(LATEST * len(elements_T))]])
    return int(marks[0]) + 1 if len(marks) else max(1, int(PART * len(elements_T)))


def _losses(
    predictor: Predictor,
    context: SeenContext,
    heads: tuple[NDArray[np.int64], ...],
    rests: tuple[NDArray[np.int64], ...],
) -> NDArray[np.float64]:
    """Nats of each rest under a beginning."""
    documents = [np.concatenate(pair) for pair in zip(heads, rests, strict=True)]
    length_D = np.array([len(document) for document in documents])
    ends_D = np.cumsum(length_D)
    scored_N = np.zeros(ends_D[-1], np.bool_)
    for end, rest in zip(ends_D, rests, strict=True):
        scored_N[end - len(rest) : end] = True
    elements_N = np.concatenate(documents).astype(np.uint32)
    batches = in_context(elements_N, ends_D - length_D, context, lanes=1, scored_N=scored_N)
    nats_N = element_losses(predictor, batches, context, elements=len(elements_N))
    return np.add.reduceat(np.nan_to_num(nats_N, nan=0.0).astype(np.float64), ends_D - length_D)

"""Breakdowns of losses: surprises, length of context, calibration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Examined, Predictor
from rhapsode.config import SeenContext
from rhapsode.data import AllowedElements, Batch, document_spans, sweep_rows, sweep_strided
from rhapsode.evaluation.losses import read_batches, total_loss, without_given

BINS = 15


@dataclass(frozen=True)
class Surprise:
    """A run of elements that cost more than others.

    Arguments:
        begin: its first element.
        end: one after its last.
        nats: mean nats per element.
        worst: the element in it that cost most.
    """

    begin: int
    end: int
    nats: float
    worst: int


def surprises(
    nats_N: NDArray[np.floating], starts: NDArray[np.int64], *, width: int = 24, most: int = 5
) -> list[Surprise]:
    """Runs with the highest mean loss, without overlap, highest first.

    Arguments:
        nats_N: nats of every element; NaN where one is not scored.
        starts: where each document begins; a run never crosses one where documents are that long.
        width: elements of a run.
        most: how many runs.
    """
    total = len(nats_N)
    width = min(width, total)
    if not width:
        return []
    known_N = ~np.isnan(nats_N)
    sums = np.concatenate(([0.0], np.cumsum(np.where(known_N, nats_N, 0.0), dtype=np.float64)))
    counts = np.concatenate(([0], np.cumsum(known_N)))
    mean_W = (sums[width:] - sums[:-width]) / width
    whole_W = counts[width:] - counts[:-width] == width
    started_N = np.cumsum(np.bincount(starts, minlength=total))
    crossing_W = started_N[width - 1 : total] > started_N[: total - width + 1]
    if (whole_W & ~crossing_W).any():
        whole_W &= ~crossing_W
    mean_W = np.where(whole_W, mean_W, -np.inf)
    found: list[Surprise] = []
    for begin in np.argsort(-mean_W, kind="stable").tolist():
        if len(found) == most or not np.isfinite(mean_W[begin]):
            break
        if any(begin < other.end and other.begin < begin + width for other in found):
            continue
        worst = begin + int(np.nanargmax(nats_N[begin : begin + width]))
        found.append(Surprise(begin, begin + width, float(mean_W[begin]), worst))
    return found


@dataclass(frozen=True)
class Bucket:
    """The mean loss of elements after contexts of about the same length.

    Arguments:
        least: fewest elements seen before one.
        most: most of them.
        loss: nats per element.
        elements: how many were scored.
    """

    least: int
    most: int
    loss: float
    elements: int


def loss_by_context(seen_N: NDArray[np.int64], nats_N: NDArray[np.floating]) -> list[Bucket]:
    """Mean losses by length of context: 0, 1, 2-3, 4-7, ...

    Arguments:
        seen_N: elements seen before each.
        nats_N: nats of each; NaN where one is not scored.
    """
    known_N = ~np.isnan(nats_N)
    level_N = np.frexp(seen_N[known_N].astype(np.float64))[1]
    buckets = []
    for level in np.unique(level_N).tolist():
        inside = nats_N[known_N][level_N == level]
        mean = float(inside.mean(dtype=np.float64))
        buckets.append(Bucket((1 << level) // 2, (1 << level) - 1, mean, len(inside)))
    return buckets


def position_losses(nats_N: NDArray[np.floating], starts: NDArray[np.int64]) -> list[Bucket]:
    """`loss_by_context` of documents that were each read from the zero state."""
    begins = document_spans(starts, len(nats_N))[:, 0]
    begins_N = np.zeros(len(nats_N), dtype=np.int64)
    begins_N[begins] = begins
    return loss_by_context(np.arange(len(nats_N)) - np.maximum.accumulate(begins_N), nats_N)


def context_losses(
    predictor: Predictor,
    elements_N: NDArray[np.unsignedinteger],
    context: SeenContext,
    *,
    rows: int = 64,
    longest: int = 1024,
    scored_N: NDArray[np.bool_] | None = None,
    allowed: AllowedElements | None = None,
) -> list[Bucket]:
    """`loss_by_context` of rows at evenly spaced places, from the zero state.

    Arguments:
        predictor: the model.
        elements_N: ids.
        context: past elements that the model sees; `window:N` is followed up to N.
        rows: how many rows, fewer where the text has fewer places.
        longest: elements read in each.
        scored_N: False where an element is given, not scored; None: all are scored.
        allowed: elements allowed at each place; None: all.
    """
    total = len(elements_N)
    longest = min(longest, total, context.size if context.kind == "window" else total)
    if not longest:
        return []
    begins_R = np.unique(np.linspace(0, total - longest, min(rows, total)).astype(np.int64))
    width = longest if context.kind == "window" else 512
    swept = sweep_rows(elements_N, begins_R, length=longest, width=width)
    batches = (batch if allowed is None else allowed.fill(batch) for _, batch in swept)
    seen, nats = [], []
    for batch, log_prob_BT in read_batches(predictor, predictor.score, batches, context):
        assert batch.positions_BT is not None, "a sweep needs the positions of its targets"
        seen.append((batch.positions_BT - begins_R[:, None]).ravel())
        scored_BT = True if scored_N is None else scored_N[batch.positions_BT]
        nats.append(np.where(scored_BT, -log_prob_BT, np.nan).ravel())
    return loss_by_context(np.concatenate(seen), np.concatenate(nats))


def windowed_loss(
    predictor: Predictor,
    elements_N: NDArray[np.unsignedinteger],
    *,
    window: int,
    stride: int,
    rows: int = 32,
    scored_N: NDArray[np.bool_] | None = None,
    allowed: AllowedElements | None = None,
) -> tuple[float, int]:
    """Nats over all scored elements, and their number, in sliding windows.

    Each element is scored after at least `window - stride` others.

    Windows ignore the bounds of documents.

    Arguments:
        predictor: the model, from the zero state at every window.
        elements_N: ids.
        window: elements read at once.
        stride: elements between the beginnings of two windows, below `window`.
        rows: windows side by side.
        scored_N: False where an element is given, not scored; None: all are scored.
        allowed: elements allowed at each place; None: all.
    """
    batches = sweep_strided(elements_N, window=window, stride=stride, rows=rows)
    if scored_N is not None:
        batches = without_given(batches, scored_N)
    if allowed is not None:
        batches = map(allowed.fill, batches)
    return total_loss(predictor, batches, SeenContext("window", window))


@dataclass(frozen=True)
class ReliabilityBin:
    """Elements whose likeliest candidate had about the same probability.

    Arguments:
        confidence: mean probability of the likeliest candidate.
        accuracy: frequency with which it was the next element.
        elements: how many.
    """

    confidence: float
    accuracy: float
    elements: int


@dataclass(frozen=True)
class Calibration:
    """Reliability of the likeliest candidate.

    See Guo et al. 2017, "On calibration of modern neural networks".

    Arguments:
        ece: expected calibration error: mean distance of confidence and accuracy over 15 equal
            bins, weighted by elements; 0 to 1.
        accuracy: frequency with which the likeliest candidate was the next element.
        confidence: its mean probability.
        entropy: mean entropy of the predicted distribution, nats: equals the loss of a calibrated
            model.
        elements: number of examined elements.
        bins: the reliability diagram, bins without elements left out.
    """

    ece: float
    accuracy: float
    confidence: float
    entropy: float
    elements: int
    bins: list[ReliabilityBin]


def calibration_of(looks: Iterable[tuple[Batch, Examined]]) -> Calibration | None:
    """Calibration over examined batches; None where nothing was scored.

    Arguments:
        looks: batches, and the predictor's answers to them.
    """
    counts_K = np.zeros(BINS, dtype=np.int64)
    right_K = np.zeros(BINS)
    sure_K = np.zeros(BINS)
    entropy = 0.0
    for batch, examined in looks:
        scored_BT = batch.weights_BT > 0
        sure_S = np.exp(examined.top_log_prob_BT[scored_BT].astype(np.float64))
        right_S = examined.top_BT[scored_BT] == batch.targets[scored_BT]
        bin_S = np.minimum((sure_S * BINS).astype(np.int64), BINS - 1)
        counts_K += np.bincount(bin_S, minlength=BINS)
        right_K += np.bincount(bin_S, weights=right_S, minlength=BINS)
        sure_K += np.bincount(bin_S, weights=sure_S, minlength=BINS)
        entropy += float(examined.entropy_BT[scored_BT].sum(dtype=np.float64))
    total = int(counts_K.sum())
    if not total:
        return None
    bins = [
        ReliabilityBin(float(sure / count), float(right / count), int(count))
        for sure, right, count in zip(sure_K, right_K, counts_K, strict=True)
        if count
    ]
    return Calibration(
        ece=float(np.abs(right_K - sure_K).sum() / total),
        accuracy=float(right_K.sum() / total),
        confidence=float(sure_K.sum() / total),
        entropy=entropy / total,
        elements=total,
        bins=bins,
    )

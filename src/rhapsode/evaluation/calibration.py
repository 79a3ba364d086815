"""Whether a model is as often right as it is sure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rhapsode.bundle import Examined
from rhapsode.data import Batch

__all__ = ["Calibration", "ReliabilityBin", "calibration_of"]

BINS = 15


@dataclass(frozen=True)
class ReliabilityBin:
    """Elements whose likeliest candidate had about the same probability.

    Arguments:
        confidence: mean probability of the likeliest candidate.
        accuracy: how often it came.
        elements: how many.
    """

    confidence: float
    accuracy: float
    elements: int


@dataclass(frozen=True)
class Calibration:
    """Reliability of the likeliest candidate (Guo et al. 2017, "On calibration of modern neural networks").

    Arguments:
        ece: expected calibration error: mean distance of confidence and accuracy over 15 equal bins, weighted by
            elements; 0 to 1.
        accuracy: how often the likeliest candidate came.
        confidence: its mean probability.
        entropy: mean entropy of the predicted distribution, nats: equals the loss of a calibrated model.
        elements: how many were looked at.
        bins: the reliability diagram, bins without elements left out.
    """

    ece: float
    accuracy: float
    confidence: float
    entropy: float
    elements: int
    bins: list[ReliabilityBin]


def calibration_of(looks: Iterable[tuple[Batch, Examined]]) -> Calibration | None:
    """Calibration over batches that a predictor has examined; None where nothing was scored.

    Arguments:
        looks: batches and what the predictor said of them.
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

"""What a network costs mixed with an n-gram model, and alone; which share of the n-gram model is best."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.combined.mixed_predictor import MixedPredictor, mixed_log_probs
from rhapsode.config import SeenContext
from rhapsode.data import Batch
from rhapsode.evaluation.losses import read_batches

__all__ = ["LEAST_GAIN", "best_share", "mixture_nats", "part_losses"]

LEAST_GAIN = 0.002
"""Nats per element below which a mixture is not worth its sidecar."""
DIGITS = 3
_HALVINGS = 24


def part_losses(
    predictor: MixedPredictor, batches: Iterable[Batch], context: SeenContext, *, elements: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Nats of every element, (N,), by the network alone and by the n-gram model alone; NaN where one is not scored.

    Arguments:
        predictor: the mixture, whose network reads every batch once.
        batches: from a sweep, which says where its targets stand.
        context: what the network sees of the past.
        elements: N.
    """
    network_N, ngram_N = (np.full(elements, np.nan, dtype=np.float32) for _ in range(2))
    for batch, (network_BT, ngram_BT) in read_batches(
        predictor, predictor.score_parts, batches, context
    ):
        scored_BT = batch.weights_BT > 0
        assert batch.positions_BT is not None, "sweeps say where their targets stand"
        places = batch.positions_BT[scored_BT]
        network_N[places] = -network_BT[scored_BT]
        ngram_N[places] = -ngram_BT[scored_BT]
    return network_N, ngram_N


def mixture_nats(
    network_N: NDArray[np.floating], ngram_N: NDArray[np.floating], share: float
) -> NDArray[np.float32]:
    """Nats of every element under the mixture.

    Arguments:
        network_N: nats of each by the network alone, NaN where one is not scored.
        ngram_N: by the n-gram model alone.
        share: of the n-gram model, 0 to 1.
    """
    mixed_N = np.full(len(network_N), np.nan, dtype=np.float32)
    known_N = ~np.isnan(network_N)
    mixed_N[known_N] = -mixed_log_probs(-network_N[known_N], -ngram_N[known_N], share)
    return mixed_N


def best_share(network_N: NDArray[np.floating], ngram_N: NDArray[np.floating]) -> float:
    """The share of the n-gram model with which the mixture costs least, to three decimals.

    The loss is convex in the share: its slope is followed to where it is 0 by halving the range.

    Arguments:
        network_N: nats of elements by the network alone, NaN where one is not scored.
        ngram_N: by the n-gram model alone.

    Returns:
        From 0 to 1; 0 where nothing is scored, or the mixture gains less than `LEAST_GAIN` nats per element.
    """
    known_N = ~(np.isnan(network_N) | np.isnan(ngram_N))
    network_K, ngram_K = (
        np.asarray(nats_N, np.float64)[known_N] for nats_N in (network_N, ngram_N)
    )
    if not len(network_K):
        return 0.0
    # Probabilities beside the larger of the two, so that none of both vanishes.
    least_K = np.minimum(network_K, ngram_K)
    own_K, given_K = np.exp(least_K - network_K), np.exp(least_K - ngram_K)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        mixed_K = (1 - share) * own_K + share * given_K
        if float(((given_K - own_K) / mixed_K).sum()) > 0:
            low = share
        else:
            high = share
    share = round((low + high) / 2, DIGITS)
    mixed = float(mixture_nats(network_K, ngram_K, share).mean(dtype=np.float64))
    return share if float(network_K.mean()) - mixed >= LEAST_GAIN else 0.0

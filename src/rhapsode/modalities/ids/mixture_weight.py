"""A finished run's network and its n-gram model as one predictor: how large the share of each is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Mixture
from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
from rhapsode.bundle.predictor import NetworkPredictor
from rhapsode.evaluation import LEAST_GAIN, best_share, mixture_nats, part_losses
from rhapsode.modalities.ids.validation import ValidationPart

if TYPE_CHECKING:  # counting loads a compiler
    from rhapsode.counts import NGramModel

__all__ = ["choose_mixture", "no_mixture"]


def choose_mixture(
    network: NetworkPredictor,
    ngram: NGramModel,
    part: ValidationPart,
    asked: float | None = None,
) -> Mixture:
    """The share of the n-gram model that the validation slice wants.

    Arguments:
        network: with the best weights.
        ngram: counted on the training share.
        part: of the validation slice; both read it once, side by side.
        asked: the share that was asked for; None takes the best.

    Returns:
        The mixture with its losses on the same part; `reason` where the share is 0.
    """
    predictor = MixedPredictor(network, ngram, 0.5)
    network_N, ngram_N = part_losses(predictor, part.batches(), part.context, elements=len(part))
    share = best_share(network_N, ngram_N) if asked is None else asked
    reason = None
    if not share:
        reason = f"the mixture gains less than {LEAST_GAIN:g} nats on the validation slice"
    return Mixture(
        share,
        ngram.fingerprint,
        _mean(mixture_nats(network_N, ngram_N, share)),
        _mean(network_N),
        _mean(ngram_N),
        reason,
    )


def no_mixture(reason: str) -> Mixture:
    """The mixture of a network alone."""
    return Mixture(0.0, reason=reason)


def _mean(nats_N: NDArray[np.float32]) -> float | None:
    mean = float(np.nanmean(nats_N, dtype=np.float64)) if (~np.isnan(nats_N)).any() else math.nan
    return None if math.isnan(mean) else mean

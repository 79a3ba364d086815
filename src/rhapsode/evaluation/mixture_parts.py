"""How network and counts share in the predictions of a mixture."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle.combined.mixed_predictor import MixedPredictor
from rhapsode.config import SeenContext
from rhapsode.data import Batch
from rhapsode.evaluation.losses import read_batches

# Nats within which network and counts are equally near to the truth.
EQUAL = 0.1
# Elements that are looked at, and probabilities that are computed for them, at most.
MOST_TOLD, MOST_PROBABILITIES = 20_000, 200_000_000


@dataclass(frozen=True)
class MixtureParts:
    """Losses by network and counts, and without each group of experts.

    Arguments:
        elements: how many were looked at.
        loss: nats per element of the mixture.
        network: of the network alone.
        counts: of the counts of elements alone, interpolated Kneser-Ney.
        network_nearer: share of the elements to which the network alone gives the higher
            probability, by more than 0.1 nats; 0 to 1.
        counts_nearer: the same for the counts.
        equal: share of the other elements.
        lost_without: rise of the loss, nats per element, if a group of experts is left out and the
            other weights stay; by name.
    """

    elements: int
    loss: float
    network: float
    counts: float
    network_nearer: float
    counts_nearer: float
    equal: float
    lost_without: dict[str, float]


def mixture_parts(
    predictor: MixedPredictor, batches: Iterable[Batch], context: SeenContext
) -> MixtureParts | None:
    """The parts of a mixture at the first elements of a text.

    Arguments:
        predictor: the mixture.
        batches: from a sweep.
        context: past elements that the network sees.

    Returns:
        None if nothing is scored.
    """
    from rhapsode.counts.mixing.contributions import ALONE, Groups  # loads a compiler

    told = list(_told(predictor, batches, context))
    rows_PC = np.concatenate(told) if told else np.zeros((0, len(ALONE)))
    count = len(rows_PC)
    if not count:
        return None
    network_P, counts_P, mixture_P = rows_PC[:, : len(ALONE)].T
    lost_G = (mixture_P[:, None] - rows_PC[:, len(ALONE) :]).mean(axis=0)
    network_nearer = float((network_P > counts_P + EQUAL).mean())
    counts_nearer = float((counts_P > network_P + EQUAL).mean())
    return MixtureParts(
        elements=count,
        loss=-float(mixture_P.mean()),
        network=-float(network_P.mean()),
        counts=-float(counts_P.mean()),
        network_nearer=network_nearer,
        counts_nearer=counts_nearer,
        equal=1 - network_nearer - counts_nearer,
        lost_without=dict(zip(Groups.of(predictor.experts).names, lost_G.tolist(), strict=True)),
    )


def _told(
    predictor: MixedPredictor, batches: Iterable[Batch], context: SeenContext
) -> Iterator[NDArray[np.float64]]:
    """Log-probabilities by parts of the mixture at scored elements, batch by batch."""
    most = max(1, min(MOST_TOLD, MOST_PROBABILITIES // (4 * predictor.vocab_size)))
    some = _first(batches, most)
    for batch, told_BTC in read_batches(predictor, predictor.told, some, context):
        yield told_BTC[(batch.weights_BT > 0) & ~batch.forbidden_targets()]


def _first(batches: Iterable[Batch], most: int) -> Iterator[Batch]:
    """Batches with so many scored elements, the last one with weight 0 after these."""
    for batch in batches:
        scored_BT = batch.weights_BT > 0
        number_BT = np.cumsum(scored_BT).reshape(scored_BT.shape)
        yield replace(batch, weights_BT=batch.weights_BT * (number_BT <= most))
        most -= int(scored_BT.sum())
        if most <= 0:
            return

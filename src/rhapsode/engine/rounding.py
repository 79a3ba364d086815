"""The loss of a network whose weights are kept in fewer bits."""

from dataclasses import dataclass
from itertools import islice

import numpy as np

from rhapsode.bundle import Job, Predictor, log_softmax
from rhapsode.generation.chain import Chain
from rhapsode.generation.filters.contract import Suppress
from rhapsode.generation.jobs import generate_elements
from rhapsode.generation.loop import Rows, forced, run

# Texts of so many elements that the exact network writes: less than a second on a core for most.
ROWS, LENGTH = 4, 64


@dataclass(frozen=True)
class Rounding:
    """The distance of two distributions over some elements.

    Arguments:
        nats: mean Kullback-Leibler divergence of the rounded from the exact one (nats an element):
            what the rounded network would lose in scoring what the exact one writes.
        other: share of positions at which another element is the likeliest.
        elements: over how many.
    """

    nats: float
    other: float
    elements: int

    def in_words(self) -> str:
        """One line."""
        return (
            f"rounded weights cost {self.nats:.2g} nats per element on {self.elements:,} generated "
            f"elements; the likeliest element differs at {self.other:.1%} of them"
        )


def rounding_of(exact: Predictor, rounded: Predictor) -> Rounding:
    """Measure both networks on the same texts, written by the exact one.

    Arguments:
        exact: with float32 weights.
        rounded: the same network with others.
    """
    jobs = [Job(np.zeros(0, dtype=np.int64), row, LENGTH) for row in range(ROWS)]
    texts: list[list[int]] = [[] for _ in jobs]
    # No text ends early: end-of-sequence is not drawn.
    chain = Chain([Suppress((0, 1), exact.vocab_size)] if exact.vocab_size > 2 else [])
    for chosen in islice(generate_elements(exact, jobs, chain, seed=0), ROWS * LENGTH):
        texts[chosen.job].append(chosen.element)
    ids_BT = np.array(texts, dtype=np.int64)
    pair = [Rows.of_jobs(each, jobs, Chain([]), 0) for each in (exact, rounded)]
    steps = [run(rows, lambda rows: forced(rows, ids_BT[:, rows.position])) for rows in pair]
    nats, other = 0.0, 0
    for _ in range(LENGTH):
        for step in steps:
            next(step)
        one_BV, two_BV = (log_softmax(rows.following().logits_BV) for rows in pair)
        nats += float((np.exp(one_BV) * (one_BV - two_BV)).sum())
        other += int((one_BV.argmax(axis=-1) != two_BV.argmax(axis=-1)).sum())
    return Rounding(max(0.0, nats / ids_BT.size), other / ids_BT.size, ids_BT.size)

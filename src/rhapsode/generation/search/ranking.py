"""Order continuations by likelihood, or by how little they copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Job, Predictor
from rhapsode.data.batch import Condition
from rhapsode.encoding import END_ID
from rhapsode.generation.chain import Chain
from rhapsode.generation.loop import Rows, forced, run

if TYPE_CHECKING:
    from rhapsode.counts import SuffixIndex  # loads the compiler


def mean_log_probs(
    predictor: Predictor,
    prompt_N: NDArray[np.int64],
    outputs: Sequence[Sequence[int]],
    condition: Condition | None = None,
) -> NDArray[np.float64]:
    """The mean log-probability (nats) of each continuation's elements under the model.

    Arguments:
        predictor: the model.
        prompt_N: what they continue.
        outputs: ids of each, end-of-sequence last where it ended by itself.
        condition: what they depend on; None: nothing.

    Returns:
        one for each; -inf for one of no elements.
    """
    lengths_R = np.array([len(output) for output in outputs], dtype=np.int64)
    elements_RT = np.full((len(outputs), int(lengths_R.max(initial=0))), END_ID, dtype=np.int64)
    for row, output in enumerate(outputs):
        elements_RT[row, : len(output)] = output
    total_R = np.zeros(len(outputs))
    live = np.flatnonzero(lengths_R > 0)
    if not len(live):
        return np.full(len(outputs), -np.inf)
    rows = Rows.of_jobs(predictor, [Job(prompt_N, 0, 0, condition)], Chain([]), 0)
    rows.select(np.zeros(len(live), dtype=np.int64))
    # `live` is looked up at every step.
    for step in run(
        rows,
        lambda rows: forced(rows, elements_RT[live, rows.position]),  # noqa: B023
    ):
        total_R[live] += rows.following().log_prob(step.elements)
        going = np.flatnonzero(lengths_R[live] > rows.position + 1)
        live = live[going]
        step.keep(going)
    return np.where(lengths_R > 0, total_R / np.maximum(lengths_R, 1), -np.inf)


def rank_by_likelihood(
    predictor: Predictor,
    prompt_N: NDArray[np.int64],
    outputs: Sequence[Sequence[int]],
    condition: Condition | None = None,
) -> list[int]:
    """The places of continuations by mean log-probability, highest first, ties in order."""
    means_R = mean_log_probs(predictor, prompt_N, outputs, condition)
    return [int(place) for place in np.argsort(-means_R, kind="stable")]


def rank_by_novelty(index: SuffixIndex, outputs: Sequence[Sequence[int]]) -> list[int]:
    """The places of continuations by how little they copy.

    The continuation whose longest run in the training data is shortest comes first. Ties are broken
    by the mean length of the runs that begin at its elements, then by order. An empty continuation
    comes last.

    Arguments:
        index: over the elements of the training data.
        outputs: ids of each; end-of-sequence counts for nothing.
    """
    keys = []
    for place, output in enumerate(outputs):
        written_M = np.array([each for each in output if each != END_ID], dtype=np.int64)
        lengths_M, _ = index.matches(written_M)
        longest = int(lengths_M.max(initial=0))
        mean = float(lengths_M.mean()) if len(written_M) else 0.0
        keys.append((not len(written_M), longest, mean, place))
    return [key[3] for key in sorted(keys)]

"""The best of several continuations: by likelihood, or by how little of them was copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.encoding import END_ID
from rhapsode.generation.search.rows import log_softmax

if TYPE_CHECKING:
    from rhapsode.counts import SuffixIndex  # loads the compiler

__all__ = ["mean_log_probs", "rank_by_likelihood", "rank_by_novelty"]


def mean_log_probs(
    predictor: Predictor, prompt_N: NDArray[np.int64], outputs: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """The mean log-probability (nats) of an element of each continuation, under the model as it is.

    Arguments:
        predictor: the model.
        prompt_N: what they continue.
        outputs: ids of each, end-of-sequence last where it ended by itself.

    Returns:
        one for each; -inf for one of no elements.
    """
    lengths_R = np.array([len(output) for output in outputs], dtype=np.int64)
    elements_RT = np.full((len(outputs), int(lengths_R.max(initial=0))), END_ID, dtype=np.int64)
    for row, output in enumerate(outputs):
        elements_RT[row, : len(output)] = output
    total_R = np.zeros(len(outputs))
    read_1T = np.concatenate(([END_ID], prompt_N)).astype(np.int64)[None]
    logits_RV, state = predictor.advance(read_1T, predictor.start(1))
    # Longer ones last as rows only; the others are dropped where they end.
    live = np.flatnonzero(lengths_R > 0)
    zeros = np.zeros(len(live), dtype=np.int64)
    logits_RV, state = logits_RV[zeros], predictor.select(state, zeros)
    for position in range(elements_RT.shape[1]):
        due_R = elements_RT[live, position]
        total_R[live] += log_softmax(logits_RV)[np.arange(len(live)), due_R]
        going = np.flatnonzero(lengths_R[live] > position + 1)
        if not len(going):
            break
        live, state = live[going], predictor.select(state, going)
        logits_RV, state = predictor.advance(due_R[going][:, None], state)
    return np.where(lengths_R > 0, total_R / np.maximum(lengths_R, 1), -np.inf)


def rank_by_likelihood(
    predictor: Predictor, prompt_N: NDArray[np.int64], outputs: Sequence[Sequence[int]]
) -> list[int]:
    """The places of continuations, the one with the highest mean log-probability first, ties in order."""
    means_R = mean_log_probs(predictor, prompt_N, outputs)
    return [int(place) for place in np.argsort(-means_R, kind="stable")]


def rank_by_novelty(index: SuffixIndex, outputs: Sequence[Sequence[int]]) -> list[int]:
    """The places of continuations, the one first whose longest run found in the training data is shortest.

    Of equals the one whose elements begin shorter runs on average, then in order. One of no elements comes last: it
    copies nothing because it says nothing.

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

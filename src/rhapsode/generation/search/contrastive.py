"""Contrastive search: likely elements whose features are unlike those of what stands before."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Predictor
from rhapsode.encoding import END_ID
from rhapsode.errors import SettingsError
from rhapsode.generation.chain import Chain
from rhapsode.generation.filters.contract import Context, Logits
from rhapsode.generation.filters.truncation import TopK
from rhapsode.generation.loop import Job
from rhapsode.generation.search.rows import Found, best_first, log_softmax

__all__ = ["FeaturePredictor", "contrastive_search"]


@runtime_checkable
class FeaturePredictor(Protocol):
    """What a predictor has besides that shows what its network makes of what it reads."""

    def features(
        self, elements_BT: NDArray[np.int64], state: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], Any]:
        """Read elements; the features (B, up to T, H) of the last ones, then what `advance` gives."""
        ...


def contrastive_search(predictor: Predictor, job: Job, chain: Chain, *, alpha: float) -> Found:
    """The continuation whose every element has the best (1 - alpha) p - alpha s among the chain's candidates.

    Su et al., "A Contrastive Framework for Neural Text Generation", NeurIPS 2022: s is the largest cosine of the
    features that the network has behind the candidate and behind any element before it. alpha = 0 is greedy choice.

    Arguments:
        predictor: with features.
        job: what to continue.
        chain: what may be written; its top-k leaves the candidates.
        alpha: 0 to 1.

    Raises:
        SettingsError: the predictor has no features, or the chain's order leaves no candidate.
    """
    if not isinstance(predictor, FeaturePredictor):
        raise SettingsError(
            "contrastive search needs the features of a network, which this predictor lacks",
            where="--penalty-alpha",
            hint="use the torch engine and a neural model, or leave it out",
        )
    read_1T = np.concatenate(([END_ID], job.prompt_N)).astype(np.int64)[None]
    features_1TH, logits_1V, state = predictor.features(read_1T, predictor.start(1))
    seen = [_units(features_1TH[0])]
    states = chain.init(1)
    written: list[int] = []
    total = 0.0
    while len(written) < job.length:
        context = Context(
            (job.prompt_N,),
            (np.array(written, dtype=np.int64),),
            np.array([len(written)], dtype=np.int64),
            np.array([job.sequence], dtype=np.int64),
            0,
        )
        share_V, kept_V, states = _weighed(logits_1V, chain, context, states)
        candidates = best_first(np.where(kept_V, share_V, -np.inf), len(share_V))
        twins = predictor.select(state, np.zeros(len(candidates), dtype=np.int64))
        features_R1H, logits_RV, twins = predictor.features(candidates[:, None], twins)
        units_RH = _units(features_R1H[:, -1])
        likeness_R = (units_RH @ np.concatenate(seen).T).max(axis=1)
        score_R = (1 - alpha) * share_V[candidates] - alpha * likeness_R
        best = int(score_R.argmax())
        element = int(candidates[best])
        total += float(log_softmax(logits_1V)[0, element])
        if element == END_ID:
            return Found(tuple(written), total, total, "stop")
        written.append(element)
        seen.append(units_RH[best : best + 1])
        rows_R = np.array([best], dtype=np.int64)
        logits_1V, state = logits_RV[rows_R], predictor.select(twins, rows_R)
    return Found(tuple(written), total, total, "length")


def _weighed(
    logits_1V: Logits, chain: Chain, context: Context, states: tuple[Any, ...]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], tuple[Any, ...]]:
    """Probabilities (V,), which are the candidates, and the chain's states.

    Top-k says which elements are candidates, not how likely they are: p is a share of all, as in the paper.
    """
    kept_V = np.ones(logits_1V.shape[1], dtype=bool)
    after: list[Any] = []
    for step, state in zip(chain.filters, states, strict=True):
        stepped_1V, behind = step.apply(logits_1V, context, state)
        after.append(behind)
        if isinstance(step, TopK):
            kept_V &= np.isfinite(stepped_1V[0])
        else:
            logits_1V = stepped_1V
    share_V = np.exp(log_softmax(logits_1V)[0])
    kept_V &= share_V > 0
    if not kept_V.any():
        raise SettingsError(
            "what top_k leaves may not be written",
            where="--order",
            hint="name top_k behind control",
        )
    return share_V, kept_V, tuple(after)


def _units(features_TH: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features of length 1."""
    length_T1 = np.linalg.norm(features_TH, axis=1, keepdims=True)
    units_TH: NDArray[np.float32] = features_TH / np.maximum(length_T1, np.float32(1e-12))
    return units_TH

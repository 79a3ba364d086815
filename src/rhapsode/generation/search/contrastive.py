"""Contrastive search: likely elements with features unlike the previous ones."""

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import Job, Predictor, log_softmax
from rhapsode.encoding import END_ID
from rhapsode.errors import SettingsError
from rhapsode.generation.chain import Chain
from rhapsode.generation.filters.truncation import TopK
from rhapsode.generation.loop import Rows, Step, run
from rhapsode.generation.search.beam import Found


def contrastive_search(predictor: Predictor, job: Job, chain: Chain, *, alpha: float) -> Found:
    """The continuation that contrastive search chooses.

    Each element has the best (1 - alpha) p - alpha s among the chain's candidates (Su et al., "A
    Contrastive Framework for Neural Text Generation", NeurIPS 2022). s is the largest cosine
    between the network's features after the candidate and after any previous element. alpha = 0 is
    greedy choice.

    Arguments:
        predictor: with features.
        job: what to continue.
        chain: what may be written; its top-k leaves the candidates.
        alpha: 0 to 1.

    Raises:
        SettingsError: the predictor has no features, or the chain's order leaves no candidate.
    """
    search = _Contrast(alpha, job.length)
    rows = Rows.of_jobs(predictor, [job], chain, 0, features=True)
    for _ in run(rows, search.choose):
        pass
    elements = tuple(search.written)
    return Found(elements, search.total, search.total, search.end)


class _Contrast:
    """The choices of a contrastive search.

    All candidates are read, then one of them is continued.
    """

    def __init__(self, alpha: float, length: int) -> None:
        self.written: list[int] = []
        self.total, self.end = 0.0, "length"
        self._alpha, self._length = alpha, length
        self._seen: list[NDArray[np.float32]] = []
        # Of the candidates that were read last: ids, probabilities, log-probabilities.
        self._read: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]] | None = None

    def choose(self, rows: Rows) -> Step | None:
        """The candidates of the best of those read last."""
        features_RTH = rows.following().features_BTH
        if features_RTH is None:
            raise SettingsError(
                "contrastive search needs the features of a network, which this predictor lacks",
                where="--penalty-alpha",
                hint="use the torch engine and a neural model, or leave it out",
            )
        if self._read is None:
            self._seen.append(_units(features_RTH[0]))
        elif not self._take(rows, _units(features_RTH[:, -1]), *self._read):
            return None
        log_V = log_softmax(rows.following().logits_BV)[0]
        share_V, kept_V = _weighed(rows)
        candidates = np.flatnonzero(kept_V)
        candidates = candidates[np.argsort(-share_V[candidates], kind="stable")]
        self._read = candidates, share_V[candidates], log_V[candidates]
        return Step(candidates, candidates[:, None], np.zeros(len(candidates), dtype=np.int64))

    def _take(
        self,
        rows: Rows,
        units_RH: NDArray[np.float32],
        candidates: NDArray[np.int64],
        share_R: NDArray[np.float64],
        log_R: NDArray[np.float64],
    ) -> bool:
        """Continue with the best candidate; true if there is more to choose."""
        likeness_R = (units_RH @ np.concatenate(self._seen).T).max(axis=1)
        best = int(((1 - self._alpha) * share_R - self._alpha * likeness_R).argmax())
        element = int(candidates[best])
        self.total += float(log_R[best])
        if element == END_ID:
            self.end = "stop"
            return False
        self.written.append(element)
        self._seen.append(units_RH[best : best + 1])
        rows.select(np.array([best], dtype=np.int64))
        return len(self.written) < self._length


def _weighed(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Probabilities (V,) of the only row's next element, and which are candidates.

    Top-k decides which elements are candidates, not how likely they are: p is the probability among
    all elements, as in the paper.
    """
    logits_1V = rows.following().logits_BV
    kept_V = np.ones(logits_1V.shape[1], dtype=bool)
    for number, step in enumerate(rows.chain.filters):
        stepped_1V = rows.apply_step(number, logits_1V)
        if isinstance(step, TopK):
            kept_V &= np.isfinite(stepped_1V[0])
        else:
            logits_1V = stepped_1V
    share_V = np.exp(log_softmax(logits_1V)[0])
    kept_V &= share_V > 0
    if not kept_V.any():
        raise SettingsError(
            "the constraints exclude all elements that top_k keeps",
            where="--order",
            hint="name top_k after control",
        )
    return share_V, kept_V


def _units(features_TH: NDArray[np.float32]) -> NDArray[np.float32]:
    length_T1 = np.linalg.norm(features_TH, axis=1, keepdims=True)
    units_TH: NDArray[np.float32] = features_TH / np.maximum(length_T1, np.float32(1e-12))
    return units_TH

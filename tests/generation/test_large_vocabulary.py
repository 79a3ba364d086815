"""Vocabularies too large to be sorted whole: the same sets as a sort of everything gives."""

import numpy as np
import pytest

from rhapsode.generation.filters.truncation import SORTED_WHOLE, TopK, TopP, Typical
from tests.contracts.filter_contract import context_of, probabilities

VOCAB_SIZE = 8 * SORTED_WHOLE


def rows() -> np.ndarray:
    """Peaked, flat, all equal, many ties, and mostly removed."""
    noise = np.random.default_rng(3).normal(size=(5, VOCAB_SIZE)).astype(np.float32)
    noise[0] *= 8
    noise[2] = 1.5
    noise[3] = np.round(noise[3])
    noise[4, 7:] = -np.inf
    return noise


def reference(key_V: np.ndarray, share_V: np.ndarray, mass: float) -> set[int]:
    kept, total = set(), 0.0
    for element in sorted(range(VOCAB_SIZE), key=lambda element: (key_V[element], element)):
        if kept and total >= mass:
            break
        kept.add(element)
        total += share_V[element]
    return kept


@pytest.mark.parametrize("mass", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_sets_by_mass(mass: float):
    logits_BV = rows()
    top_BV, _ = TopP(mass).apply(logits_BV, context_of(5), None)
    typical_BV, _ = Typical(mass).apply(logits_BV, context_of(5), None)
    for row, share_V in enumerate(probabilities(logits_BV)):
        assert set(np.flatnonzero(np.isfinite(top_BV[row]))) == reference(
            -logits_BV[row], share_V, mass
        )
        with np.errstate(divide="ignore"):
            surprise_V = -np.log(share_V)
        possible_V = share_V > 0
        entropy = (share_V[possible_V] * surprise_V[possible_V]).sum()
        found = set(np.flatnonzero(np.isfinite(typical_BV[row])))
        expected = reference(np.abs(surprise_V - entropy), share_V, mass)
        # Distances on either side of the entropy may be equal but for the last digit.
        assert len(found) == len(expected)
        assert len(found ^ expected) <= 2


@pytest.mark.parametrize("k", [1, 5, 40, VOCAB_SIZE - 1])
def test_top_k(k: int):
    logits_BV = rows()
    after_BV, _ = TopK(k).apply(logits_BV, context_of(5), None)
    for before_V, after_V in zip(logits_BV, after_BV, strict=True):
        best = np.argsort(-before_V, kind="stable")[:k]
        assert set(np.flatnonzero(np.isfinite(after_V))) == {
            int(element) for element in best if np.isfinite(before_V[element])
        }

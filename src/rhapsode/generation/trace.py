"""Traces of choices: the model's probabilities, and the effect of each filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import log_softmax
from rhapsode.generation.chain import Chain
from rhapsode.generation.filters.contract import Logits, entropy, largest

if TYPE_CHECKING:  # counting loads a compiler
    from rhapsode.counts.mixing.contributions import Contribution, Contributions


@dataclass(frozen=True)
class Trace:
    """One choice, in figures. Logarithms are natural.

    Arguments:
        element: id.
        rank: its place under the raw model, 1 for the likeliest; the lower id first on ties.
        raw_log_prob: its log-probability under the raw model.
        log_prob: its log-probability after the chain; -inf where a step removed it.
        entropy: of the raw model's distribution, nats.
        candidates: elements left after the chain.
        removed: of every step in order, its name and how many candidates it removed.
        top: the likeliest elements of the raw model: id, raw log-probability, and that after the
            chain.
        contribution: what network and counts contribute to the raw log-probability of the element;
            None where a single model predicts.
        top_contributions: the same of each of `top`; empty where a single model predicts.
    """

    element: int
    rank: int
    raw_log_prob: float
    log_prob: float
    entropy: float
    candidates: int
    removed: tuple[tuple[str, int], ...]
    top: tuple[tuple[int, float, float], ...]
    contribution: Contribution | None = None
    top_contributions: tuple[Contribution, ...] = ()

    def to_mapping(self) -> dict[str, Any]:
        """Plain values for JSON; a log-probability of -inf becomes None."""
        counts = dict.fromkeys((name for name, _ in self.removed), 0)
        for name, count in self.removed:
            counts[name] += count
        plain: dict[str, Any] = {
            "element": self.element,
            "rank": self.rank,
            "raw_log_prob": _finite(self.raw_log_prob),
            "log_prob": _finite(self.log_prob),
            "entropy": self.entropy,
            "candidates": self.candidates,
            "removed": counts,
            "top": [[element, _finite(raw), _finite(after)] for element, raw, after in self.top],
        }
        if self.contribution is not None:
            plain["contribution"] = self.contribution.to_mapping()
            plain["top_contributions"] = [each.to_mapping() for each in self.top_contributions]
        return plain


def trace_of(
    chain: Chain,
    raw_BV: Logits,
    after_BV: Logits,
    removed: Sequence[NDArray[np.int64]],
    *,
    row: int = 0,
    element: int,
    top: int,
    parts: Contributions | None = None,
) -> Trace:
    """The trace of one row, from logits before and after the chain.

    Arguments:
        chain: the steps.
        raw_BV: logits of the raw model.
        after_BV: logits after the chain.
        removed: candidates that each step removed, (B,).
        row: the row to look at.
        element: the id chosen.
        top: how many of the likeliest elements to list.
        parts: contributions of network and counts to the row, if they are mixed.
    """
    raw_V, after_V = raw_BV[row], after_BV[row]
    raw_log_V = log_softmax(raw_V[None])[0]
    after_log_V = log_softmax(after_V[None])[0]
    own = raw_V[element]
    likeliest = largest(raw_V, top)
    rank = 1 + int((raw_V > own).sum()) + int((raw_V[:element] == own).sum())
    return Trace(
        element,
        rank,
        float(raw_log_V[element]),
        float(after_log_V[element]),
        float(entropy(raw_log_V[None])[0]),
        int(np.isfinite(after_V).sum()),
        tuple(
            (step.name, int(count_B[row]))
            for step, count_B in zip(chain.filters, removed, strict=True)
        ),
        tuple(
            (int(index), float(raw_log_V[index]), float(after_log_V[index])) for index in likeliest
        ),
        None if parts is None else parts.of(element),
        () if parts is None else tuple(parts.of(int(index)) for index in likeliest),
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None

"""Filters in an explicit order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.config import GenerateSettings
from rhapsode.generation.filters import Context, Filter, Logits, Suppress, Temperature, TopK, TopP

__all__ = ["Chain", "chain_of"]


class Chain:
    """Filters applied one after the other.

    Arguments:
        filters: in order; the order is part of the meaning.
    """

    def __init__(self, filters: Sequence[Filter]) -> None:
        self.filters = tuple(filters)

    def init(self, rows: int) -> tuple[Any, ...]:
        """The states of all filters."""
        return tuple(step.init(rows) for step in self.filters)

    def select(self, states: tuple[Any, ...], rows_R: NDArray[np.int64]) -> tuple[Any, ...]:
        """The states of some rows."""
        return tuple(
            step.select(state, rows_R) for step, state in zip(self.filters, states, strict=True)
        )

    def apply(
        self, logits_BV: Logits, context: Context, states: tuple[Any, ...]
    ) -> tuple[Logits, tuple[Any, ...]]:
        """Logits after every filter, and their states."""
        after: list[Any] = []
        for step, state in zip(self.filters, states, strict=True):
            logits_BV, state = step.apply(logits_BV, context, state)  # noqa: PLW2901
            after.append(state)
        return logits_BV, tuple(after)

    def explain(self) -> str:
        """The steps in order, in words."""
        return " -> ".join(step.explain() for step in self.filters)


def chain_of(settings: GenerateSettings, *, vocab_size: int, suppressed: Sequence[int]) -> Chain:
    """The chain that settings ask for, in the order of `transformers`: temperature, top-k, top-p.

    Arguments:
        settings: what to apply.
        vocab_size: V.
        suppressed: ids never generated.

    Raises:
        SettingsError: a value out of range.
    """
    return Chain(
        (
            Suppress(tuple(suppressed), vocab_size),
            Temperature(settings.temperature),
            TopK(settings.top_k),
            TopP(settings.top_p),
        )
    )

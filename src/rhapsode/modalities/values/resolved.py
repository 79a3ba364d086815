"""Settings of a run on values, filled from its plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from rhapsode.config import (
    DEFAULT_BUDGET,
    OptimisationSettings,
    TrainingSettings,
    from_mapping,
    to_mapping,
)
from rhapsode.training import Plan

__all__ = ["resolved"]

S = TypeVar("S", bound=TrainingSettings)


def resolved(settings: S, plan: Plan, family: str) -> S:
    """The settings with family, optimisation and budget filled in.

    Values are learnt in single precision and never mixed with counts.

    Arguments:
        settings: as asked for.
        plan: fills what was left open.
        family: full name of the model.
    """
    asked = to_mapping(settings.training)
    if settings.training.precision == "auto":
        asked["precision"] = "float32"
    training = from_mapping(
        OptimisationSettings, {**plan.training, "counts_share": 0.0, **asked}, where="[training]"
    )
    timed = settings.epochs is None and settings.steps is None
    return replace(
        settings,
        model=family,
        training=training,
        budget=(settings.budget or DEFAULT_BUDGET) if timed else None,
    )

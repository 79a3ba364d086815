"""Contracts of a run: claims, corpora, requests and plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from rhapsode.bundle import Bundle
from rhapsode.config import (
    DEFAULT_BUDGET,
    OptimisationSettings,
    TrainingSettings,
    from_mapping,
    to_mapping,
)
from rhapsode.models.families import FAMILIES

if TYPE_CHECKING:
    # training loads torch
    from rhapsode.training.planner import Accelerator, BaseModel, PlannedSettings


class Degree(IntEnum):
    """Confidence of a modality that it can read given sources."""

    NONE = 0
    POSSIBLE = 1
    LIKELY = 2
    SURE = 3


@dataclass(frozen=True)
class Claim:
    """The answer of a modality to sources.

    Arguments:
        degree: how sure it is.
        reason: why, in words.
        opened: data that was read to decide, so that nothing is read twice.
    """

    degree: Degree
    reason: str = ""
    opened: Any = None


class Corpus(Protocol):
    """Documents of a run, divided into splits."""

    @property
    def sha256(self) -> str:
        """Over all documents and their boundaries."""

    @property
    def documents(self) -> int:
        """Number of documents, or of series."""

    @property
    def characters(self) -> int:
        """Length of all documents: characters of text, steps of series."""


S = TypeVar("S", bound=TrainingSettings)
C = TypeVar("C", bound=Corpus)
B = TypeVar("B", bound=Bundle[Any, Any])


@dataclass(frozen=True)
class RunRequest(Generic[S]):
    """Constraints on a plan.

    Arguments:
        settings: as requested.
        seconds: the budget; None where epochs or steps rule.
        speed: of the machine, relative to the one that plans were measured on.
        base: the base model; None for fresh weights.
        first: True on rank 0, which logs and counts.
        accelerator: the GPU that trains; None for a CPU.
    """

    settings: S
    seconds: float | None
    speed: float
    base: BaseModel | None
    first: bool
    accelerator: Accelerator | None = None


@dataclass(frozen=True)
class Planned(Generic[S, C, B]):
    """A run that is decided.

    Arguments:
        settings: resolved, except precision and the rows of a process.
        corpus: training data, divided into splits.
        bundle: components, encoder, facts and provenance; no networks yet.
        plan: the planned settings, and the reasons.
        elements: number of elements in one pass over the training split.
        most_steps: maximum number of updates; None for no limit.
        baseline: validation loss of the best n-gram model, nats per element.
        own: data that the modality keeps until the end of the run.
    """

    settings: S
    corpus: C
    bundle: B
    plan: PlannedSettings
    elements: int
    most_steps: int | None = None
    baseline: float | None = None
    own: Any = None


@dataclass(frozen=True)
class FinishedModel(Generic[B]):
    """The end of a run.

    Arguments:
        bundle: with calibration and figures, to be written.
        figures: of the test split, as the summary holds them.
        summary: further entries of the summary.
        baselines: nats per element of each baseline, by name, for the curve.
        marks: further losses for the curve: `test`, `mixed`.
    """

    bundle: B
    figures: Mapping[str, Any]
    summary: Mapping[str, Any] = field(default_factory=dict)
    baselines: Mapping[str, float | None] = field(default_factory=dict)
    marks: Mapping[str, float | None] = field(default_factory=dict)


def resolved(settings: S, plan: PlannedSettings, *, fixed: Mapping[str, Any], **changes: Any) -> S:
    """The settings with family, network, optimisation and budget filled from a plan.

    Arguments:
        settings: as requested.
        plan: fills what was left open.
        fixed: entries of `[training]` that the modality decides.
        changes: further settings.
    """
    training = {**plan.training, **to_mapping(settings.training), **fixed}
    timed = settings.epochs is None and settings.steps is None
    settings = replace(
        settings,
        model=FAMILIES.full_name(settings.model),
        network={**plan.network, **settings.network},
        training=from_mapping(OptimisationSettings, training, where="[training]"),
        budget=(settings.budget or DEFAULT_BUDGET) if timed else None,
    )
    return replace(settings, **changes)

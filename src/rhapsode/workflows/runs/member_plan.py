"""The division of a run's limit between the networks that it trains."""

from dataclasses import replace
from typing import Any

from rhapsode.config import TrainingSettings, format_duration
from rhapsode.errors import SettingsError
from rhapsode.modalities.choose import AnyModality
from rhapsode.modalities.contract import Planned


def check_members(asked: TrainingSettings, modality: AnyModality, *, base: bool) -> None:
    """Refuse several networks where they are not supported.

    Arguments:
        asked: settings of the run.
        modality: of its data.
        base: True if it begins with a base model.

    Raises:
        SettingsError: the modality has no averages, or there is a base model.
    """
    if asked.members == 1:
        return
    if not modality.averages:
        raise SettingsError(
            f"a model of {modality.noun} has one network",
            where="members",
            hint="leave it out, or train with several seeds: --repeat",
        )
    if base:
        raise SettingsError(
            "several networks begin with random weights, not with a base model",
            where="members",
            hint="leave out members or --from",
        )


def member_part(settings: Any) -> tuple[Any, float | None]:
    """Settings and seconds of one member, with its part of the limit."""
    seconds, members = settings.budget_seconds(), settings.members
    own = replace(
        settings,
        epochs=None if settings.epochs is None else settings.epochs / members,
        steps=None if settings.steps is None else max(1, settings.steps // members),
    )
    return own, None if seconds is None else seconds / members


def with_members(planned: Planned[Any, Any, Any], settings: Any) -> Planned[Any, Any, Any]:
    """The plan of one member as that of the run.

    Arguments:
        planned: with the settings of `member_part`.
        settings: as requested.
    """
    if settings.members == 1:
        return planned
    own, seconds = member_part(settings)
    if seconds is not None:
        part = format_duration(seconds)
    else:
        part = f"{own.epochs:g} passes" if own.steps is None else f"{own.steps:,} updates"
    reason = f"{settings.members} networks, one after the other, each with {part}"
    plan = replace(planned.plan, reasons=(reason, *planned.plan.reasons))
    whole = replace(planned.settings, epochs=settings.epochs, steps=settings.steps)
    return replace(planned, settings=whole, plan=plan)

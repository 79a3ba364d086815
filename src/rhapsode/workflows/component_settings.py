"""Names of components and their settings, for front ends."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from rhapsode.modalities import MODALITIES, MODELS
from rhapsode.models import FAMILIES


def components() -> dict[str, list[str]]:
    """Names that the settings `model` and `modality` take."""
    return {"model": FAMILIES.words(), "modality": MODALITIES.words()}


def setting_places() -> dict[str, str]:
    """The settings in sections of all modalities and families: "section.name" by name.

    Of two with one name, that in a section of its modality's own name comes first.
    """
    places: dict[str, str] = {}
    sections = [
        (section.name != modality.partition(".")[0], section.name, getattr(settings, section.name))
        for modality in MODALITIES.names()
        for settings in (MODALITIES.get(modality).settings(),)
        for section in dataclasses.fields(settings)
    ]
    for _, name, value in sorted(sections, key=lambda section: section[0]):
        for field in dataclasses.fields(value) if dataclasses.is_dataclass(value) else ():
            places.setdefault(field.name, f"{name}.{field.name}")
    for family in FAMILIES.names():
        for field in dataclasses.fields(FAMILIES.get(family).Config):
            places.setdefault(field.name, f"network.{field.name}")
    return places


def measuring_settings(
    use: Literal["evaluation", "comparison", "generation"],
    paths: Sequence[str | Path] | None = None,
) -> list[type[Any]]:
    """Settings classes of evaluations, comparisons or continuations.

    Arguments:
        use: of the settings.
        paths: the first one with a model decides; None for the settings of every modality.
    """
    from rhapsode.bundle import modality_of

    known = MODALITIES.names()
    if paths is not None:
        known = [name for name in map(modality_of, paths) if name in known][:1]
    if use == "generation":  # whose settings load nothing that only training needs
        return [MODELS.get(name).generation for name in known]
    return [getattr(MODALITIES.get(name), use) for name in known]

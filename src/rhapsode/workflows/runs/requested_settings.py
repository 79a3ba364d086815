"""Settings of a run from a settings file, from `--set` and from flags."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from rhapsode.config import apply_assignments, merge, read_settings
from rhapsode.modalities import MODALITIES
from rhapsode.models import FAMILIES

__all__ = ["requested_settings", "setting_places"]

_LENGTHS = ("budget", "epochs", "steps")


def requested_settings(
    file: str | None, assignments: Sequence[str], typed: Mapping[str, Any]
) -> dict[str, Any]:
    """Settings by name; assignments win over the file, and typed flags over both.

    Arguments:
        file: a settings file or preset.
        assignments: each "section.key=value".
        typed: values of flags, also of those that repeat a default.

    Raises:
        SettingsError: a file or assignment that cannot be read.
    """
    base = {} if file is None else read_settings(file)
    base.pop("run", None)  # what a config.toml notes of its own run
    # A head or an encoding replaces the file's, with all settings of the head.
    names_head = any(word.partition("=")[0].strip() == "head.name" for word in assignments)
    encoding = base.get("encoding", "auto")
    if names_head and encoding == "binned":
        del base["encoding"]
    if names_head or typed.get("encoding", encoding) != encoding:
        base.pop("head", None)
    if any(name in typed for name in _LENGTHS):
        base = {name: value for name, value in base.items() if name not in _LENGTHS}
    return merge(apply_assignments(base, assignments), typed)


def setting_places() -> dict[str, str]:
    """The settings in sections of all modalities and families: "section.name" by name."""
    places: dict[str, str] = {}
    for modality in MODALITIES.names():
        settings = MODALITIES.get(modality).settings()
        for section in dataclasses.fields(settings):
            value = getattr(settings, section.name)
            for field in dataclasses.fields(value) if dataclasses.is_dataclass(value) else ():
                places.setdefault(field.name, f"{section.name}.{field.name}")
    for family in FAMILIES.names():
        for field in dataclasses.fields(FAMILIES.get(family).Config):
            places.setdefault(field.name, f"network.{field.name}")
    return places

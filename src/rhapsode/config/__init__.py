"""Frozen settings, the name registry, TOML in and out. Knows nothing of models, data or encoders."""

import importlib
from typing import TYPE_CHECKING, Any

from rhapsode.config.context import SeenContext, parse_context
from rhapsode.config.durations import format_duration, parse_duration
from rhapsode.config.generate import GenerateSettings, RequestSettings
from rhapsode.config.options import Positional, Repeated, option
from rhapsode.config.presets import presets, read_settings
from rhapsode.config.registries import Registry, shared_registry, suggest
from rhapsode.config.sampling import SamplingSettings
from rhapsode.config.schema import convert, from_mapping, to_mapping
from rhapsode.config.source import SourceSettings
from rhapsode.config.toml import apply_assignments, dump_toml, merge, read_toml

if TYPE_CHECKING:
    from rhapsode.config.train import (
        DEFAULT_BUDGET,
        IdSettings,
        OptimisationSettings,
        ReadingSettings,
        RunSettings,
        SampleSettings,
        TrackSettings,
        TrainingSettings,
    )

__all__ = [
    "DEFAULT_BUDGET",
    "GenerateSettings",
    "IdSettings",
    "OptimisationSettings",
    "ReadingSettings",
    "Positional",
    "Registry",
    "Repeated",
    "RequestSettings",
    "RunSettings",
    "SampleSettings",
    "SamplingSettings",
    "SeenContext",
    "SourceSettings",
    "TrackSettings",
    "TrainingSettings",
    "apply_assignments",
    "convert",
    "dump_toml",
    "format_duration",
    "from_mapping",
    "merge",
    "option",
    "parse_context",
    "parse_duration",
    "presets",
    "read_settings",
    "read_toml",
    "shared_registry",
    "suggest",
    "to_mapping",
]

# Training is not what most commands do: ten milliseconds.
_PLACES = {
    "DEFAULT_BUDGET": "train",
    "OptimisationSettings": "train",
    "ReadingSettings": "train",
    "RunSettings": "train",
    "SampleSettings": "train",
    "TrackSettings": "train",
    "TrainingSettings": "train",
    "IdSettings": "train",
}


def __getattr__(name: str) -> Any:
    """Load settings of training when they are asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)

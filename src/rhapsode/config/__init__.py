"""Frozen settings, the registry of names, and TOML files.

Independent of models, data and encoders.
"""

import importlib
from typing import TYPE_CHECKING, Any

from rhapsode.config.generate import GenerateSettings, RequestSettings
from rhapsode.config.notation import (
    SeenContext,
    format_duration,
    parse_context,
    parse_duration,
    unescaped,
)
from rhapsode.config.options import Positional, Repeated, option
from rhapsode.config.registries import Registry, shared_registry, suggest
from rhapsode.config.sampling import SamplingSettings
from rhapsode.config.schema import convert, from_mapping, to_mapping
from rhapsode.config.source import SourceSettings
from rhapsode.config.toml import (
    apply_assignments,
    dump_toml,
    merge,
    presets,
    read_settings,
    read_toml,
    requested_settings,
)

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
    "requested_settings",
    "shared_registry",
    "suggest",
    "to_mapping",
    "unescaped",
]


def __getattr__(name: str) -> Any:
    """Load the settings of training, which take ten milliseconds, on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("rhapsode.config.train"), name)

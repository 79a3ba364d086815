"""Frozen settings, the registry of names, and TOML files.

Independent of models, data and encoders.
"""

from typing import TYPE_CHECKING

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
from rhapsode.late import late_names

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

# The settings of training take ten milliseconds to load.
__getattr__ = late_names(__name__, dict.fromkeys(__all__, ".train"))

"""Kinds of sequences: what only one of them needs above its encoder.

A modality is a folder here, whose `__init__` registers it and loads nothing else.
"""

import importlib
import pkgutil

from rhapsode.modalities.registry import MODALITIES, MODELS

__all__ = ["MODALITIES", "MODELS"]

for _module in pkgutil.iter_modules(__path__):
    if _module.ispkg:
        importlib.import_module(f"{__name__}.{_module.name}")

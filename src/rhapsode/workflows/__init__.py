"""Plain functions that wire the rooms below: this is the Python API.

`train` loads torch when it is called for; the rest loads it when something is predicted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rhapsode.bundle import modality_of, read_bundle
from rhapsode.modalities import MODELS
from rhapsode.modalities.opened import Model

__all__ = ["AnyModel", "Model", "load"]

AnyModel = Model[Any]


def load(path: str | Path) -> AnyModel:
    """The model in a run folder or model file.

    Raises:
        BundleError: missing, damaged, or of another version.
    """
    name = modality_of(path)
    if name not in MODELS.names():
        read_bundle(path)  # which says what is wrong with it
    model: AnyModel = MODELS.get(str(name))(path)
    return model

"""Plain functions that wire the rooms below: this is the Python API.

`train` loads torch when it is called for; the rest loads it when something is predicted.
"""

from __future__ import annotations

from pathlib import Path

from rhapsode.bundle import modality_of, read_bundle
from rhapsode.modalities import MODALITIES
from rhapsode.modalities.contract import Model

__all__ = ["Model", "load"]


def load(path: str | Path) -> Model:
    """The model in a run folder or model file.

    Raises:
        BundleError: missing, damaged, or of another version.
    """
    name = modality_of(path)
    if name not in MODALITIES.names():
        read_bundle(path)  # which says what is wrong with it
    model: Model = MODALITIES.get(str(name)).open(path)
    return model

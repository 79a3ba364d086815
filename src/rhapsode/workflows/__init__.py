"""Plain functions that wire the rooms below: this is the Python API.

`train` loads torch when it is called for; the rest loads it when something is predicted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhapsode.bundle import modality_of, read_bundle
from rhapsode.modalities import MODALITIES, MODELS
from rhapsode.modalities.opened import Model

if TYPE_CHECKING:
    from rhapsode.modalities.choose import AnyModality

__all__ = ["AnyModel", "Model", "load", "open_model"]

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


def open_model(path: str | Path | AnyModel) -> tuple[AnyModality, Any]:
    """A model and its modality.

    Arguments:
        path: a run folder or model file, or a model that is open already.

    Raises:
        BundleError: missing, damaged, or of another version.
    """
    model = load(path) if isinstance(path, str | Path) else path
    return MODALITIES.get(model.bundle.modality), model

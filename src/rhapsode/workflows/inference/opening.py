"""Models with their modality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rhapsode.modalities.choose import AnyModality
from rhapsode.modalities.registry import MODALITIES
from rhapsode.workflows import AnyModel, load

__all__ = ["open_model"]


def open_model(path: str | Path | AnyModel) -> tuple[AnyModality, Any]:
    """A model and its modality.

    Arguments:
        path: a run folder or model file, or a model that is open already.

    Raises:
        BundleError: missing, damaged, or of another version.
    """
    model = load(path) if isinstance(path, str | Path) else path
    return MODALITIES.get(model.bundle.modality), model

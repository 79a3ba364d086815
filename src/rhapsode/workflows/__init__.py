"""Plain functions that wire the rooms below: this is the Python API.

`train` loads torch when it is called for; the rest loads it when something is predicted.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhapsode.bundle import modality_of, read_bundle
from rhapsode.config import to_mapping
from rhapsode.errors import SettingsError
from rhapsode.modalities import MODALITIES, MODELS
from rhapsode.modalities.model import Model

if TYPE_CHECKING:
    from rhapsode.modalities.choose import AnyModality

__all__ = ["AnyModel", "Model", "describe", "load", "open_model"]

AnyModel = Model[Any]


def load(path: str | Path | None) -> AnyModel:
    """The model in a run folder or model file.

    Raises:
        BundleError: missing, damaged, or of another version.
    """
    if not isinstance(path, str | Path):
        raise SettingsError(f"a model is a path, not {type(path).__name__}", where="load")
    name = modality_of(path)
    if name not in MODELS.names():
        read_bundle(path)  # which says what is wrong with it
    return MODELS.get(str(name))(path)


def open_model(path: str | Path | AnyModel | None) -> tuple[AnyModality, Any]:
    """A model and its modality.

    Arguments:
        path: a run folder or model file, or a model that is open already.

    Raises:
        BundleError: missing, damaged, or of another version.
    """
    model = load(path) if path is None or isinstance(path, str | Path) else path
    return MODALITIES.get(model.bundle.modality), model


def describe(model: AnyModel) -> dict[str, Any]:
    """Components, arrays with shapes, parameters, encoder and provenance, as plain values."""
    from rhapsode.engine.forms import unsupported_form

    bundle = model.bundle
    arrays = bundle.arrays
    reason = unsupported_form(bundle)
    provenance: dict[str, Any] = asdict(bundle.provenance)
    mixture = bundle.calibration.mixture
    provenance |= {} if mixture is None else {"mixture": mixture.to_mapping()}
    return {
        "path": str(model.path),
        "bytes": model.path.stat().st_size,
        "modality": bundle.modality,
        "parameters": sum(int(array.size) for array in arrays.values()),
        "config": None if bundle.network is None else to_mapping(bundle.network),
        **({"members": list(bundle.weights)} if len(bundle.members) > 1 else {}),
        **bundle.facts.described(bundle.encoder),
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
        "engine": {"name": "compiled" if reason is None else "torch", "reason": reason},
        "provenance": {n: value for n, value in provenance.items() if value not in (None, ())},
    }

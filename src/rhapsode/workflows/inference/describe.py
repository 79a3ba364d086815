"""What a model is made of."""

from dataclasses import asdict
from typing import Any

from rhapsode.config import to_mapping
from rhapsode.modalities.contract import Model

__all__ = ["describe"]


def describe(model: Model[Any]) -> dict[str, Any]:
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

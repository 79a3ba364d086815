"""What a model is made of."""

from typing import Any

from rhapsode.bundle import COUNTS
from rhapsode.config import to_mapping
from rhapsode.workflows.model import Model

__all__ = ["describe"]


def describe(model: Model) -> dict[str, Any]:
    """Components, arrays with shapes, parameters, encoder and provenance, as plain values."""
    bundle = model.bundle
    arrays = {name: array for name, array in bundle.arrays.items() if name != COUNTS}
    return {
        "path": str(model.path),
        "bytes": model.path.stat().st_size,
        "parameters": sum(int(array.size) for array in arrays.values()),
        "config": to_mapping(bundle.config),
        "encoder": {
            "name": bundle.encoder.name,
            "elements": bundle.encoder.vocab_size,
            "settings": bundle.encoder.settings,
            "round_trip": bundle.encoder.round_trip,
        },
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
        "provenance": dict(bundle.provenance),
    }

"""Components, layers and provenance of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhapsode.config import to_mapping
from rhapsode.modalities.contract import Model
from rhapsode.views.display import Shown
from rhapsode.workflows import open_model

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Info", "describe", "info"]


@dataclass(frozen=True, repr=False)
class Info(Shown):
    """Components, layers, encoder and provenance of a model.

    Arguments:
        facts: plain values.
    """

    facts: dict[str, Any]

    def to_mapping(self) -> dict[str, Any]:
        return self.facts

    def shown(self, width: int) -> Sequence[RenderableType]:
        from rhapsode.views.model_view import array_table, info_table

        return [info_table(self.facts), array_table(self.facts)]


def info(model: str | Path | Model[Any]) -> Info:
    """Describe a model.

    Arguments:
        model: a run folder or model file, or an open model.

    Raises:
        BundleError: missing, damaged, or of another version.
    """
    return Info(describe(open_model(model)[1]))


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

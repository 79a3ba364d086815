"""What a model is made of."""

from dataclasses import asdict
from typing import Any

from rhapsode.bundle import Bundle
from rhapsode.config import to_mapping
from rhapsode.workflows.model import Model
from rhapsode.workflows.series.model import SeriesModel

__all__ = ["describe"]


def describe(model: Model | SeriesModel) -> dict[str, Any]:
    """Components, arrays with shapes, parameters, encoder and provenance, as plain values."""
    if isinstance(model, SeriesModel):
        return _of_series(model)
    from rhapsode.engine.forms import unsupported_form

    bundle = model.bundle
    arrays = bundle.arrays
    reason = unsupported_form(bundle)
    return {
        "path": str(model.path),
        "bytes": model.path.stat().st_size,
        "parameters": sum(int(array.size) for array in arrays.values()),
        "config": None if bundle.network is None else to_mapping(bundle.network),
        **({"members": list(bundle.weights)} if len(bundle.members) > 1 else {}),
        "encoder": {
            "name": bundle.encoder.name,
            "elements": bundle.encoder.vocab_size,
            "settings": bundle.encoder.settings,
            "round_trip": bundle.encoder.round_trip,
        },
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
        "engine": {"name": "compiled" if reason is None else "torch", "reason": reason},
        "provenance": _provenance(bundle),
    }


def _of_series(model: SeriesModel) -> dict[str, Any]:
    bundle = model.bundle
    covariates = bundle.facts.covariates
    fed = (*covariates.calendar, *covariates.known, *covariates.static, *covariates.categories)
    return {
        "path": str(model.path),
        "bytes": model.path.stat().st_size,
        "parameters": sum(int(array.size) for array in bundle.arrays.values()),
        "config": to_mapping(bundle.config),
        "encoder": {
            "name": bundle.encoder.name,
            "numbers": bundle.encoder.target_size,
            "settings": to_mapping(bundle.encoder.settings),
        },
        "series": {
            "values": ", ".join(bundle.facts.names),
            "frequency": bundle.facts.frequency,
            "season": bundle.facts.season,
            "horizon": bundle.facts.horizon,
            "covariates": ", ".join(fed) or "none",
        },
        "arrays": {name: list(array.shape) for name, array in bundle.arrays.items()},
        "provenance": _provenance(bundle),
    }


def _provenance(bundle: Bundle[Any, Any]) -> dict[str, Any]:
    """The provenance of a model with its mixture."""
    told: dict[str, Any] = asdict(bundle.provenance)
    mixture = bundle.calibration.mixture
    told |= {} if mixture is None else {"mixture": mixture.to_mapping()}
    return {name: value for name, value in told.items() if value not in (None, ())}

"""Facts of an opened model: components, layers, encoder and provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rhapsode.config import to_mapping
from rhapsode.modalities.opened import Shown

if TYPE_CHECKING:
    from rhapsode.modalities.model import Model


@dataclass(frozen=True, repr=False)
class Info(Shown):
    """Components, layers, encoder and provenance of a model.

    Arguments:
        facts: plain values.
    """

    facts: dict[str, Any]

    def to_mapping(self) -> dict[str, Any]:
        return self.facts

    def shown(self, width: int) -> Sequence[Any]:
        from rhapsode.views.terminal.model_tables import arrays_table, linear_tables, parts_table

        linear = linear_tables(self.facts["linear"]) if "linear" in self.facts else ()
        return [parts_table(self.facts), *linear, arrays_table(self.facts)]


def info_of(model: Model[Any]) -> Info:
    """Describe a model."""
    from rhapsode.engine.forms import unsupported_form

    bundle = model.bundle
    reason, mixture = unsupported_form(bundle), bundle.calibration.mixture
    provenance, paths = asdict(bundle.provenance), bundle.calibration.paths
    if mixture is not None:
        provenance["mixture"] = mixture.to_mapping()
    facts = {
        "path": str(model.path),
        "bytes": model.path.stat().st_size,
        "modality": bundle.modality,
        "parameters": bundle.parameters,
        "config": None if bundle.network is None else to_mapping(bundle.network),
        **({"members": list(bundle.weights)} if len(bundle.members) > 1 else {}),
        **bundle.facts.described(bundle.encoder),
        **({} if paths is None else {"calibration": paths.to_mapping()}),
        **model.insights(),
        "arrays": {name: list(array.shape) for name, array in bundle.arrays.items()},
        "engine": {"name": "compiled" if reason is None else "torch", "reason": reason},
        "provenance": {n: value for n, value in provenance.items() if value not in (None, ())},
    }
    return Info(facts)

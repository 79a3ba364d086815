"""A model in a few lines: what it is, what it learnt from, how good it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rhapsode.bundle import Bundle


def model_blocks(
    path: Path, bundle: Bundle[Any, Any], summary: Mapping[str, Any] | None
) -> Sequence[RenderableType]:
    """Renderables of `rich` that describe a model.

    Arguments:
        path: the model file.
        bundle: its contents.
        summary: contents of the run's `summary.json`; None if there is none.
    """
    from rich.table import Table

    kind = bundle.modality.partition(".")[0]
    family = (
        "n-gram counts" if bundle.network is None else bundle.network.model.name.partition(".")[0]
    )
    parameters = sum(int(array.size) for array in bundle.arrays.values())
    table = Table(
        title=f"{path.parent.name}: {family} of {kind}, {parameters:,} parameters",
        title_justify="left",
        show_header=False,
        box=None,
        padding=(0, 2, 0, 0),
    )
    provenance = bundle.provenance
    rows: dict[str, Any] = {
        "file": path,
        "context": bundle.context if bundle.network is not None else None,
        "validation loss": provenance.validation_loss,
        **_of_run(summary or {}),
    }
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, f"{value:,.4f}" if isinstance(value, float) else f"{value}")
    return [table]


def _of_run(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a summary that every run has, in words."""
    if not summary:
        return {}
    return {
        "test loss": summary.get("loss"),
        "updates": f"{summary['steps']:,} in {summary['seconds']:,.1f} s, "
        f"{summary['elements_per_second']:,.0f} elements/s",
    }

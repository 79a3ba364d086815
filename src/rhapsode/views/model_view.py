"""A model in a few lines: what it is, what it learnt from, how good it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from rhapsode.bundle import Bundle

__all__ = ["array_table", "info_table", "model_blocks"]


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


_COMMON = ("config", "encoder", "arrays", "engine", "provenance")


def _settings(settings: dict[str, Any]) -> str:
    shown = {name: value for name, value in settings.items() if value not in ("", None, {})}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def info_table(facts: dict[str, Any]) -> Table:
    """Components, encoder and provenance of a model, from the plain values of `info`."""
    from rich.table import Column, Table

    table = Table(
        Column(style="dim", no_wrap=True),
        Column(overflow="fold"),
        title=facts["path"],
        title_justify="left",
        show_header=False,
        box=None,
        padding=(0, 2, 0, 0),
    )
    encoder, provenance = facts["encoder"], facts["provenance"]
    table.add_row("parameters", f"{facts['parameters']:,}  ({facts['bytes']:,} bytes on disk)")
    config = facts["config"]
    if config is None:
        table.add_row("network", "none: it predicts by its counts")
    for part in ("input", "model", "head") if config is not None else ():
        component = config[part]
        table.add_row(part, f"{component['name']}  {_settings(component['settings'])}")
    if config is not None:
        table.add_row("context", config["context"])
    if "members" in facts:
        weights = ", ".join(f"{weight:.3g}" for weight in facts["members"])
        table.add_row("members", f"{len(facts['members'])} networks, of weights {weights}")
    engine = facts.get("engine")
    if engine and engine["reason"] is not None:
        table.add_row("engine", f"torch; of the compiled one: {engine['reason']}")
    if "elements" in encoder:
        what = f"{encoder['elements']:,} elements, {encoder['round_trip']}"
    else:
        what = f"{encoder['numbers']} number{'s' if encoder['numbers'] != 1 else ''} a time"
    settings = f"; {_settings(encoder['settings'])}" if encoder["settings"] else ""
    table.add_row("encoder", f"{encoder['name']}  {what}{settings}")
    own = [part for name, part in facts.items() if name not in _COMMON and isinstance(part, dict)]
    for name, value in ((name, value) for part in own for name, value in part.items()):
        table.add_row(name.replace("_", " "), str(value))
    for name in (
        "documents",
        "characters",
        "data_sha256",
        "selected_on",
        "step",
        "validation_loss",
    ):
        if provenance.get(name) is not None:
            value = provenance[name]
            shown = f"{value:,}" if isinstance(value, int) else str(value)
            table.add_row(name.replace("_", " "), shown)
    mixture = provenance.get("mixture")
    if mixture and mixture["share"]:
        table.add_row(
            "share of the n-gram", f"{mixture['share']:.3g}  (model {mixture['ngram'][:12]})"
        )
    test = provenance.get("test")
    if test and test["loss"] is not None:
        table.add_row("test loss", f"{test['loss']:.4f} nats per element over {test['elements']:,}")
    return table


def array_table(facts: dict[str, Any]) -> Table:
    """Layers with shapes and parameters, from the plain values of `info`."""
    from rich.table import Column, Table

    table = Table(
        "array",
        Column("shape", justify="right"),
        Column("parameters", justify="right"),
        title="layers",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    for name, shape in facts["arrays"].items():
        table.add_row(name, " x ".join(map(str, shape)), f"{math.prod(shape):,}")
    table.add_row("all", "", f"{facts['parameters']:,}", style="bold")
    return table

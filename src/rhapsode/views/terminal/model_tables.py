"""Tables of a model and of its training: components, layers, samples, losses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Column, Table
from rich.text import Text

__all__ = ["arrays_table", "parts_table", "samples_table", "seeds_table"]

_HEADINGS = {
    "loss": "test loss",
    "network_loss": "network alone",
    "mase": "MASE",
    "crps": "CRPS",
    "validation_loss": "validation",
    "steps": "updates",
    "seconds": "seconds",
}
_DIGITS = {"steps": 0, "seconds": 1}


def samples_table(samples: Sequence[tuple[float, str]]) -> Table:
    """Samples, one a row; line ends shown as a small arrow.

    Arguments:
        samples: temperature and text of each.
    """
    table = Table(
        Column(style="cyan", no_wrap=True),
        Column(overflow="fold"),
        show_header=False,
        box=None,
        padding=(0, 1, 0, 0),
    )
    for temperature, text in samples:
        shown = Text()
        for index, line in enumerate(text.split("\n")):
            if index:
                shown.append("↵ ", style="dim")
            shown.append("".join(c if c.isprintable() else "·" for c in line))
        table.add_row(f"{temperature:>6g}", shown)
    return table


def seeds_table(summary: Mapping[str, Any], title: str) -> Table:
    """Losses seed by seed, their mean and their standard deviation.

    Arguments:
        summary: of a repeated run.
        title: of the table.
    """
    table = Table(
        Column("seed", style="dim"),
        title=title,
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
    )
    names = [n for n in _HEADINGS if any(run[n] is not None for run in summary["runs"])]
    for name in names:
        table.add_column(_HEADINGS[name], justify="right")

    def cells(row: Mapping[str, Any]) -> list[str]:
        return ["-" if row[n] is None else f"{row[n]:,.{_DIGITS.get(n, 4)}f}" for n in names]

    for run in summary["runs"]:
        table.add_row(str(run["seed"]), *cells(run))
    for word, key in (("mean", "mean"), ("spread (sd)", "std")):
        row = {n: summary[n] and summary[n][key] for n in names if n != "steps"}
        table.add_row(word, *cells({**row, "steps": None}), style="bold")
    return table


_COMMON = ("config", "encoder", "arrays", "engine", "provenance")


def _settings(settings: Mapping[str, Any]) -> str:
    shown = {name: value for name, value in settings.items() if value not in ("", None, {})}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def parts_table(facts: Mapping[str, Any]) -> Table:
    """Components, encoder and provenance of a model.

    Arguments:
        facts: as `rhapsode info --json` prints them.
    """
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


def arrays_table(facts: Mapping[str, Any]) -> Table:
    """Shapes and parameters of the layers of a model.

    Arguments:
        facts: as `rhapsode info --json` prints them.
    """
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

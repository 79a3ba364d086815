"""Tables of a model and of its training: components, layers, samples, losses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from rhapsode.views.figures import plural
from rhapsode.views.tables import bare_table, number_columns
from rhapsode.views.writing_table import one_line

if TYPE_CHECKING:
    from rhapsode.bundle import Bundle


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
_COMMON = ("config", "encoder", "arrays", "engine", "linear", "provenance", "calibration")
# Weights of a linear part that are shown.
MOST_WEIGHTS = 12
_ORIGIN = ("documents", "characters", "data_sha256", "selected_on", "step", "validation_loss")


def samples_table(samples: Sequence[tuple[float, RenderableType]]) -> Table:
    """Samples, one a row.

    Line ends are small arrows.

    Arguments:
        samples: temperature, and the text or a picture of each.
    """
    arrow = Text.assemble(("↵ ", "dim"))
    rows = (
        (
            f"{temperature:>6g}",
            arrow.join(Text(one_line(line)) for line in sample.split("\n"))
            if isinstance(sample, str)
            else sample,
        )
        for temperature, sample in samples
    )
    names, texts = Column(style="cyan", no_wrap=True), Column(overflow="fold")
    return bare_table(names, texts, rows=rows, padding=(0, 1, 0, 0))


def seeds_table(summary: Mapping[str, Any], title: str) -> Table:
    """Losses seed by seed, their mean and their standard deviation.

    Arguments:
        summary: of a repeated run.
        title: printed above.
    """
    runs = summary["runs"]
    names = [name for name in _HEADINGS if any(run[name] is not None for run in runs)]
    rows = {str(run["seed"]): run for run in runs}
    for heading, key in (("mean", "mean"), ("spread (sd)", "std")):
        rows[heading] = {n: summary[n] and summary[n][key] for n in names if n != "steps"}
    return bare_table(
        Column("seed", style="dim"),
        *number_columns(*(_HEADINGS[name] for name in names)),
        rows=([heading, *(_figure(row, n) for n in names)] for heading, row in rows.items()),
        title=title,
        header_style="bold",
        row_styles=["bold" if "seed" not in row else "" for row in rows.values()],
    )


def _figure(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return "-" if value is None else f"{value:,.{_DIGITS.get(name, 4)}f}"


def model_blocks(
    path: Path, bundle: Bundle[Any, Any], summary: Mapping[str, Any] | None
) -> Sequence[Table]:
    """A model in a few lines.

    Arguments:
        path: the model file.
        bundle: its contents.
        summary: contents of the run's `summary.json`; None if there is none.
    """
    kind, network = bundle.modality.partition(".")[0], bundle.network
    family = "n-gram counts" if network is None else network.model.name.partition(".")[0]
    parameters = bundle.parameters
    rows: dict[str, Any] = {
        "file": path,
        "context": bundle.context if network is not None else None,
        "validation loss": bundle.provenance.validation_loss,
    }
    if summary:
        rows["test loss"] = summary.get("loss")
        rows["updates"] = (
            f"{summary['steps']:,} in {summary['seconds']:,.1f} s, "
            f"{summary['elements_per_second']:,.0f} elements/s"
        )
    known = {name: value for name, value in rows.items() if value is not None}
    return [
        bare_table(
            *("", ""),
            rows=(
                (name, f"{value:,.4f}" if isinstance(value, float) else f"{value}")
                for name, value in known.items()
            ),
            title=f"{path.parent.name}: {family} of {kind}, {parameters:,} parameters",
        )
    ]


def parts_table(facts: Mapping[str, Any]) -> Table:
    """Components, encoder and provenance of a model.

    Arguments:
        facts: as `rhapsode info --json` prints them.
    """
    names, texts = Column(style="dim", no_wrap=True), Column(overflow="fold")
    return bare_table(names, texts, rows=_parts(facts), title=facts["path"])


def _parts(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    encoder, provenance, config = facts["encoder"], facts["provenance"], facts["config"]
    yield "parameters", f"{facts['parameters']:,}  ({facts['bytes']:,} bytes on disk)"
    if config is None:
        yield "network", "none: n-gram counts only"
    else:
        for part in ("input", "model", "head"):
            yield part, f"{config[part]['name']}  {_settings(config[part]['settings'])}"
        for part, component in (config.get("source") or {}).items():
            if component is not None:
                yield f"source {part}", f"{component['name']}  {_settings(component['settings'])}"
        yield "context", config["context"]
    if "members" in facts:
        weights = ", ".join(f"{weight:.3g}" for weight in facts["members"])
        yield "members", f"{len(facts['members'])} networks, of weights {weights}"
    engine = facts.get("engine")
    if engine and engine["reason"] is not None:
        yield "engine", f"torch (compiled engine: {engine['reason']})"
    if "elements" in encoder:
        size = f"{encoder['elements']:,} elements, {encoder['round_trip']}"
    else:
        size = f"{plural(encoder['numbers'], 'number')} per step"
    settings = f"; {_settings(encoder['settings'])}" if encoder["settings"] else ""
    yield "encoder", f"{encoder['name']}  {size}{settings}"
    for name, part in facts.items():
        if name not in _COMMON and isinstance(part, dict):
            for key, value in part.items():
                yield key.replace("_", " "), str(value)
    if "calibration" in facts:
        yield "forecasts", facts["calibration"]["words"]
    for name in _ORIGIN:
        value = provenance.get(name)
        if value is not None:
            yield name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value)
    mixture, test = provenance.get("mixture"), provenance.get("test")
    if mixture and mixture["weights"]:
        yield "mixed with counts", f"{len(mixture['weights'])} weights  ({mixture['ngram'][:12]})"
    if test and test["loss"] is not None:
        yield "test loss", f"{test['loss']:.4f} nats per element over {test['elements']:,}"


def _settings(settings: Mapping[str, Any]) -> str:
    shown = {name: value for name, value in settings.items() if value not in ("", None, {})}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def linear_tables(linear: Mapping[str, Any]) -> Iterator[Table]:
    """Tables of the largest weights of the linear part of a network.

    Arguments:
        linear: `of`, what is weighed, and for each of `numbers` its `constant` and `weights`.
    """
    for name, part in linear["numbers"].items():
        shown = part["weights"][:MOST_WEIGHTS]
        rows = [(one["input"], f"{one['weight']:+.3f}") for one in shown]
        left = len(part["weights"]) - len(shown)
        rest = [(f"{left} more inputs", "")] if left else []
        yield bare_table(
            "input",
            *number_columns("weight"),
            rows=[*rows, ("constant", f"{part['constant']:+.3f}"), *rest],
            title=(title := f"linear part of {name}: {linear['of']}"),
            header_style="bold",
            min_width=min(len(title) + 2, 100),
        )


def arrays_table(facts: Mapping[str, Any]) -> Table:
    """Shapes and parameters of the layers of a model.

    Arguments:
        facts: as `rhapsode info --json` prints them.
    """
    arrays = facts["arrays"]
    rows = [(n, " x ".join(map(str, s)), f"{math.prod(s):,}") for n, s in arrays.items()]
    return bare_table(
        "array",
        *number_columns("shape", "parameters"),
        rows=[*rows, ("all", "", f"{facts['parameters']:,}")],
        title="layers",
        header_style="bold",
        row_styles=[*[""] * len(rows), "bold"],
    )

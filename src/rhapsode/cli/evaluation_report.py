"""An evaluation for people: figures, what a longer context is worth, calibration, what surprised most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from rhapsode.cli.console import figures_table

__all__ = ["bar", "one_line", "print_evaluation"]

_BAR = 28
_EIGHTHS = " ▏▎▍▌▋▊▉"
_QUOTED = 110


def print_evaluation(found: Mapping[str, Any], title: str) -> None:
    """Print to stdout what `Evaluation.to_mapping` holds."""
    console = Console(highlight=False)
    console.print(figures_table(found, title))
    windowed = found["windowed"]
    console.print(
        Text(
            f"in windows of {windowed['window']:,} by steps of {windowed['stride']:,}, nothing carried: "
            f"{windowed['loss']:.4f} over {windowed['elements']:,} elements",
            style="dim",
        )
    )
    for part in (_by_context(found), _calibration(found), _dynamic(found)):
        if part is not None:
            console.print()
            console.print(part)
    if found["surprising"]:
        console.print()
        console.print(Text("what surprised most", style="bold"))
        for passage in found["surprising"]:
            console.print(_passage(passage))
    console.print()
    for name, value in found["protocol"].items():
        console.print(Text.assemble((f"{name.replace('_', ' ')}: ", "dim"), value))


def bar(share: float, width: int = _BAR) -> str:
    """A bar of eighths of a cell, `share` of `width` long."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def _grid(*justify: str) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for way in justify:
        table.add_column(justify=way)  # type: ignore[arg-type]
    return table


def _by_context(found: Mapping[str, Any]) -> RenderableType | None:
    buckets = found["by_context"]
    if len(buckets) < 2:
        return None
    table = _grid("right", "right", "left", "right")
    highest = max(bucket["loss"] for bucket in buckets)
    for bucket in buckets:
        least, most = bucket["least"], bucket["most"]
        seen = f"{least:,}" if least == most else f"{least:,}-{most:,}"
        share = bucket["loss"] / highest if highest > 0 else 0.0
        table.add_row(
            seen,
            f"{bucket['loss']:.3f}",
            Text(bar(share), style="cyan"),
            Text(f"{bucket['elements']:,}", style="dim"),
        )
    title = Text.assemble(("loss by elements seen before", "bold"), ("   nats, elements", "dim"))
    return Group(title, table)


def _calibration(found: Mapping[str, Any]) -> RenderableType | None:
    calibration = found["calibration"]
    if calibration is None:
        return None
    title = Text.assemble(
        ("calibration", "bold"),
        (
            f"   likeliest element right {calibration['accuracy']:.1%}, expected {calibration['confidence']:.1%}; "
            f"ECE {calibration['ece']:.3f}; entropy {calibration['entropy']:.3f} nats",
            "dim",
        ),
    )
    table = _grid("right", "left", "right", "right")
    for one in calibration["bins"]:
        if one["elements"] * 500 < calibration["elements"]:
            continue
        table.add_row(
            f"said {one['confidence']:.0%}",
            Text(bar(one["accuracy"]), style="green"),
            f"was {one['accuracy']:.0%}",
            Text(f"{one['elements']:,}", style="dim"),
        )
    return Group(title, table)


def _dynamic(found: Mapping[str, Any]) -> RenderableType | None:
    dynamic = found.get("dynamic")
    if not dynamic:
        return None
    table = _grid("left", "right", "right")
    for name, one in dynamic["losses"].items():
        table.add_row(name, f"{one['loss']:.4f}", f"{one['perplexity']:.3f}")
    title = Text.assemble(
        ("going on learning from what it scores", "bold"), ("   loss, perplexity", "dim")
    )
    return Group(title, table)


def _passage(passage: Mapping[str, Any]) -> Text:
    where = f"{passage['document']}, element {passage['element']:,}"
    line = Text(f"  {passage['nats']:.2f}  ", style="bold red")
    before = one_line(passage["before"])[-_QUOTED // 3 :]
    line.append(before, style="dim")
    line.append(one_line(passage["text"])[:_QUOTED])
    line.append(
        f"\n        {where}; worst {one_line(passage['worst'])!r} at {passage['worst_nats']:.1f} nats",
        style="dim",
    )
    return line


def one_line(text: str) -> str:
    """A text on one line: line ends as arrows, what cannot be printed as dots."""
    shown = text.replace("\n", "↵").replace("\t", "⇥")
    return "".join(c if c.isprintable() else "·" for c in shown)

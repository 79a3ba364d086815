"""An evaluation for people: figures, what a longer context is worth, calibration, what surprised most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from rhapsode.views.blocks import bar
from rhapsode.views.figures import figures_table
from rhapsode.views.writing_table import (
    longest_copies,
    one_line,
    writing_columns,
    writing_rows,
    writing_verdict,
)

_BAR = 28
_QUOTED = 110


def evaluation_report(found: Mapping[str, Any], title: str) -> Iterator[RenderableType]:
    """Metrics of a model of identifiers, from top to bottom.

    Arguments:
        found: plain values of the metrics.
        title: above them.
    """
    yield figures_table(found, title)
    windowed = found["windowed"]
    if windowed is not None:
        yield Text(
            f"in windows of {windowed['window']:,} by steps of {windowed['stride']:,}, nothing carried: "
            f"{windowed['loss']:.4f} over {windowed['elements']:,} elements",
            style="dim",
        )
    reduced = found.get("reduced")
    if reduced is not None:
        yield Text(
            f"with {reduced['weights']} weights {reduced['loss']:.4f} over {reduced['elements']:,} elements, "
            f"with float32 {reduced['float32']:.4f}: {reduced['loss'] - reduced['float32']:+.4f}"
        )
    for part in (_by_context(found), _calibration(found), _dynamic(found), _writing(found)):
        if part is not None:
            yield Text()
            yield part
    if found["surprising"]:
        yield Text()
        yield Text("what surprised most", style="bold")
        for passage in found["surprising"]:
            yield _passage(passage)
    yield Text()
    for name, value in found["protocol"].items():
        yield Text.assemble((f"{name.replace('_', ' ')}: ", "dim"), value)


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
            Text(bar(share, _BAR), style="cyan"),
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
            Text(bar(one["accuracy"], _BAR), style="green"),
            f"was {one['accuracy']:.0%}",
            Text(f"{one['elements']:,}", style="dim"),
        )
    return Group(title, table)


def _dynamic(found: Mapping[str, Any]) -> RenderableType | None:
    dynamic = found.get("dynamic")
    if not dynamic:
        return None
    table = _grid("left", "right", "right", "right", "left")
    for name, one in dynamic["losses"].items():
        how = Text(dynamic["protocol"][name], style="dim")
        seconds = Text(f"{one['seconds']:.1f} s", style="dim")
        table.add_row(name, f"{one['loss']:.4f}", f"{one['perplexity']:.3f}", seconds, how)
    title = Text.assemble(
        ("going on learning from what it scores", "bold"),
        (f"   loss, perplexity; {dynamic['protocol']['elements']}", "dim"),
        ("; by the network alone" if found["ngram_share"] else "", "dim"),
    )
    if dynamic["diverged"] is None:
        return Group(title, table)
    broken = f"learning broke down at element {dynamic['diverged']:,}: no figure of it is reported"
    return Group(title, table, Text(broken, style="red"))


def _writing(found: Mapping[str, Any]) -> RenderableType | None:
    """What the model writes beside the text that was scored; the longest copies and where they stand."""
    writing = found.get("writing")
    if not writing:
        return None
    verdict = Text(writing_verdict(writing))
    columns = writing_columns(writing)
    if not columns:
        return Group(Text("what it writes", style="bold"), verdict)
    title = Text.assemble(
        ("what it writes", "bold"),
        (
            f"   {writing['texts']} texts of {writing['length']} characters from "
            f"{writing['prompt'] or 'the empty prompt'}, beside as much of this text",
            "dim",
        ),
    )
    table = Table(
        Column(),
        *(
            Column(name, justify="right", style="" if name == columns[-1][0] else "bold")
            for (name, _) in columns
        ),
        box=None,
        padding=(0, 3, 0, 0),
        header_style="dim",
    )
    for name, values in writing_rows(writing):
        table.add_row(Text(name, style="dim"), *values)
    parts: list[RenderableType] = [title, verdict, Text(), table]
    copies = _grid("right", "left")
    for who, copy in longest_copies(writing):
        times = "" if copy["count"] == 1 else f", {copy['count']:,} times in all"
        copies.add_row(
            Text(who, style="dim"),
            Text.assemble(
                f"“{_quoted(copy['text'])}”  ",
                (f"{copy['document']}, line {copy['line']:,}{times}", "dim"),
            ),
        )
    if copies.row_count:
        parts += [Text(), Text("longest copies, and where they stand first", style="bold"), copies]
    return Group(*parts)


def _quoted(text: str) -> str:
    """A text on one line, shortened in its middle."""
    shown = one_line(text)
    half = _QUOTED // 2
    return shown if len(shown) <= _QUOTED else f"{shown[:half]} ... {shown[-half:]}"


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

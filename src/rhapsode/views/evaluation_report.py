"""Metrics of models for people: figures, context, calibration, copying, surprises."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from rhapsode.views.blocks import bar
from rhapsode.views.figures import METHOD_COLUMNS, figure_rows, method_rows, plural
from rhapsode.views.tables import bare_table, number_column, number_columns
from rhapsode.views.terminal.mixture_table import lost_line, nearer_line
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
        title: printed above.
    """
    yield figures_table(found, title)
    if found.get("parts"):
        yield Text(nearer_line(found["parts"]))
        yield Text(lost_line(found["parts"]))
    windowed = found["windowed"]
    if windowed is not None:
        yield _dim(
            f"in windows of {windowed['window']:,} by steps of {windowed['stride']:,}, "
            f"without carried state: {windowed['loss']:.4f} over {windowed['elements']:,} elements"
        )
    reduced = found.get("reduced")
    if reduced is not None:
        yield Text(
            f"with {reduced['weights']} weights {reduced['loss']:.4f} over "
            f"{reduced['elements']:,} elements, with float32 {reduced['float32']:.4f}: "
            f"{reduced['loss'] - reduced['float32']:+.4f}"
        )
    if len(found["by_context"]) > 1:
        yield from _by_context(found["by_context"])
    if found["calibration"] is not None:
        yield from _calibration(found["calibration"])
    if found.get("beginnings"):
        use = found["beginnings"]
        yield Text(
            f"the beginning of a document is worth {use['nats']:.4f} nats an element later in it "
            f"(± {1.96 * use['standard_error']:.4f}, {use['documents']:,} documents)"
        )
    if found.get("adapting"):
        adapting = found["adapting"]
        yield from _heading("counts that adapt", f"   {adapting['protocol']}")
        yield Text(
            f"loss {adapting['loss']:.4f}, perplexity {adapting['perplexity']:.3f}, "
            f"{adapting['elements']:,} elements"
        )
    if found.get("dynamic"):
        yield from _dynamic(found["dynamic"], mixed=found["network"] is not None)
    if found.get("writing"):
        yield from _writing(found["writing"])
    if found["surprising"]:
        yield from _heading("most surprising passages")
        yield from map(_passage, found["surprising"])
    yield Text()
    for name, value in found["protocol"].items():
        yield Text.assemble((f"{name.replace('_', ' ')}: ", "dim"), value)


def figures_table(figures: Mapping[str, Any], title: str) -> Table:
    """Figures of a sweep, a row each.

    Arguments:
        figures: as in `Figures.to_mapping`.
        title: printed above.
    """
    return bare_table(
        Column(style="dim"),
        number_column(style="bold"),
        rows=figure_rows(figures),
        title=title,
        min_width=min(len(title) + 2, 100),
    )


def forecasts_report(metrics: Mapping[str, Any], title: str) -> Iterator[RenderableType]:
    """Density, and a table of forecasts by each method, under a title.

    Arguments:
        metrics: plain values of the metrics of a model of series.
        title: printed above.
    """
    yield title
    yield f"density: {metrics['loss']:.4f} nats per value over {metrics['elements']:,} values"
    forecasts = metrics["forecasts"]
    if forecasts:
        count = plural(forecasts["forecasts"], "forecast")
        yield bare_table(
            "",
            *number_columns(*METHOD_COLUMNS),
            rows=method_rows(forecasts),
            title=f"{count}, {forecasts['horizon']} steps ahead",
            header_style="bold",
            row_styles=["bold" if name == "model" else "" for name in forecasts["methods"]],
        )


def _dim(text: str) -> Text:
    return Text(text, style="dim")


def _heading(title: str, *remarks: str) -> Iterator[Text]:
    """A blank line, and a title in bold with remarks."""
    yield Text()
    yield Text.assemble((title, "bold"), *((remark, "dim") for remark in remarks))


def _grid(justify: Iterable[Any], rows: Iterable[Iterable[RenderableType]]) -> Table:
    return bare_table(*(Column(justify=way) for way in justify), rows=rows)


def _by_context(buckets: list[Mapping[str, Any]]) -> Iterator[RenderableType]:
    yield from _heading("loss by elements seen before", "   nats, elements")
    highest = max(bucket["loss"] for bucket in buckets)
    rows = (
        (
            "-".join(f"{most:,}" for most in sorted({bucket["least"], bucket["most"]})),
            f"{bucket['loss']:.3f}",
            Text(bar(bucket["loss"], _BAR, full=highest or 1.0), style="cyan"),
            _dim(f"{bucket['elements']:,}"),
        )
        for bucket in buckets
    )
    yield _grid(("right", "right", "left", "right"), rows)


def _calibration(calibration: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield from _heading(
        "calibration",
        f"   likeliest element right {calibration['accuracy']:.1%}, "
        f"expected {calibration['confidence']:.1%}; ECE {calibration['ece']:.3f}; "
        f"entropy {calibration['entropy']:.3f} nats",
    )
    rows = (
        (
            f"said {one['confidence']:.0%}",
            Text(bar(one["accuracy"], _BAR), style="green"),
            f"was {one['accuracy']:.0%}",
            _dim(f"{one['elements']:,}"),
        )
        for one in calibration["bins"]
        if one["elements"] * 500 >= calibration["elements"]
    )
    yield _grid(("right", "left", "right", "right"), rows)


def _dynamic(dynamic: Mapping[str, Any], *, mixed: bool) -> Iterator[RenderableType]:
    yield from _heading(
        "learning while scoring",
        f"   loss, perplexity; {dynamic['protocol']['elements']}",
        "; by the network alone" if mixed else "",
    )
    rows = (
        (
            name,
            f"{one['loss']:.4f}",
            f"{one['perplexity']:.3f}",
            _dim(f"{one['seconds']:.1f} s"),
            _dim(dynamic["protocol"][name]),
        )
        for name, one in dynamic["losses"].items()
    )
    yield _grid(("left", "right", "right", "right", "left"), rows)
    broken = dynamic["diverged"]
    if broken is not None:
        yield Text(
            f"learning diverged at element {broken:,}: its metrics are not reported", style="red"
        )


def _writing(writing: Mapping[str, Any]) -> Iterator[RenderableType]:
    names = [name for name, _ in writing_columns(writing)]
    if not names:
        yield from _heading("generated text")
        yield Text(writing_verdict(writing))
        return
    yield from _heading(
        "generated text",
        f"   {writing['texts']} texts of {writing['length']} characters from "
        f"{writing['prompt'] or 'the empty prompt'}, beside the same amount of this text",
    )
    yield Text(writing_verdict(writing))
    yield Text()
    yield bare_table(
        "",
        *(number_column(name, style="bold") for name in names[:-1]),
        number_column(names[-1]),
        rows=((_dim(name), *values) for name, values in writing_rows(writing)),
        padding=(0, 3, 0, 0),
    )
    copies = longest_copies(writing)
    if copies:
        yield from _heading("longest copies, and where they first occur")
        yield _grid(("right", "left"), ((_dim(who), _copy(copy)) for who, copy in copies))


def _copy(copy: Mapping[str, Any]) -> Text:
    times = "" if copy["count"] == 1 else f", {copy['count']:,} times in all"
    text, half = one_line(copy["text"]), _QUOTED // 2
    shown = text if len(text) <= _QUOTED else f"{text[:half]} ... {text[-half:]}"
    place = f"{copy['document']}, line {copy['line']:,}{times}"
    return Text.assemble(f"“{shown}”  ", (place, "dim"))


def _passage(passage: Mapping[str, Any]) -> Text:
    return Text.assemble(
        (f"  {passage['nats']:.2f}  ", "bold red"),
        (one_line(passage["before"])[-_QUOTED // 3 :], "dim"),
        (one_line(passage["text"])[:_QUOTED], "bold"),
        (f"\n        {passage['document']}, element {passage['element']:,}; worst ", "dim"),
        (f"{one_line(passage['worst'])!r} at {passage['worst_nats']:.1f} nats", "dim"),
    )

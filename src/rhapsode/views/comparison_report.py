"""Comparisons of models for people."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Column
from rich.text import Text

from rhapsode.views.figures import number
from rhapsode.views.tables import bare_table, number_column, number_columns


def text_comparison(found: Mapping[str, Any], title: str) -> Iterator[RenderableType]:
    """Bits per character of models of text, paired differences, protocols.

    Arguments:
        found: plain values of the comparison.
        title: printed above.
    """
    rows, protocols = [], []
    for row in found["rows"]:
        figures = row["figures"]
        ngram, protocol = figures["baselines"]["ngram"], figures["protocol"]
        rows.append(
            (
                f"{figures['bits_per_character']:.4f}",
                f"{figures['elements']:,} {row['encoding']}",
                f"{figures['loss']:.4f}",
                f"{(figures['network'] or figures)['loss']:.4f}",
                "-" if ngram is None else f"{ngram:.4f}",
                f"{figures['unknown_rate']:.2%}",
            )
        )
        protocols.append(
            f"{row['model']}: {protocol['context']}; normalisation: {protocol['normalisation']}; "
            f"unknown cost: {protocol['unknown_cost']}" + _counts_of(row)
        )
    others = [
        Column("elements", style="dim", no_wrap=True),
        *dim_columns("nats each", "network", "n-gram", "unknown"),
    ]
    yield from compared_models(found, title, "bits/char", others, rows)
    for protocol in protocols:
        yield Text(protocol, style="dim")
    if found["caution"] is not None:
        yield Text(found["caution"], style="yellow")


def _counts_of(row: Mapping[str, Any]) -> str:
    if row["figures"]["network"] is None:
        return ""
    return "; mixed with counts that adapt" if row["adapting"] else "; mixed with counts"


def forecast_comparison(found: Mapping[str, Any], title: str) -> Iterator[RenderableType]:
    """Density, MASE and CRPS of models of series, and paired differences.

    Arguments:
        found: plain values of the comparison.
        title: printed above.
    """
    rows = []
    for row in found["rows"]:
        figures = row["figures"]
        own = figures["forecasts"]["methods"]["model"] if figures["forecasts"] else {}
        rows.append(
            (
                f"{figures['loss']:.4f}",
                f"{figures['elements']:,}",
                *(number(own.get(measure)) for measure in ("mase", "crps")),
                row["encoding"],
            )
        )
    others = dim_columns("values", "MASE", "CRPS", "distribution")
    yield from compared_models(found, title, "nats per value", others, rows)
    yield Text(found["rows"][0]["figures"]["protocol"]["split"], style="dim")


def plain_comparison(found: Mapping[str, Any], title: str) -> Iterator[RenderableType]:
    """Nats per element of models that share their elements, and paired differences."""
    losses = ((f"{row['figures']['loss']:.4f}",) for row in found["rows"])
    yield from compared_models(found, title, "nats each", (), losses)


def dim_columns(*names: str) -> list[Column]:
    """Columns of numbers that matter less."""
    return number_columns(*names, style="dim", no_wrap=True)


def compared_models(
    found: Mapping[str, Any],
    title: str,
    measure: str,
    others: Sequence[Column],
    rows: Iterable[tuple[str, ...]],
) -> Iterator[RenderableType]:
    """A row for each model, and the paired differences.

    Arguments:
        found: plain values of the comparison.
        title: printed above.
        measure: heading of the first column of numbers.
        others: further columns.
        rows: cells of each model.
    """
    yield bare_table(
        Column("model", style="bold", overflow="fold"),
        number_column(measure, "bold", no_wrap=True),
        *others,
        *dim_columns("weights"),
        rows=(
            (row["model"], *cells, f"{row['parameters'] / 1e6:.2f}M")
            for row, cells in zip(found["rows"], rows, strict=True)
        ),
        title=title,
        header_style="bold",
    )
    yield Text()
    for contrast in found["contrasts"]:
        yield _contrast(contrast, found["units"])
    yield Text(f"paired over {found['passages']}", style="dim")


def _contrast(contrast: Mapping[str, Any], units: str) -> Text:
    difference = contrast["difference"]
    line = Text.assemble(
        (contrast["better"], "bold green"),
        f" needs {difference[contrast['measure']]:.4f} {contrast['name']} less than ",
        (contrast["worse"], "bold"),
    )
    p_value = difference["p_value"]
    if p_value is None:
        return line.append(f"; too few {units} for a test", style="dim")
    verdict = ("more than chance", "green") if p_value < 0.05 else ("may be chance", "yellow")
    line.append(f" (95 %: {difference['low']:.4f} to {difference['high']:.4f}; p = {p_value:.4f}, ")
    line.append(*verdict)
    return line.append(f"; {difference[units]:,} {units})")

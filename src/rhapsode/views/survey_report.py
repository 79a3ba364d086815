"""Surveys of sources for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Column, Table
from rich.text import Text

from rhapsode.views.blocks import RISING, bar, visible
from rhapsode.views.figures import number

ACCENT = "cyan"
HEIGHT = 4
FEW = 5
LONGEST = 14
UNUSUAL = 5


def text_survey(found: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    """A survey of texts, from top to bottom.

    Arguments:
        found: plain values of the survey.
        width: columns there are.
    """
    counted = [
        _plural(found["documents"], "document"),
        _plural(found["characters"], "character"),
        _plural(found["bytes"], "byte"),
        _encodings(found["reading"]["encodings"]),
    ]
    yield from _head(found, counted, found["reading"]["lines"])
    yield _heading("Characters", f"{found['text']['distinct']:,} distinct", width)
    yield from _characters(found["text"], width)
    yield _heading("Lengths", "", width)
    yield from _lengths(found["lengths"], width, "documents_in_characters", "lines_in_characters")
    vocabulary = found["vocabulary"]
    if vocabulary is not None:
        title = f"{vocabulary['encoding'].partition('.')[0]}, {vocabulary['size']:,} elements"
        yield _heading("Vocabulary", title, width)
        yield from _vocabulary(vocabulary, width)
    yield _heading("Shares", "", width)
    yield from _shares(found)
    yield from _training(found["training"], width)


def _head(
    found: Mapping[str, Any], counted: Sequence[str], lines: Sequence[str] = ()
) -> Iterator[Text]:
    """Sources, their sizes, and remarks of reading them."""
    yield Text(", ".join(found["sources"]), style="bold", overflow="ellipsis", no_wrap=True)
    yield Text("  ·  ".join(counted))
    for line in lines:
        yield Text(line, style="yellow")


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _encodings(encodings: Mapping[str, int]) -> str:
    if not encodings:
        return "all UTF-8"
    return ", ".join(f"{_plural(files, 'file')} in {name}" for name, files in encodings.items())


def _heading(title: str, more: str, width: int) -> RenderableType:
    text = Text.assemble((title, f"bold {ACCENT}"), (f"  {more}" if more else "", "not bold"))
    text.truncate(width - 4, overflow="ellipsis")
    rule = Rule(text, align="left", style="dim", characters="─")
    return Padding(rule, (1, 0, 0, 0))


def _percent(share: float) -> str:
    """A share with as many digits as tell it from nothing and from all."""
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    if share < 0.0005:
        return "<0.1 %"
    if share >= 0.9995:
        return ">99.9 %"
    return f"{share:.1%}".replace("%", " %")


def _bars(rows: Iterable[tuple[str, float]], width: int) -> Table:
    """Names, bars and shares."""
    rows = list(rows)
    longest = max((cell_len(name) for name, _ in rows), default=0)
    cells = max(4, width - longest - 10)
    table = Table.grid(
        Column(style="dim"),
        Column(width=cells, style=ACCENT),
        Column(justify="right", min_width=7),
        padding=(0, 1),
    )
    for name, share in rows:
        table.add_row(name, bar(share, cells), _percent(share))
    return table


def _ranked(counts: Mapping[str, int], most: int = 6) -> list[tuple[str, float]]:
    total = sum(counts.values())
    rows = [(name, count / total) for name, count in counts.items()]
    if len(rows) <= most:
        return rows
    rest = sum(share for _, share in rows[most - 1 :])
    return [*rows[: most - 1], (f"{len(rows) - most + 1} more", rest)]


def _characters(text: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    half = (width - 4) // 2
    both = Table.grid(
        Column(width=half),
        Column(width=half),
        padding=(0, 4, 0, 0),
    )
    scripts: RenderableType = _bars(_ranked(text["scripts"]), half)
    if not text["scripts"]:
        scripts = Text("no letters", style="dim")
    both.add_row(Text("of all characters", style="dim"), Text("of all letters", style="dim"))
    both.add_row(_bars(_ranked(text["kinds"]), half), scripts)
    yield both
    ends = [f"{name.upper()} {count:,}" for name, count in text["line_ends"].items() if count]
    if ends:
        yield Text.assemble(("line ends  ", "dim"), ", ".join(ends))
    if text["odd"]:
        odd = [f"{one['code']} {one['name']} × {one['count']:,}" for one in text["odd"]]
        line = Text("unusual    ", style="dim")
        line.append("; ".join(odd[:UNUSUAL]), style="not dim")
        if len(odd) > UNUSUAL:
            line.append(f"; and {len(odd) - UNUSUAL} more")
        yield line


def _lengths(
    lengths: Mapping[str, Any], width: int, many: str, few: str
) -> Iterator[RenderableType]:
    """Order statistics, and a histogram of `many`, or where these are few of `few`."""
    table = Table(
        Column("", style="dim"),
        *(
            Column(heading, justify="right", no_wrap=True)
            for heading in ("count", "least", "25 %", "median", "75 %", "95 %", "most")
        ),
        box=None,
        padding=(0, 0, 0, 2),
        pad_edge=False,
        header_style="dim",
    )
    names = ("count", "min", "quartile_1", "median", "quartile_3", "percentile_95", "max")
    for name, row in lengths.items():
        if row is not None:
            of, _, unit = name.partition("_in_")
            cells = [f"{row[figure]:,}" for figure in names]
            # Of one there is one length, once.
            alone = row["count"] == 1
            table.add_row(f"{of}, {unit}", *([cells[0], *[""] * 5, cells[-1]] if alone else cells))
    yield table
    # Of few documents the lengths of their lines tell more.
    row = lengths[many]
    drawn = many if row is not None and row["count"] >= FEW else few
    row = lengths[drawn]
    if row is not None and len(row["histogram"]["counts"]) > 3:
        title = drawn.replace("_in_", " by ")
        yield Padding(_histogram(row["histogram"], title, width), (1, 0, 0, 0))


def _histogram(histogram: Mapping[str, Any], title: str, width: int) -> Text:
    """Rising blocks, with the edges of some bins below them."""
    counts, edges = histogram["counts"], histogram["edges"]
    each = max(1, min(3, (width - 4) // len(counts)))
    most = max(counts)
    levels = [0 if not count else max(1, round(count / most * HEIGHT * 8)) for count in counts]
    drawn = Text(no_wrap=True)
    drawn.append(f"{title}; the highest column {most:,}\n", style="dim")
    for row in reversed(range(HEIGHT)):
        line = ""
        for level in levels:
            part = min(8, max(0, level - row * 8))
            line += (RISING[part - 1] if part else " ") * each
        drawn.append(line.rstrip() + "\n", style=ACCENT)
    across = each * len(counts)
    ticks, labels = ["─"] * (across + 1), [" "] * (across + 24)
    free = 0
    for place, edge in enumerate(edges):
        label = f"{edge:,}"
        # Where the edges grow by a factor only round ones are told.
        if histogram["scale"] == "log" and str(edge).rstrip("0") not in ("1", "2", "5"):
            continue
        if place * each >= free and (place * each + len(label) <= width - 1):
            ticks[place * each] = "┴"
            labels[place * each : place * each + len(label)] = label
            free = place * each + max(len(label) + 3, 8)
    drawn.append("".join(ticks) + "\n", style="dim")
    drawn.append("".join(labels).rstrip(), style="dim")
    return drawn


def _element(text: str) -> str:
    """An element as it can stand in a table."""
    shown = visible(text)
    if cell_len(shown) > LONGEST:
        shown = set_cell_size(shown, LONGEST - 1).rstrip() + "…"
    return shown


def _vocabulary(vocabulary: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    yield Text("most frequent in the training share", style="dim")
    yield Padding(_top(vocabulary["top"], width), (0, 0, 1, 0))
    room = max(10, width - 41)
    table = Table(
        Column("covered", justify="right"),
        Column("by elements", justify="right", style="bold"),
        Column("of those seen", justify="right", style="dim"),
        Column(style=ACCENT, width=room),
        box=None,
        padding=(0, 0, 0, 3),
        pad_edge=False,
        header_style="dim",
    )
    seen = max(1, vocabulary["seen"])
    for percent, needed in vocabulary["coverage"].items():
        if needed is None:
            table.add_row(f"{percent} %", "-", "-", Text("some are unknown", style="dim"))
        else:
            share = needed / seen
            table.add_row(f"{percent} %", f"{needed:,}", _percent(share), bar(share, room))
    yield table
    once = f"{_percent(vocabulary['once'])} of them seen once"
    per = f"{vocabulary['characters_per_element']:.2f} characters each"
    slope = vocabulary["zipf_exponent"]
    zipf = [] if slope is None else [f"Zipf exponent {slope:.2f}"]
    yield Text("  ·  ".join([once, per, *zipf]), style="dim")


def _top(top: Sequence[Mapping[str, Any]], width: int) -> Table:
    """The most frequent elements, down one column after another."""
    elements = [_element(one["element"]) for one in top]
    counts = [f"{one['count']:,}" for one in top]
    # Element, count and share, and the gap behind them.
    each = max(map(cell_len, elements)) + max(map(len, counts)) + 8 + 2 + 3
    across = max(1, min(5, (width + 3) // each))
    rows = -(-len(top) // across)
    across = -(-len(top) // rows)
    table = Table.grid(padding=0)
    for column in range(across):
        table.add_column(style="bold", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(justify="right", style="dim", no_wrap=True)
        if column + 1 < across:
            table.add_column(width=3)
    for row in range(rows):
        cells: list[str | Text] = []
        for place in range(row, len(top), rows):
            share = _percent(top[place]["share"])
            cells += [Text(elements[place]), f"  {counts[place]}", f"  {share:>6}", ""]
        table.add_row(*cells[: 4 * across - 1])
    return table


def _shares(found: Mapping[str, Any]) -> Iterator[RenderableType]:
    table = Table(
        Column("", style="dim"),
        *(
            Column(heading, justify="right")
            for heading in ("documents", "characters", "elements", "unknown")
        ),
        box=None,
        padding=(0, 0, 0, 3),
        pad_edge=False,
        header_style="dim",
    )
    for name, share in found["shares"].items():
        unknown = "-" if share["unknown"] is None else _percent(share["unknown"])
        elements = "-" if share["elements"] is None else f"{share['elements']:,}"
        table.add_row(
            name, f"{share['documents']:,}", f"{share['characters']:,}", elements, unknown
        )
    yield table
    copies = found["duplicates"]
    if not copies["documents"]:
        if found["documents"] > 1:
            yield Text("no document repeats another", style="dim")
        return
    example = copies["example"]
    out = f"; {copies['left_out']:,} are left out of the shares" if copies["left_out"] else ""
    verb = "repeats" if copies["documents"] == 1 else "repeat"
    yield Text(
        f"{_plural(copies['documents'], 'document')} {verb} an earlier one, "
        f"{_percent(copies['share'])} of all characters{out}"
    )
    # Inside a folder or an archive its own name need not be told again.
    names = [example["copy"], example["of"]]
    for source in found["sources"]:
        names = [name.removeprefix(source.rstrip("/") + "/") for name in names]
    yield Text(f"the first: {names[0]}, as {names[1]}", style="dim")


def _training(training: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    within = f"in {training['budget']}" if training.get("budget") else ""
    yield _heading("rhapsode train would choose", within, width)
    table = Table.grid(
        Column(style="dim", no_wrap=True),
        Column(),
        padding=(0, 2),
    )
    if "model" not in training:
        table.add_row("nothing", "; ".join(training["reasons"]))
        yield table
        return
    kind = training["encoding"].partition(".")[0]
    if kind != "auto":  # then the reasons tell it
        table.add_row("encoding", _because(kind, training["encoding_reason"]))
    table.add_row(
        "model",
        _because(
            training["model"].partition(".")[0], f"{_plural(training['parameters'], 'parameter')}"
        ),
    )
    network = ", ".join(f"{name} {value}" for name, value in training["network"].items())
    table.add_row("network", network)
    contexts = {
        "fresh": "each document from an empty memory",
        "carried": "one text, what is remembered carried on",
    }
    context = training["context"]
    table.add_row("context", _because(context, contexts.get(context, "")))
    table.add_row(
        "training",
        f"batch_size {training['batch_size']}, window {training['window']}, "
        f"learning_rate {training['learning_rate']:g}",
    )
    for place, reason in enumerate(training["reasons"]):
        table.add_row("because" if place == 0 else "", Text(reason, style="dim"))
    yield table


def _because(what: str, why: str) -> Text:
    return Text.assemble(what, (f"  {why}" if why else "", "dim"))


def plain_survey(found: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    """A survey of which only the sizes are known."""
    counted = [_plural(found["documents"], "document"), f"length {found['characters']:,}"]
    yield from _head(found, counted)
    yield from _training(found["training"], width)


def series_survey(found: Mapping[str, Any], width: int) -> Iterator[RenderableType]:
    """A survey of series, from top to bottom.

    Arguments:
        found: plain values of the survey.
        width: columns there are.
    """
    missing = f"{found['missing']:,} missing" if found["missing"] else "none missing"
    counted = [
        f"{found['series']:,} series",
        _plural(found["rows"], "row"),
        _plural(found["values"], "value"),
        missing,
    ]
    yield from _head(found, counted, found["reading"]["lines"])
    yield _heading("Times", "", width)
    table = Table.grid(
        Column(style="dim", no_wrap=True),
        Column(),
        padding=(0, 2),
    )
    several = len(found["frequencies"]) > 1
    frequencies = (
        f"{name}{f' ({count:,} series)' if several else ''}"
        for name, count in found["frequencies"].items()
    )
    table.add_row("frequency", ", ".join(frequencies))
    table.add_row("from, to", f"{found['first']}, {found['last']}")
    period = found["period"]
    table.add_row("season", f"{period:,} values" if period > 1 else "none")
    for name in ("known", "static", "categories"):
        if found[name]:
            table.add_row(name, ", ".join(found[name]))
    yield table
    yield _heading("Values", "", width)
    yield _columns(found["columns"])
    yield _heading("Lengths", "", width)
    yield from _lengths(
        {"series_in_rows": found["lengths"]["rows"]}, width, "series_in_rows", "series_in_rows"
    )
    if found["shares"] is not None:
        yield _heading("Shares", "", width)
        table = Table(
            Column("", style="dim"),
            *(Column(heading, justify="right") for heading in ("rows", "values")),
            box=None,
            padding=(0, 0, 0, 3),
            pad_edge=False,
            header_style="dim",
        )
        for name, share in found["shares"].items():
            table.add_row(name, f"{share['rows']:,}", f"{share['values']:,}")
        yield table
    yield from _training(found["training"], width)


def _columns(columns: Sequence[Mapping[str, Any]]) -> Table:
    """Known and missing values of each column, and their range."""
    table = Table(
        Column("", style="dim", overflow="fold"),
        *(
            Column(heading, justify="right", no_wrap=True)
            for heading in ("values", "missing", "least", "median", "most")
        ),
        box=None,
        padding=(0, 0, 0, 2),
        pad_edge=False,
        header_style="dim",
    )
    for one in columns:
        figures = (number(one[name]) for name in ("min", "median", "max"))
        table.add_row(one["name"], f"{one['values']:,}", f"{one['missing']:,}", *figures)
    return table
